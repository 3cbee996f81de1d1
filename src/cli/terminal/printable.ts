/** Control characters, marks that turn the direction of writing, and Unicode's own line ends. */
const UNSAFE = /\r\n|[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const LINE_BREAKS: readonly string[] = ['\r\n', '\n', '\r', '\u2028', '\u2029'];

/** Text from outside as a terminal may get it: a line break becomes what is given, and what a terminal would obey is shown instead. */
export function printable(text: string, lineBreak: string): string {
  return text.replace(UNSAFE, (found) => {
    if (LINE_BREAKS.includes(found)) return lineBreak;
    return found === '\t' ? ' ' : shown(found.codePointAt(0) ?? 0);
  });
}

/** ESC as ␛, what has no picture as <U+009B>. */
function shown(code: number): string {
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? '\u2421' : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}
