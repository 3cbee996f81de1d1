// Text for a person at a terminal, much of it from outside.

/**
 * The text as one line of at most `maxLength` characters, without line breaks and escape sequences.
 */
export function oneLine(text: string, maxLength = 500): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

/** A log record as one line: the message, the tool that it is about, and what went wrong. */
export function describeLogLine(line: string): string {
  const { msg, tool, error, problem, reason } = JSON.parse(line) as {
    msg: string;
    tool?: string;
    error?: { message?: string };
    problem?: string;
    reason?: string;
  };
  const parts = [msg, tool, error?.message ?? problem ?? reason];
  return oneLine(parts.filter((part) => part !== undefined).join(': '));
}

/** The word quoted so that a POSIX shell takes it literally. */
export function shellWord(word: string): string {
  const isPlain = /^[\w@%+=:,./-][\w@%+=:,./#-]*$/.test(word);
  return isPlain ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`;
}

/** `1 word`, `2 words`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** The rows as lines, with columns of equal width. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, { length }] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, length);
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
}

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
