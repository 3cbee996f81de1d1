import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';

export type ServingState = 'ready' | 'draining' | 'replaced' | 'refusing' | 'closed';

export interface ShutdownOptions {
  /**
   * Whether another process serves the port from now on. Then nothing is announced, and requests
   * of connections that are open are served until these have closed; there is no drain delay.
   */
  readonly isReplaced: boolean;
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
 * Whether an app serves, and how it stops: `ready` → `draining` (announced, still serves) or
 * `replaced` (serves the connections it has) → `refusing` (open responses finish, new requests get
 * 503) → `closed`.
 */
export class Shutdown {
  #state: ServingState = 'ready';
  #open = 0;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  /** Set while a replaced server takes its time. */
  #hurry: ((timeoutMs: number) => void) | undefined;

  get state(): ServingState {
    return this.#state;
  }

  /** Whether calls may be sent here. */
  get isReady(): boolean {
    return this.#state === 'ready' || this.#state === 'replaced';
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

  /**
   * Stops serving, with the server if there is one. Resolves when all is closed. Calls join; one
   * without `isReplaced` takes from a replaced server the time that it was given as such.
   */
  close(server: Server | undefined, options: ShutdownOptions): Promise<void> {
    if (!options.isReplaced) this.#hurry?.(options.timeoutMs);
    return (this.#closed ??= this.#close(server, options));
  }

  async #close(server: Server | undefined, options: ShutdownOptions): Promise<void> {
    const { isReplaced, onDraining, drainDelayMs, timeoutMs, onTimeout } = options;
    const hurried = new Promise<number>((resolve) => {
      if (isReplaced) this.#hurry = resolve;
    });
    this.#state = isReplaced ? 'replaced' : 'draining';
    const delay = isReplaced
      ? Promise.race([connectionsClosed(server), hurried])
      : after(drainDelayMs);
    await Promise.all([onDraining(), delay]);
    this.#state = 'refusing';
    const stopped = stopListening(server);
    if (!(await this.#idle(timeoutMs, hurried, server))) {
      onTimeout();
      await this.#idle(LAST_WORDS_MS, undefined, server);
    }
    server?.closeAllConnections(); // those that never sent a request, and those that would not end
    await stopped;
    this.#state = 'closed';
  }

  /**
   * True when no response is open, within the time, or within the one that `hurried` brings.
   * Connections are closed as soon as they are idle, or keep-alive would hold the server open.
   */
  #idle(
    timeoutMs: number,
    hurried: Promise<number> | undefined,
    server: Server | undefined,
  ): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (isIdle: boolean): void => {
        clearTimeout(timer);
        this.#onIdle = undefined;
        resolve(isIdle);
      };
      let timer = setTimeout(done, timeoutMs, false);
      const check = (): void => {
        // Not at once: a connection is idle one turn of the event loop after its response.
        setImmediate(() => {
          server?.closeIdleConnections();
          if (this.#open === 0) done(true);
        });
      };
      void hurried?.then((shorterMs) => {
        if (this.#onIdle !== check) return;
        clearTimeout(timer);
        timer = setTimeout(done, shorterMs, false);
      });
      this.#onIdle = check;
      check();
    });
  }
}

function after(ms: number): Promise<void> | undefined {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
}

/**
 * Stops listening. Resolves when all connections have closed: each does after its next response, or
 * when it was idle for longer than any is kept.
 */
function connectionsClosed(server: Server | undefined): Promise<void> | undefined {
  if (server === undefined) return undefined;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, server.keepAliveTimeout).unref();
    // An HTTP server's own `close` also closes idle connections: a request may be on its way there.
    NetServer.prototype.close.call(server, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function stopListening(server: Server | undefined): Promise<void> {
  if (server === undefined || !server.listening) return Promise.resolve();
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}
