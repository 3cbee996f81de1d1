// Classifies characters. Each function takes one code point, or '' for the edge of the text, which
// counts as blank.

export function isSpace(c: string): boolean {
  return c === ' ' || c === '\n' || (c > '\x7f' && SPACE.test(c));
}

export function isBlank(c: string): boolean {
  return c === '' || isSpace(c);
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
  return UNSPACED.test(c);
}

/**
 * Control characters, and format characters without a sound: direction marks and overrides, soft
 * hyphens, tags.
 */
export function isSilent(c: string): boolean {
  return SILENT.test(c);
}

const SILENT = new RegExp(
  '^[\\p{Cc}\\u00ad\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2061-\\u2064\\u2066-\\u206f'
    + '\\ufeff\\ufff9-\\ufffc\\u{e0001}\\u{e0020}-\\u{e007f}]$',
  'u',
);
const SPACE = /^\s$/;
/** Thai and Lao, Myanmar, Khmer, and from the radicals of Chinese on. */
const UNSPACED = /^[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u{10ffff}]/u;
const PUNCTUATION = /^[\p{P}\p{S}]$/u;
