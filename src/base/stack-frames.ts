/**
 * The lines of an error's stack that are calls, without the space in front. The message, which may
 * have several lines, comes before them.
 */
export function framesOf({ stack, message }: Pick<Error, 'stack' | 'message'>): string[] {
  if (typeof stack !== 'string') return [];
  const text = String(message);
  const start = stack.indexOf(text);
  const lines = (start === -1 ? stack : stack.slice(start + text.length)).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('at '));
}
