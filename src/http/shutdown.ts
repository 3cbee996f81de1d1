import type { Server } from 'node:http';

export type ServingState = 'ready' | 'draining' | 'refusing' | 'closed';

export interface ShutdownOptions {
  /** What has to be told while requests are still served. */
  readonly onDraining: () => Promise<void>;
  /** Requests are still served for so long while `state` is `draining`. */
  readonly drainDelayMs: number;
  /** From then on, how long open responses may finish. */
  readonly timeoutMs: number;
  /** Called at that time, for what is still open then. */
  readonly onTimeout: () => void;
}

const LAST_WORDS_MS = 1_000;

/**
 * Whether an app serves, and how it stops: `ready` → `draining` (announced, still serves) →
 * `refusing` (open responses finish, new requests get 503) → `closed`.
 */
export class Shutdown {
  #state: ServingState = 'ready';
  #open = 0;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  get state(): ServingState {
    return this.#state;
  }

  /** Responses that are open now. */
  get openResponses(): number {
    return this.#open;
  }

  /** Counts a response, which must `leave` when it is over. */
  enter(): void {
    this.#open += 1;
  }

  leave(): void {
    this.#open -= 1;
    this.#onIdle?.();
  }

  /** Stops serving, with the server if there is one. Resolves when all is closed. Calls join. */
  close(server: Server | undefined, options: ShutdownOptions): Promise<void> {
    return (this.#closed ??= this.#close(server, options));
  }

  async #close(server: Server | undefined, options: ShutdownOptions): Promise<void> {
    const { onDraining, drainDelayMs, timeoutMs, onTimeout } = options;
    this.#state = 'draining';
    const delay =
      drainDelayMs > 0 ? new Promise((resolve) => setTimeout(resolve, drainDelayMs)) : undefined;
    await Promise.all([onDraining(), delay]);
    this.#state = 'refusing';
    const stopped = stopListening(server);
    if (!(await this.#idle(timeoutMs, server))) {
      onTimeout();
      await this.#idle(LAST_WORDS_MS, server);
    }
    server?.closeAllConnections(); // those that never sent a request, and those that would not end
    await stopped;
    this.#state = 'closed';
  }

  /**
   * True when no response is open, within the time. Connections are closed as soon as they are
   * idle, or keep-alive would hold the server open.
   */
  #idle(timeoutMs: number, server: Server | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (isIdle: boolean): void => {
        clearTimeout(timer);
        this.#onIdle = undefined;
        resolve(isIdle);
      };
      const timer = setTimeout(done, timeoutMs, false);
      const check = (): void => {
        // Not at once: a connection is idle one turn of the event loop after its response.
        setImmediate(() => {
          server?.closeIdleConnections();
          if (this.#open === 0) done(true);
        });
      };
      this.#onIdle = check;
      check();
    });
  }
}

function stopListening(server: Server | undefined): Promise<void> {
  if (server === undefined || !server.listening) return Promise.resolve();
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}
