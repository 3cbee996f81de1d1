// Text from outside, for a person at a terminal.

/** Text as one line of at most `maxLength` characters: neither a line break nor an escape sequence gets through. */
export function oneLine(text: string, maxLength = 500): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

/** A word as a POSIX shell takes it literally. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`;
}
