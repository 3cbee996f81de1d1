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
  return changed(value, change, 0) as T; // texts stay texts, except for numbers that are values
}

function changed(value: unknown, change: (text: string) => string, depth: number): unknown {
  if (typeof value === 'string') return change(value);
  if (typeof value === 'number') return changedNumber(value, change);
  if (typeof value !== 'object' || value === null) return value;
  if (!Array.isArray(value) && !isPlain(value)) return value;
  if (depth > MAX_DEPTH) return TOO_DEEP;
  if (Array.isArray(value)) {
    const items = value.map((item) => changed(item, change, depth + 1));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  const entries = Object.entries(value);
  const copies = entries.map(([name, item]) =>
    [change(name), changed(item, change, depth + 1)] as const);
  const isSame = copies.every(([name, item], index) =>
    name === entries[index]?.[0] && item === entries[index]?.[1]);
  return isSame ? value : Object.fromEntries(copies);
}

/** A time in milliseconds. No card number of 13 digits begins with 1. */
const TIME = /^1\d{12}$/;

function changedNumber(value: number, change: (text: string) => string): unknown {
  if (!Number.isInteger(value) || Math.abs(value) < 1e12) return value;
  const text = String(value);
  if (TIME.test(text)) return value;
  const copy = change(text);
  return copy === text ? value : copy;
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
