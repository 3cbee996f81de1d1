// Shows text from outside to a person at a terminal.

/**
 * The text as one line of at most `maxLength` characters, without line breaks and escape sequences.
 */
export function oneLine(text: string, maxLength = 500): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

/** The word quoted so that a POSIX shell takes it literally. */
export function shellWord(word: string): string {
  const isPlain = /^[\w@%+=:,./-][\w@%+=:,./#-]*$/.test(word);
  return isPlain ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`;
}
