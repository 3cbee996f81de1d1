// The stand-in for a value. At first that is a mark, `[card hqkzmvbtwpxa]`, whose letters are a
// keyed hash of the value, so that every process makes the same mark. The write that stores it in
// its conversation gives it a number: `[card 1]`.

import { isObject } from '../../base/fields.ts';

/**
 * The names of a conversation's values, such as `card 1`, by the letters of their marks. Stored
 * with the conversation: without the key nobody can find out whether a value is among them.
 */
export type Placeholders = Readonly<Record<string, string>>;

const NAME = /^[a-z][a-z-]{0,23} [1-9]\d{0,3}$/;

/** Whether a stored value can be a conversation's names. */
export function isPlaceholders(value: unknown): value is Placeholders {
  return isObject(value)
    && Object.values(value).every((name) => typeof name === 'string' && NAME.test(name));
}

/** How many values of a conversation get a number. The others keep their marks. */
export const MOST_NUMBERED = 100;

const LETTERS = 12;
const PLACEHOLDER = /\[([a-z][a-z-]{0,23} (?:[a-z]{12}|[1-9]\d{0,3}))\]/g;

/** Twelve letters, about 56 bits, from at least 8 bytes. */
export function lettersFrom(bytes: Buffer): string {
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

/** The kinds of values that exist. Other words in brackets stand for nothing. */
export type Kinds = ReadonlySet<string>;

/** Replaces the marks that have a name. */
export function withNames(
  text: string,
  kinds: Kinds,
  nameOf: (letters: string, kind: string) => string | undefined,
): string {
  let named = '';
  let from = 0;
  for (let at = text.indexOf('['); at !== -1; at = text.indexOf('[', at + 1)) {
    const kind = kindOfMarkAt(text, at, kinds);
    if (kind === undefined) continue;
    const start = at + kind.length + 2;
    const name = nameOf(text.slice(start, start + LETTERS), kind);
    if (name === undefined) continue;
    named += `${text.slice(from, at)}[${name}]`;
    from = start + LETTERS + 1;
  }
  return from === 0 ? text : named + text.slice(from);
}

function kindOfMarkAt(text: string, at: number, kinds: Kinds): string | undefined {
  for (const kind of kinds) {
    if (!text.startsWith(kind, at + 1)) continue;
    AFTER_KIND.lastIndex = at + 1 + kind.length;
    if (AFTER_KIND.test(text)) return kind;
  }
  return undefined;
}

/** What follows the kind in a mark. */
const AFTER_KIND = / [a-z]{12}\]/y;

/** Replaces whatever could stand for a value. `name`: such as `card 1`, or the name in a mark. */
export function withoutPlaceholders(text: string, valueOf: (name: string) => string): string {
  return text.replace(PLACEHOLDER, (_placeholder, name: string) => valueOf(name));
}

/** Where a text has placeholders, marks, and other words in brackets that look like them. */
export function* placesOfPlaceholders(
  text: string,
): Generator<{ readonly start: number; readonly end: number }, void, undefined> {
  for (const { 0: placeholder, index } of text.matchAll(PLACEHOLDER))
    yield { start: index, end: index + placeholder.length };
}

/** Whether a placeholder or a mark begins at a place. */
export function isPlaceholderAt(text: string, start: number): boolean {
  if (text[start] !== '[') return false;
  AT_PLACE.lastIndex = start;
  return AT_PLACE.test(text);
}

const AT_PLACE = new RegExp(PLACEHOLDER.source, 'y');

/** The next free name for a kind. */
export function nextName(kind: string, placeholders: Placeholders): string {
  let last = 0;
  for (const name of Object.values(placeholders))
    if (name.startsWith(`${kind} `)) last = Math.max(last, Number(name.slice(kind.length + 1)));
  return `${kind} ${last + 1}`;
}
