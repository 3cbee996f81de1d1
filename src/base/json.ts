// What JSON can hold, how it is read, and how text is written as JSON.

/** A value that JSON can hold. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
/** A JSON object. */
export type JsonObject = { readonly [name: string]: Json };

/** Undefined if the text is not JSON. Node's error would quote it. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/**
 * The text as JSON: the same as `JSON.stringify`, but faster. Most of what is said and logged is
 * printable ASCII without `"` and `\`, which needs no escaping.
 */
export function jsonText(text: string): string {
  return text.length <= MAX_PLAIN_LENGTH && !NOT_PLAIN.test(text)
    ? `"${text}"`
    : JSON.stringify(text);
}

/** Matching one character outside the set is faster than matching all characters inside it. */
const NOT_PLAIN = /[^ !#-[\]-~]/;
/** Longer texts usually contain a character that is not plain. */
const MAX_PLAIN_LENGTH = 256;
