/** The text, with a leading space if it would otherwise run into the text spoken before it. */
export function apart(text: string, before: string): string {
  return /^\S/.test(text) && /\S$/.test(before) ? ` ${text}` : text;
}
