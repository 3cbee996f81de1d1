// Strings as JSON.

/** One match of this is faster than matching all characters that are plain. */
const NOT_PLAIN = /[^ !#-[\]-~]/;
/** Longer texts usually contain a character that is not plain. */
const MAX_PLAIN_LENGTH = 256;

/**
 * The string as `JSON.stringify` writes it. Most of what is said and logged is printable ASCII
 * without `"` and `\`, which needs no escaping.
 */
export function jsonText(text: string): string {
  return text.length <= MAX_PLAIN_LENGTH && !NOT_PLAIN.test(text)
    ? `"${text}"`
    : JSON.stringify(text);
}
