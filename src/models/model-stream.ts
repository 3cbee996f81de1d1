// How every model stream ends early: through its signal, or because its reader stops.

import type { ModelDelta } from './model.ts';

/**
 * Runs a stream of deltas under its own signal. That signal aborts when `signal` does, and when the
 * reader stops. After that nothing more is yielded, and an error from `run` is only an echo of the
 * abort: the stream just ends.
 */
export function createModelStream(
  signal: AbortSignal,
  run: (signal: AbortSignal) => AsyncGenerator<ModelDelta, void, undefined>,
): AsyncGenerator<ModelDelta, void, undefined> {
  const controller = new AbortController();
  const stream = relay(signal, controller, run);
  const finish = stream.return.bind(stream);
  // A generator handles `return()` only after its pending `await`, which can take as long as a
  // model's timeout. The abort ends that `await`.
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
