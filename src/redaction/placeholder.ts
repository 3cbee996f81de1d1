// What stands for a value. At first that is a mark, `[card hqkzmvbtwpxa]`, whose letters are a
// keyed hash of the value, so that every process makes the same. The write that stores it in its
// conversation gives it a number: `[card 1]`.

/**
 * The names of a conversation's values, such as `card 1`, by the letters of their marks. Stored
 * with the conversation: without the key nobody can find out whether a value is among them.
 */
export type Placeholders = Readonly<Record<string, string>>;

/** How many values of a conversation get a number. The others keep their marks. */
export const MOST_NUMBERED = 100;

const LETTERS = 12;
const MARK = /\[([a-z][a-z-]{0,23}) ([a-z]{12})\]/g;
const PLACEHOLDER = /\[([a-z][a-z-]{0,23} (?:[a-z]{12}|[1-9]\d{0,3}))\]/g;

/** Twelve letters, about 56 bits, from at least 8 bytes. */
export function lettersOf(bytes: Buffer): string {
  let rest = bytes.readBigUInt64BE();
  let letters = '';
  for (let count = 0; count < LETTERS; count++) {
    letters += String.fromCharCode(0x61 + Number(rest % 26n));
    rest /= 26n;
  }
  return letters;
}

export function markOf(kind: string, letters: string): string {
  return `[${kind} ${letters}]`;
}

/** The kinds of values that there are. Other words in brackets stand for nothing. */
export type Kinds = ReadonlySet<string>;

/** The letters of the marks in a text. */
export function marksIn(text: string, kinds: Kinds): string[] {
  return [...text.matchAll(MARK)]
    .filter(([, kind = '']) => kinds.has(kind))
    .map(([, , letters = '']) => letters);
}

/** Replaces the marks that have a name. */
export function withNames(
  text: string,
  kinds: Kinds,
  nameOf: (letters: string, kind: string) => string | undefined,
): string {
  if (!text.includes('[')) return text;
  return text.replace(MARK, (mark, kind: string, letters: string) => {
    const name = kinds.has(kind) ? nameOf(letters, kind) : undefined;
    return name === undefined ? mark : `[${name}]`;
  });
}

/** Replaces what could stand for a value. `name` is `card 1`, or that of a mark. */
export function withoutPlaceholders(text: string, valueOf: (name: string) => string): string {
  return text.replace(PLACEHOLDER, (_placeholder, name: string) => valueOf(name));
}

/** The next name of a kind. */
export function nextName(kind: string, placeholders: Placeholders): string {
  let last = 0;
  for (const name of Object.values(placeholders))
    if (name.startsWith(`${kind} `)) last = Math.max(last, Number(name.slice(kind.length + 1)));
  return `${kind} ${last + 1}`;
}
