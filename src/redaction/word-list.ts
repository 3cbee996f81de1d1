/** A pattern for one of the words, which blanks part. `_` stands for a blank in a word. */
export function anyWordOf(words: string): string {
  return `(?:${words.trim().split(/\s+/).join('|').replaceAll('_', ' ')})`;
}
