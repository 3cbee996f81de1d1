import { andThen, toAwaitable, type Awaitable } from '../../base/awaitable.ts';

/** Waits for conditions to hold, without polling them. */
export class Watchers {
  readonly #watching = new Set<() => void>();

  /**
   * Resolves with true once `isSo` holds, which is checked at each `changed`; with false after the
   * timeout, if there is one. Rejects as `isSo` does.
   */
  until(isSo: () => Awaitable<boolean>, timeoutMs = Infinity): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const done = (value: boolean): void => {
        clearTimeout(timer);
        this.#watching.delete(watch);
        resolve(value);
      };
      const watch = (): void => {
        const asked = andThen(toAwaitable(isSo()), (value) => {
          if (value) done(true);
        });
        if (asked instanceof Promise) asked.catch(reject);
      };
      const timer = timeoutMs === Infinity ? undefined : setTimeout(done, timeoutMs, false);
      this.#watching.add(watch);
      watch();
    });
  }

  readonly changed = (): void => {
    for (const watch of [...this.#watching]) watch();
  };
}
