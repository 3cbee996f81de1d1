import { framesOf } from './stack-frames.ts';

const MAX_CAUSES = 4;
const NOT_SHOWN = '[not shown: it may quote the caller]';
/**
 * A stack line that names a place in code. Lines of a message may look like the beginning of one.
 */
const FRAME = /^at .*[:(](?:\d+:\d+|native|<anonymous>)\)?$/;

/**
 * The loggable part of an error thrown by user code: its name, code and stack, and those of its
 * causes. As its own message may quote the caller, `message` takes its place. Undefined for
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
