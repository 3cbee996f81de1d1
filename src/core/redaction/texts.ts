import { isPlain } from '../../base/json-value.ts';
import { parseJson } from '../../base/json.ts';

/** Deeper values become `TOO_DEEP`: they would exhaust the stack. */
const MAX_DEPTH = 500;
const TOO_DEEP = '[too deep]';

/** Where a text or a number of a JSON value stands. */
export interface Place {
  /** The name of its field, or of that of its list. Undefined for a name itself. */
  readonly name: string | undefined;
  /** The object that has the field. */
  readonly holder: Readonly<Record<string, unknown>> | undefined;
}

export interface Change {
  text(text: string, place: Place): string;
  /**
   * Returns a number itself if it is none of the values that it knows. Then it is changed as a
   * text, if it is long enough to be a value.
   */
  number?(value: number, place: Place): unknown;
}

const NOWHERE: Place = { name: undefined, holder: undefined };

/**
 * A copy of a JSON value with all its texts changed, names included, and integers that are long
 * enough to be a value. The value itself if nothing has changed. Objects with a class stay as they
 * are.
 */
export function withTexts<T>(value: T, given: Change | Change['text']): T {
  const change: Change = typeof given === 'function' ? { text: given } : given;
  /** An event may hold the same object in more than one place. */
  const copies = new Map<object, unknown>();
  const copyOf = (given: unknown, depth: number, place: Place): unknown => {
    if (typeof given === 'string') return change.text(given, place);
    if (typeof given === 'number') return changedNumber(given, change, place);
    if (typeof given !== 'object' || given === null) return given;
    if (!Array.isArray(given) && !isPlain(given)) return given;
    if (depth > MAX_DEPTH) return TOO_DEEP;
    const known = copies.get(given);
    if (known !== undefined) return known;
    const copy = Array.isArray(given) ? itemsOf(given, depth, place) : fieldsOf(given, depth);
    copies.set(given, copy);
    return copy;
  };
  const itemsOf = (list: readonly unknown[], depth: number, place: Place): readonly unknown[] => {
    const items = list.map((item) => copyOf(item, depth + 1, place));
    return items.some((item, index) => item !== list[index]) ? items : list;
  };
  const fieldsOf = (object: object, depth: number): object => {
    let isSame = true;
    const holder = object as Readonly<Record<string, unknown>>;
    const fields = Object.entries(holder).map(([name, item]) => {
      const place = { name, holder };
      const field = [change.text(name, NOWHERE), copyOf(item, depth + 1, place)] as const;
      isSame &&= field[0] === name && field[1] === item;
      return field;
    });
    return isSame ? object : Object.fromEntries(fields);
  };
  return copyOf(value, 0, NOWHERE) as T; // types stay, but numbers may become texts
}

/** In UTF-16 code units. */
const LONG_TEXT = 1_000;

/** The same change, made once for a long text that occurs several times. */
export function madeOnce(change: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    if (text.length < LONG_TEXT) return change(text);
    const copy = known.get(text) ?? change(text);
    known.set(text, copy);
    return copy;
  };
}

/**
 * The texts that `withTexts` changes, in order. After the text of a field, what `inField` returns
 * for it, if anything.
 */
export function* textsIn(
  value: unknown,
  inField: (text: string | number, name: string) => string | undefined = () => undefined,
): Generator<string, void, undefined> {
  // Not recursive: each text would pass through all levels above it.
  const open: Iterator<Named>[] = [[[undefined, value] as const].values()];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.next();
    if (next.done === true) {
      open.pop();
      continue;
    }
    const [name, item] = next.value;
    if (typeof item === 'string' || typeof item === 'number') {
      if (typeof item === 'string' || mayBeValue(item)) yield String(item);
      const more = name === undefined ? undefined : inField(item, name);
      if (more !== undefined) yield more;
    } else if (typeof item === 'object' && item !== null && open.length <= MAX_DEPTH + 1) {
      if (Array.isArray(item)) open.push(itemsOf(item, name));
      else if (isPlain(item)) open.push(fieldsOf(item));
    }
  }
}

type Named = readonly [name: string | undefined, item: unknown];

function* itemsOf(
  list: readonly unknown[],
  name: string | undefined,
): Generator<Named, void, undefined> {
  for (const item of list) yield [name, item];
}

function* fieldsOf(object: object): Generator<Named, void, undefined> {
  for (const [name, item] of Object.entries(object)) {
    yield [undefined, name];
    yield [name, item];
  }
}

/** A time in milliseconds. No card number of 13 digits begins with 1. */
const TIME = /^1\d{12}$/;

function changedNumber(value: number, change: Change, place: Place): unknown {
  const given = change.number?.(value, place) ?? value;
  if (given !== value || !mayBeValue(value)) return given;
  const text = String(value);
  const copy = change.text(text, NOWHERE);
  return copy === text ? value : copy;
}

function mayBeValue(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) >= 1e12 && !TIME.test(String(value));
}

/** The same as `withTexts` for JSON text, or for text that is not JSON. */
export function withJsonTexts(text: string, given: Change | Change['text']): string {
  const change: Change = typeof given === 'function' ? { text: given } : given;
  const rounded = parseJson(text);
  if (rounded === undefined) return change.text(text, NOWHERE);
  const exact = withInexactNumbers(text, change);
  const value = exact === text ? rounded : parseJson(exact);
  const copy = withTexts(value, change);
  return copy === value ? exact : JSON.stringify(copy);
}

/** Changes the numbers that `JSON.parse` would round. A changed number becomes a string. */
function withInexactNumbers(json: string, change: Change): string {
  return json.replace(TEXT_OR_LONG_NUMBER, (token) => {
    if (token.startsWith('"') || Number.isSafeInteger(Number(token))) return token;
    const copy = change.text(token, NOWHERE);
    return copy === token ? token : JSON.stringify(copy);
  });
}

/** Matches whole strings, so that digits in them are not mistaken for numbers. */
const TEXT_OR_LONG_NUMBER = /"(?:[^"\\]+|\\.)*"|-?\d{16,}(?![\d.eE])/g;
