// Which characters are pictures: https://www.unicode.org/reports/tr51/. `\p{Emoji}` alone is not
// enough: it includes the digits, `#`, `*`, ©, ® and ™.

import { mark, NEXT } from './scanner.ts';

/** What may be part of an emoji. */
export const EMOJI_PARTS =
  '\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\p{Regional_Indicator}\\ufe0e\\ufe0f\\u20e3';
/** Text or picture style, and the frame of a keycap. The digit before it is spoken. */
export const STYLE = '[\\ufe0e\\ufe0f\\u20e3]';
/**
 * Shown as a picture by default: faces, flags (as their letters), skin tones, ✔ and ❤ from the
 * symbol blocks. Other text, like ‼, ℹ, ↔ or ▶, is a picture only before U+FE0F.
 */
const PICTURE =
  '[\\p{Emoji_Presentation}\\p{Emoji_Modifier}\\p{Regional_Indicator}]'
  + '|(?=\\p{Emoji})[\\u2600-\\u27bf]|(?=\\p{Extended_Pictographic})[\\u{1f000}-\\u{1faff}]'
  + '|(?![©®™])\\p{Extended_Pictographic}(?:\\ufe0f|$)';
/** U+200D joins a picture to any other. Elsewhere it belongs to Indic and Persian words. */
export const EMOJI = mark(
  { source: PICTURE },
  { source: `(?:${STYLE}|\\u200d${STYLE}?\\p{Extended_Pictographic}?){0,32}` },
  NEXT,
);
