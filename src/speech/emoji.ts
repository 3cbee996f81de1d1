// Which characters are pictures: https://www.unicode.org/reports/tr51/. `\p{Emoji}` alone is not
// enough: it includes the digits, `#`, `*`, ©, ® and ™.

/**
 * Shown as a picture by default: faces, flags (as their letters), skin tones, ✔ and ❤ from the
 * symbol blocks.
 */
export function isEmoji(c: string): boolean {
  return c > '\u200f' && EMOJI.test(c);
}

/** Text like ‼, ℹ, ↔ or ▶, which becomes a picture only before U+FE0F. */
export function isTextPicture(c: string): boolean {
  return c > '\u200f' && c < '\u{10000}' && c !== '™' && PICTURE.test(c);
}

/** Anything that U+200D can join to an emoji, like the ↔ of a shaking head. */
export function isPicture(c: string): boolean {
  return PICTURE.test(c);
}

const EMOJI = new RegExp(
  '^(?:[\\p{Emoji_Presentation}\\p{Emoji_Modifier}\\p{Regional_Indicator}]'
    + '|(?=\\p{Emoji})[\\u2600-\\u27bf]'
    + '|(?=\\p{Extended_Pictographic})[\\u{1f000}-\\u{1faff}])$',
  'u',
);
const PICTURE = /^\p{Extended_Pictographic}$/u;
