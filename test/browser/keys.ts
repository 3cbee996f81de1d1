// Names of keys as WebDriver's code points: https://www.w3.org/TR/webdriver2/#keyboard-actions

/** WebDriver has two of Enter and of each modifier: these are the main one, and the left ones. */
const NAMED: Readonly<Record<string, string>> = {
  Backspace: '\uE003',
  Tab: '\uE004',
  Enter: '\uE006',
  Escape: '\uE00C',
  Space: ' ',
  PageUp: '\uE00E',
  PageDown: '\uE00F',
  End: '\uE010',
  Home: '\uE011',
  ArrowLeft: '\uE012',
  ArrowUp: '\uE013',
  ArrowRight: '\uE014',
  ArrowDown: '\uE015',
  Delete: '\uE017',
};

const MODIFIERS: Readonly<Record<string, string>> = {
  Shift: '\uE008',
  Control: '\uE009',
  Alt: '\uE00A',
  Meta: '\uE03D',
};

interface KeyAction {
  readonly type: 'keyDown' | 'keyUp';
  readonly value: string;
}

/**
 * A stroke as WebDriver's actions: a name (`Tab`), a character (`a`), either behind modifiers
 * (`Shift+Tab`, `Control+Enter`). Throws a `TypeError` for what no keyboard has.
 */
export function keyActions(stroke: string): KeyAction[] {
  // The `+` key is a stroke too, alone or behind modifiers.
  const parts = /^(?:(.*)\+)?(\+|[^+]+)$/su.exec(stroke);
  const modifiers = parts?.[1]?.split('+') ?? [];
  const held = modifiers.map((name) => valueOf(MODIFIERS, name, stroke));
  const key = parts?.[2] ?? '';
  const value = [...key].length === 1 ? key : valueOf(NAMED, key, stroke);
  return [
    ...held.map((modifier): KeyAction => ({ type: 'keyDown', value: modifier })),
    { type: 'keyDown', value },
    { type: 'keyUp', value },
    ...held.reverse().map((modifier): KeyAction => ({ type: 'keyUp', value: modifier })),
  ];
}

function valueOf(table: Readonly<Record<string, string>>, name: string, stroke: string): string {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  if (value !== undefined) return value;
  throw new TypeError(
    `no key "${name}" in ${JSON.stringify(stroke)}; there are single characters and ${Object.keys(table).join(', ')}`,
  );
}
