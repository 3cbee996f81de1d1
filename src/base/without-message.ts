const MAX_CAUSES = 4;
/**
 * A stack line that names a place in code. Lines of a message may look like the beginning of one.
 */
const FRAME = /^\s*at .*[:(](?:\d+:\d+|native|<anonymous>)\)?$/;

/**
 * The loggable part of an error thrown by user code: its name, code and stack, and those of its
 * causes. Never its message, which may quote the caller.
 */
export function withoutMessage(error: unknown, depth = 0): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  const bare: Error & { code?: unknown } = new Error('');
  bare.name = error.name;
  if ('code' in error) bare.code = error.code;
  bare.stack = framesOf(error);
  if (depth < MAX_CAUSES) bare.cause = withoutMessage(error.cause, depth + 1);
  return bare;
}

function framesOf({ stack, message }: Error): string {
  if (typeof stack !== 'string') return '';
  const start = stack.indexOf(message);
  const frames = start === -1 ? stack : stack.slice(start + message.length);
  return frames
    .split('\n')
    .filter((line) => FRAME.test(line))
    .join('\n');
}
