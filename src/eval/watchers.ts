import { andThen, toAwaitable, type Awaitable } from '../base/awaitable.ts';

/** Waits for something to become so, without looking at it all the time. */
export class Watchers {
  readonly #watching = new Set<() => void>();

  /**
   * Resolves with true once this is so, asked at each `changed`; with false after the time. Rejects
   * as `isSo` does.
   */
  until(isSo: () => Awaitable<boolean>, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (value: boolean): void => {
        clearTimeout(timer);
        this.#watching.delete(watch);
        resolve(value);
      };
      const watch = (): void => {
        const asked = andThen(toAwaitable(isSo()), (value) => {
          if (value) settle(true);
        });
        if (asked instanceof Promise) asked.catch(reject);
      };
      const timer = setTimeout(settle, timeoutMs, false);
      this.#watching.add(watch);
      watch();
    });
  }

  readonly changed = (): void => {
    for (const watch of [...this.#watching]) watch();
  };
}
