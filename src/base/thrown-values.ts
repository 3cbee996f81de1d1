// What can be said about a thrown value. JavaScript can throw anything: objects without a
// prototype, which cannot become text, and errors whose message is not a string.

const MAX_CAUSES = 4;
const NOT_SHOWN = '[not shown: it may quote the caller]';
/**
 * A stack line that names a place in code. Lines of a message may look like the beginning of one.
 */
const FRAME = /^at .*[:(](?:\d+:\d+|native|<anonymous>)\)?$/;

export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something without a message was thrown';
  }
}

/**
 * The code of a system error, such as `ENOENT`, or of one of Node's own errors. Otherwise
 * undefined.
 */
export function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}

/**
 * The lines of an error's stack that are calls, without the leading space. The message, which may
 * have several lines, comes before them.
 */
export function framesOf({ stack, message }: Pick<Error, 'stack' | 'message'>): string[] {
  if (typeof stack !== 'string') return [];
  const text = String(message);
  const start = stack.indexOf(text);
  const lines = (start === -1 ? stack : stack.slice(start + text.length)).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('at '));
}

/**
 * The loggable part of an error thrown by user code: its name, code and stack, and those of its
 * causes. `message` takes the place of its own message, which may quote the caller. Undefined for
 * anything that is not an error, and for one whose fields throw when they are read.
 */
export function withoutMessage(error: unknown, message: string = NOT_SHOWN): Error | undefined {
  try {
    return partsOf(error, message, 0);
  } catch {
    return undefined; // the failure of user code is reported, whatever it threw
  }
}

function partsOf(error: unknown, message: string, depth: number): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  const bare: Error & { code?: unknown } = new Error(message);
  bare.name = String(error.name);
  if ('code' in error) bare.code = error.code;
  bare.stack = framesOf(error).filter((line) => FRAME.test(line)).join('\n');
  if (depth < MAX_CAUSES) bare.cause = partsOf(error.cause, NOT_SHOWN, depth + 1);
  return bare;
}
