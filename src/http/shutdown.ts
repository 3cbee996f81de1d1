import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';

import type { Check } from './compose.ts';
import { ServiceUnavailable } from './errors.ts';

type ServingState = 'ready' | 'draining' | 'replaced' | 'refusing';

export interface ShutdownOptions {
  /**
   * Whether another process now serves the port. Then nothing is announced, there is no drain
   * delay, and open connections are served until they close.
   */
  readonly isReplaced: boolean;
  /** Called while requests are still served. */
  readonly onDraining: () => Promise<void>;
  /** How long requests are still served before new ones are refused. */
  readonly drainDelayMs: number;
  /** How long open responses may take to finish after that. */
  readonly timeoutMs: number;
  /** Called if responses are still open after that time. */
  readonly onTimeout: () => void;
}

const LAST_WORDS_MS = 1_000;

/**
 * The state of an app that serves or stops: `ready` → `draining` (announced, still serves) or
 * `replaced` (serves its open connections) → `refusing` (open responses finish, new requests get
 * 503).
 */
export class Shutdown {
  #state: ServingState = 'ready';
  #open = 0;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  /** Set while a replaced server finishes at leisure. */
  #hurry: ((timeoutMs: number) => void) | undefined;

  /** Whether new calls are welcome. */
  get isReady(): boolean {
    return this.#state === 'ready' || this.#state === 'replaced';
  }

  /** While the server shuts down, answers close their connection; later they are all 503. */
  readonly check: Check = (context) => {
    if (this.#state === 'ready') return;
    context.setHeader('connection', 'close');
    if (this.#state !== 'draining' && this.#state !== 'replaced') {
      throw new ServiceUnavailable('the server is shutting down', 1);
    }
  };

  /** Counts a response. Call `leave` when it is over. */
  enter(): void {
    this.#open += 1;
  }

  leave(): void {
    this.#open -= 1;
    this.#onIdle?.();
  }

  /**
   * Stops serving and closes the server, if any. Resolves when everything is closed. Repeated
   * calls join the first; one without `isReplaced` ends the extra time of a replaced server.
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
      : sleep(drainDelayMs);
    await Promise.all([onDraining(), delay]);
    this.#state = 'refusing';
    const stopped = stopListening(server);
    if (!(await this.#idle(timeoutMs, hurried, server))) {
      onTimeout();
      await this.#idle(LAST_WORDS_MS, undefined, server);
    }
    server?.closeAllConnections(); // those without a request, and those that did not end
    await stopped;
  }

  /**
   * Resolves with true once no response is open, with false after `timeoutMs` or the time that
   * `hurried` brings. Closes connections as soon as they are idle, because keep-alive would hold
   * the server open.
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
        // Deferred, because a connection becomes idle one turn of the event loop after its
        // response.
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

function sleep(ms: number): Promise<void> | undefined {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
}

/**
 * Stops listening. Resolves when all connections have closed: each closes after its next response,
 * or after the longest keep-alive.
 */
function connectionsClosed(server: Server | undefined): Promise<void> | undefined {
  if (server === undefined) return undefined;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, server.keepAliveTimeout).unref();
    // Not the HTTP server's own `close`, which also closes idle connections: a request may be on
    // its way.
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
