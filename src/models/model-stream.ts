// How every model stream ends early: by its signal, or by its reader.

import type { ModelDelta } from './model.ts';

/**
 * Runs a stream of deltas under a signal of its own, which aborts when `signal` does and when the reader stops. From then on
 * nothing is yielded, and whatever `run` throws is the echo of the abort: the stream just ends.
 */
export function createModelStream(
  signal: AbortSignal,
  run: (signal: AbortSignal) => AsyncGenerator<ModelDelta, void, undefined>,
): AsyncGenerator<ModelDelta, void, undefined> {
  const controller = new AbortController();
  const stream = relay(signal, controller, run);
  const finish = stream.return.bind(stream);
  // A generator that awaits takes up `return()` only when its await is over, here up to 15 s later. The abort ends the await.
  stream.return = (value) => {
    controller.abort();
    return finish(value);
  };
  return stream;
}

async function* relay(
  outer: AbortSignal,
  controller: AbortController,
  run: (signal: AbortSignal) => AsyncGenerator<ModelDelta, void, undefined>,
): AsyncGenerator<ModelDelta, void, undefined> {
  if (outer.aborted) return;
  const abort = (): void => controller.abort(outer.reason);
  outer.addEventListener('abort', abort, { once: true });
  try {
    for await (const delta of run(controller.signal)) {
      if (controller.signal.aborted) return;
      yield delta;
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    outer.removeEventListener('abort', abort);
  }
}
