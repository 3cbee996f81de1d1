import { isPlain } from '../base/json-value.ts';
import { parseJson } from '../base/json.ts';

/** Deeper values become `TOO_DEEP`: they would exhaust the stack. */
const MAX_DEPTH = 500;
const TOO_DEEP = '[too deep]';

/**
 * A copy of a JSON value with all its texts changed, names included, and integers that are long
 * enough to be a value. The value itself if nothing has changed. Objects with a class stay as they
 * are.
 */
export function withTexts<T>(value: T, change: (text: string) => string): T {
  /** An event may hold the same object in more than one place. */
  const copies = new Map<object, unknown>();
  const copyOf = (given: unknown, depth: number): unknown => {
    if (typeof given === 'string') return change(given);
    if (typeof given === 'number') return changedNumber(given, change);
    if (typeof given !== 'object' || given === null) return given;
    if (!Array.isArray(given) && !isPlain(given)) return given;
    if (depth > MAX_DEPTH) return TOO_DEEP;
    const known = copies.get(given);
    if (known !== undefined) return known;
    const copy = Array.isArray(given) ? itemsOf(given, depth) : fieldsOf(given, depth);
    copies.set(given, copy);
    return copy;
  };
  const itemsOf = (list: readonly unknown[], depth: number): readonly unknown[] => {
    const items = list.map((item) => copyOf(item, depth + 1));
    return items.some((item, index) => item !== list[index]) ? items : list;
  };
  const fieldsOf = (object: object, depth: number): object => {
    let isSame = true;
    const fields = Object.entries(object).map(([name, item]: [string, unknown]) => {
      const field = [change(name), copyOf(item, depth + 1)] as const;
      isSame &&= field[0] === name && field[1] === item;
      return field;
    });
    return isSame ? object : Object.fromEntries(fields);
  };
  return copyOf(value, 0) as T; // types stay, but numbers may become texts
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

/** The texts that `withTexts` changes, in order. */
export function* textsIn(value: unknown): Generator<string, void, undefined> {
  // Not recursive: each text would pass through all levels above it.
  const open: Iterator<unknown>[] = [[value].values()];
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const next = top.next();
    const item: unknown = next.value;
    if (next.done === true) open.pop();
    else if (typeof item === 'string') yield item;
    else if (typeof item === 'number') {
      if (mayBeValue(item)) yield String(item);
    } else if (typeof item === 'object' && item !== null && open.length <= MAX_DEPTH + 1) {
      if (Array.isArray(item)) open.push(item.values());
      else if (isPlain(item)) open.push(Object.entries(item).flat().values());
    }
  }
}

/** A time in milliseconds. No card number of 13 digits begins with 1. */
const TIME = /^1\d{12}$/;

function changedNumber(value: number, change: (text: string) => string): unknown {
  if (!mayBeValue(value)) return value;
  const text = String(value);
  const copy = change(text);
  return copy === text ? value : copy;
}

function mayBeValue(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) >= 1e12 && !TIME.test(String(value));
}

/** The same as `withTexts` for JSON text, or for text that is not JSON. */
export function withJsonTexts(text: string, change: (text: string) => string): string {
  const rounded = parseJson(text);
  if (rounded === undefined) return change(text);
  const exact = withInexactNumbers(text, change);
  const value = exact === text ? rounded : parseJson(exact);
  const copy = withTexts(value, change);
  return copy === value ? exact : JSON.stringify(copy);
}

/** Changes the numbers that `JSON.parse` would round. A changed number becomes a string. */
function withInexactNumbers(json: string, change: (text: string) => string): string {
  return json.replace(TEXT_OR_LONG_NUMBER, (token) => {
    if (token.startsWith('"') || Number.isSafeInteger(Number(token))) return token;
    const copy = change(token);
    return copy === token ? token : JSON.stringify(copy);
  });
}

/** Matches whole strings, so that digits in them are not mistaken for numbers. */
const TEXT_OR_LONG_NUMBER = /"(?:[^"\\]+|\\.)*"|-?\d{16,}(?![\d.eE])/g;
