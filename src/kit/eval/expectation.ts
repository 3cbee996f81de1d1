// Text, a pattern, or fields of an object: what a line of a script expects.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { oneLine } from '../terminal/text.ts';
import { LineFault } from './line.ts';

export interface Expectation {
  readonly written: string;
  readonly matches: (text: string) => boolean;
  /** Whether a value that can be written as JSON is as expected. */
  readonly matchesValue: (value: unknown) => boolean;
}

/**
 * A pattern between slashes, or text that is compared without regard to case and white space. A
 * value is compared as its JSON text, without spaces. Text that is a JSON object or list also
 * matches a value that has at least its fields.
 */
export function parseExpectation(name: string, written: string): Expectation {
  if (written === '') throw new LineFault(`${name} takes a text, or a pattern like /hello|hi/i`);
  const matches = matcherOf(written);
  const wanted = parseJson(written);
  return {
    written,
    matches,
    matchesValue: (value) =>
      matches(JSON.stringify(value) ?? '')
      || (typeof wanted === 'object' && wanted !== null && hasFields(value, wanted)),
  };
}

/** The same for a value. Throws a `LineFault` for text that begins like JSON but is not. */
export function parseValueExpectation(name: string, written: string): Expectation {
  if (JSON_BEGINS.test(written) && parseJson(written) === undefined)
    throw new LineFault(`${name}: ${oneLine(written, 80)} is not JSON`);
  return parseExpectation(name, written);
}

/** Not just any [: a placeholder such as [card 1] is text. */
const JSON_BEGINS = /^(?:\{|\[\s*(?:[\]["{\d-]|true\b|false\b|null\b))/;

function matcherOf(written: string): (text: string) => boolean {
  const [, pattern, flags = ''] = /^\/(.+)\/(\w*)$/.exec(written) ?? [];
  if (pattern === undefined) {
    const wanted = plain(written);
    return (text) => plain(text).includes(wanted);
  }
  if (!/^[imsu]*$/.test(flags)) {
    const shown = oneLine(written, 80);
    throw new LineFault(`${shown} is a pattern whose flags can only be i, m, s and u`);
  }
  try {
    const regExp = new RegExp(pattern, flags);
    return (text) => regExp.test(text);
  } catch (error) {
    throw new LineFault(oneLine(messageOf(error)), { cause: error });
  }
}

/** Text as it sounds: without regard to case and white space. */
export function plain(text: string): string {
  return text.normalize('NFC').toLowerCase().replace(/\s+/g, ' ').trim();
}

/** Whether the value has at least what `wanted` has. Lists must have the same length. */
export function hasFields(value: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(value)
      && value.length === wanted.length
      && wanted.every((item, index) => hasFields(value[index], item));
  }
  if (!isObject(wanted)) return Object.is(value, wanted);
  return isObject(value)
    && Object.entries(wanted).every(
      ([name, inner]) => Object.hasOwn(value, name) && hasFields(value[name], inner),
    );
}
