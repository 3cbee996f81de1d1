import type { Awaitable } from '../../base/awaitable.ts';

/** A tool took longer than its `timeoutMs`. */
export class ToolTimeout extends Error {
  override readonly name = 'TimeoutError';
  readonly code = 'ERR_TOOL_TIMEOUT';
  /** What the tool still returns or throws. */
  readonly late: Promise<unknown>;

  constructor(message: string, late: Promise<unknown>) {
    super(message);
    this.late = late;
  }
}

/**
 * What `run` returns, if it does so within `ms` milliseconds. Otherwise its signal fires and this
 * rejects with a `ToolTimeout`, whether or not `run` listens. The signal also fires with `outer`.
 */
export async function inTime<T>(
  ms: number,
  outer: AbortSignal,
  run: (signal: AbortSignal) => Awaitable<T>,
): Promise<T> {
  // Not `AbortSignal.any`: on Node 20 it may be collected before it fires.
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(outer.reason);
  outer.addEventListener('abort', onAbort);
  if (outer.aborted) onAbort();
  let timer: NodeJS.Timeout | undefined;
  const result = (async () => run(controller.signal))();
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new ToolTimeout(`the tool took longer than ${ms} ms`, result);
      controller.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
    outer.removeEventListener('abort', onAbort);
  }
}
