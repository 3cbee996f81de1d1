// Work that would hold up the loop, cut into slices between which everything else gets its turn.

import { soon, type Awaitable } from './awaitable.ts';

/** Work that may be paused wherever it yields. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** How long work may take at once, in milliseconds. Nearly all work is done by then. */
const FIRST_MS = 5;
const SLICE_MS = 10;

/** Does the work without a break. */
export function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Long work that is done one piece after another, so that many pieces take no more time at once
 * than one does.
 */
export class Slices {
  readonly #waiting = new Map<string, Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Does the work: at once if it takes less than 5 ms, otherwise in slices of 10 ms, one per round
   * of the loop. Work with the same key is done in the order in which it was given.
   */
  run<T>(key: string, work: Steps<T>): Awaitable<T> {
    if (!this.#waiting.has(key)) {
      const step = slice(work, FIRST_MS);
      if (step.done === true) return step.value;
    }
    const done = this.#last.then(() => inSlices(work));
    const ended = (): void => {
      if (this.#waiting.get(key) === last) this.#waiting.delete(key);
    };
    const last = done.then(ended, ended);
    this.#last = last;
    this.#waiting.set(key, last);
    return done;
  }
}

async function inSlices<T>(work: Steps<T>): Promise<T> {
  for (;;) {
    await soon();
    const step = slice(work, SLICE_MS);
    if (step.done === true) return step.value;
  }
}

function slice<T>(work: Steps<T>, ms: number): IteratorResult<undefined, T> {
  const endMs = performance.now() + ms;
  let step = work.next();
  while (step.done !== true && performance.now() < endMs) step = work.next();
  return step;
}
