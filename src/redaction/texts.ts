import { isPlain } from '../base/json-value.ts';
import { parseJson } from '../base/json.ts';

/** Deeper values become `TOO_DEEP`: they would exhaust the stack. */
const MAX_DEPTH = 500;
const TOO_DEEP = '[too deep]';

/**
 * A copy of a JSON value with all its texts changed, names included, and whole numbers that are
 * long enough to be a value. The value itself if nothing has changed. Objects with a class stay as
 * they are.
 */
export function withTexts<T>(value: T, change: (text: string) => string): T {
  return new Copy(change).of(value, 0) as T; // texts stay texts, except for numbers
}

class Copy {
  readonly #change: (text: string) => string;
  /** An event holds what the platform sent in more than one place. */
  readonly #copies = new Map<object, unknown>();

  constructor(change: (text: string) => string) {
    this.#change = change;
  }

  of(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#change(value);
    if (typeof value === 'number') return changedNumber(value, this.#change);
    if (typeof value !== 'object' || value === null) return value;
    if (!Array.isArray(value) && !isPlain(value)) return value;
    if (depth > MAX_DEPTH) return TOO_DEEP;
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const copy = Array.isArray(value) ? this.#items(value, depth) : this.#fields(value, depth);
    this.#copies.set(value, copy);
    return copy;
  }

  #items(value: readonly unknown[], depth: number): readonly unknown[] {
    const items = value.map((item) => this.of(item, depth + 1));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }

  #fields(value: object, depth: number): object {
    let isSame = true;
    const copies = Object.entries(value).map(([name, item]: [string, unknown]) => {
      const copy = [this.#change(name), this.of(item, depth + 1)] as const;
      isSame &&= copy[0] === name && copy[1] === item;
      return copy;
    });
    return isSame ? value : Object.fromEntries(copies);
  }
}

/** In UTF-16 code units. */
const LONG_TEXT = 1_000;

/** The same change, made once for a long text that comes several times. */
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
  // Not by recursion: each text would pass all levels above it.
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

/** The same for JSON text, or for a text that is not JSON. */
export function withJsonTexts(text: string, change: (text: string) => string): string {
  const rounded = parseJson(text);
  if (rounded === undefined) return change(text);
  const exact = withInexactNumbers(text, change);
  const value = exact === text ? rounded : parseJson(exact);
  const copy = withTexts(value, change);
  return copy === value ? exact : JSON.stringify(copy);
}

/** Changes the numbers that `JSON.parse` would round. What is changed becomes a text. */
function withInexactNumbers(json: string, change: (text: string) => string): string {
  return json.replace(TEXT_OR_LONG_NUMBER, (token) => {
    if (token.startsWith('"') || Number.isSafeInteger(Number(token))) return token;
    const copy = change(token);
    return copy === token ? token : JSON.stringify(copy);
  });
}

/** Whole texts, so that digits in them are not taken for numbers. */
const TEXT_OR_LONG_NUMBER = /"(?:[^"\\]+|\\.)*"|-?\d{16,}(?![\d.eE])/g;
