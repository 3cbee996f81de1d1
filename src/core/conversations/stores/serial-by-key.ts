import type { Awaitable } from '../../../base/awaitable.ts';

/** Runs tasks that have the same key one after another, in the order requested. */
export class SerialByKey {
  /** The last pending task of each key. */
  readonly #last = new Map<string, Promise<void>>();

  run<T>(key: string, task: () => Awaitable<T>): Awaitable<T> {
    const last = this.#last.get(key);
    const answer = last === undefined ? task() : last.then(task);
    if (!(answer instanceof Promise)) return answer;
    const ended = (): void => {
      if (this.#last.get(key) === done) this.#last.delete(key);
    };
    const done = answer.then(ended, ended); // the caller handles the failure
    this.#last.set(key, done);
    return answer;
  }

  /** Resolves when all tasks requested so far have ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
