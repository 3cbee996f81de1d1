/** The text, with a space in front if it would otherwise stick to the text spoken before it. */
export function apart(text: string, before: string): string {
  return /^\S/.test(text) && /\S$/.test(before) ? ` ${text}` : text;
}
