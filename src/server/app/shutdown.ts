import type { Server } from 'node:http';

import type { Check } from '../../base/http/compose.ts';
import { ServiceUnavailable } from '../../base/http/errors.ts';
import type { HttpResponse } from '../../base/http/exchange.ts';
import { lastConnectionClosed, stopListening } from '../../base/http/server.ts';
import type { Turns } from '../../core/turns/turns.ts';
import type { AppParts } from './app-parts.ts';

/** What stops, besides the agents. */
export type ShutdownParts = Pick<
  AppParts, 'settings' | 'openSessions' | 'platform' | 'records' | 'channel' | 'store' | 'tracing'
>;

interface StoppingAgent {
  readonly turns: Pick<Turns, 'interruptAll' | 'close'>;
}

const LAST_WORDS_MS = 1_000;

/**
 * How an app stops, from the first step to the last. The process around it closes what accompanies
 * the server first, and exits afterwards (server/process/closing.ts).
 */
export class Shutdown {
  readonly #parts: ShutdownParts;
  readonly #agents: readonly StoppingAgent[];
  readonly #fetched: ReadonlySet<Pick<HttpResponse, 'destroy'>>;
  readonly #timeoutMs: number;
  #state: 'ready' | 'draining' | 'replaced' | 'refusing' = 'ready';
  #open = 0;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;
  /** Set while a replaced app takes its time to finish. */
  #hurry: (() => void) | undefined;

  /** `fetched`: the open responses of `app.fetch`, which the server does not know. */
  constructor(
    parts: ShutdownParts,
    agents: readonly StoppingAgent[],
    fetched: ReadonlySet<Pick<HttpResponse, 'destroy'>>,
  ) {
    this.#parts = parts;
    this.#agents = agents;
    this.#fetched = fetched;
    this.#timeoutMs = parts.settings.shutdownTimeoutSeconds * 1_000;
  }

  /** Whether new calls are welcome. */
  get isReady(): boolean {
    return this.#state === 'ready' || this.#state === 'replaced';
  }

  /** While the app is stopping, answers close their connection; later they are all 503. */
  readonly check: Check = (context) => {
    if (this.#state === 'ready') return;
    context.setHeader('connection', 'close');
    if (this.#state === 'refusing') throw new ServiceUnavailable('the server is shutting down', 1);
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
   * Takes all steps. Repeated calls join the first; one without `isReplaced` ends the extra time of
   * a replaced app.
   */
  close(server: Server | undefined, isReplaced: boolean): Promise<void> {
    if (!isReplaced) this.#hurry?.();
    return (this.#closed ??= this.#close(server, isReplaced));
  }

  async #close(server: Server | undefined, isReplaced: boolean): Promise<void> {
    const { settings, openSessions, platform, records, channel, store, tracing } = this.#parts;
    const { drainDelaySeconds, drainCallsSeconds, turnTimeoutSeconds } = settings;
    let timeoutMs = Math.max(this.#timeoutMs, isReplaced ? turnTimeoutSeconds * 1_000 : 0);
    let endsAtMs = Infinity;
    let isHurried = false;
    const hurried = new Promise<void>((resolve) => {
      if (!isReplaced) return;
      this.#hurry = () => {
        isHurried = true;
        timeoutMs = this.#timeoutMs;
        endsAtMs = Math.min(endsAtMs, performance.now() + timeoutMs);
        resolve();
      };
    });

    // 1. The end is announced: `/ready` answers 503, and answers close their connections. If
    //    another process has taken the port, only the latter, because that process is ready.
    this.#state = isReplaced ? 'replaced' : 'draining';

    // 2. Requests are still served: for the drain delay, and until sessions are over if the
    //    settings allow time for that. A replaced app serves its connections until they close.
    const sessionsOver = async (): Promise<void> => {
      await openSessions?.over(drainCallsSeconds * 1_000);
      await platform?.close();
    };
    await Promise.all([
      sessionsOver(),
      isReplaced
        ? Promise.race([lastConnectionClosed(server), hurried])
        : sleep(drainDelaySeconds * 1_000),
    ]);
    endsAtMs = Math.min(endsAtMs, performance.now() + timeoutMs);

    // 3. New requests get 503, and open responses may finish. After the timeout their turns are
    //    interrupted, and get a second for their last words.
    this.#state = 'refusing';
    const stopped = stopListening(server);
    if (!(await this.#idle(server, timeoutMs, hurried))) {
      for (const { turns } of this.#agents) turns.interruptAll('the server is shutting down');
      await this.#idle(server, LAST_WORDS_MS);
    }

    // 4. Connections without a request, and those whose response has not ended, are closed.
    server?.closeAllConnections();
    await stopped;
    for (const response of this.#fetched) response.destroy(); // no server closes them

    // 5. Tools that should finish get the rest of the time. Then turns get a few seconds to write.
    const turnsClosed = (): Promise<unknown> => {
      const leftMs = Math.max(0, endsAtMs - performance.now());
      return Promise.all(this.#agents.map(({ turns }) => turns.close(leftMs)));
    };
    const inLessTime = isHurried ? [] : [hurried.then(turnsClosed)];
    await Promise.race([turnsClosed(), ...inLessTime]);

    // 6. Nobody writes call records, messages to other processes, conversations or traces any more.
    await records?.close();
    await channel?.close();
    await store.close();
    await tracing.tracer?.flush();
  }

  /**
   * Resolves with true once no response is open, with false after `ms`, or sooner if `hurried`.
   * Closes connections as soon as they are idle, because keep-alive would hold the server open.
   */
  #idle(server: Server | undefined, ms: number, hurried?: Promise<void>): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (isIdle: boolean): void => {
        clearTimeout(timer);
        this.#onIdle = undefined;
        resolve(isIdle);
      };
      let timer = setTimeout(done, ms, false);
      const check = (): void => {
        // Deferred, because a connection becomes idle one turn of the event loop after its
        // response.
        setImmediate(() => {
          server?.closeIdleConnections();
          if (this.#open === 0) done(true);
        });
      };
      void hurried?.then(() => {
        if (this.#onIdle !== check) return;
        clearTimeout(timer);
        timer = setTimeout(done, this.#timeoutMs, false);
      });
      this.#onIdle = check;
      check();
    });
  }
}

function sleep(ms: number): Promise<void> | undefined {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;
}
