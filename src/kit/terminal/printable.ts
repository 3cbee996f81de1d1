/** Control characters, marks that change the writing direction, and Unicode's own line ends. */
const UNSAFE = /\r\n|[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const LINE_BREAKS: readonly string[] = ['\r\n', '\n', '\r', '\u2028', '\u2029'];

/**
 * Makes text from outside safe to print. Line breaks become `lineBreak`. Characters that a terminal
 * would obey are shown instead.
 */
export function printable(text: string, lineBreak: string): string {
  return text.replace(UNSAFE, (found) => {
    if (LINE_BREAKS.includes(found)) return lineBreak;
    return found === '\t' ? ' ' : shown(found.codePointAt(0) ?? 0);
  });
}

/** ESC is shown as ␛; a character without a picture as, for example, <U+009B>. */
function shown(code: number): string {
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? '\u2421' : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}
