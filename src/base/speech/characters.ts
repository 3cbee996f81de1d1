// Classifies characters. Each function takes one code point.

/** Ends every text, so no mark waits forever. No text contains it: it is a control character. */
export const END = '\0';

/** The code point at an index; '' at the end. */
export function firstOf(text: string, index = 0): string {
  const code = text.codePointAt(index);
  return code === undefined ? '' : String.fromCodePoint(code);
}

/** The last code point. */
export function lastOf(text: string): string {
  const last = text.charAt(text.length - 1);
  return last >= '\udc00' && last <= '\udfff' ? text.slice(-2) : last;
}

export function isSpace(c: string): boolean {
  return c === ' ' || c === '\n' || c === '\t' || (c > '\x7f' && SPACE.test(c));
}

/** Also true for both edges of the text. */
export function isBlank(c: string): boolean {
  return c === '' || c === END || isSpace(c);
}

/** Punctuation as CommonMark 0.31 defines it: symbols count too. */
export function isPunctuation(c: string): boolean {
  return PUNCTUATION.test(c);
}

/** A letter, digit, or combining mark of any script. */
export function isWord(c: string): boolean {
  return !isBlank(c) && !isPunctuation(c);
}

export function isDigit(c: string): boolean {
  return c >= '0' && c <= '9';
}

export function isAsciiWord(c: string): boolean {
  return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/** East and South-East Asian scripts and their punctuation, which write words without spaces. */
export function isUnspaced(c: string): boolean {
  return STARTS_UNSPACED.test(c);
}

const SPACE = /^\s$/;
/** Thai and Lao, Myanmar, Khmer, and everything from the Chinese radicals on. */
export const UNSPACED =
  '[\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u2e80-\\u{10ffff}]';
const STARTS_UNSPACED = new RegExp(`^${UNSPACED}`, 'u');
/** Control and format characters without a sound: direction marks, soft hyphens, tags. */
export const SILENT = new RegExp(
  '(?![\\t\\n\\r])[\\p{Cc}\\p{Cs}\\u00ad\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2061-\\u2064'
    + '\\u2066-\\u206f\\ufeff\\ufff9-\\ufffc\\u{e0001}\\u{e0020}-\\u{e007f}]',
  'gu',
);
const PUNCTUATION = /^[\p{P}\p{S}]$/u;
