// Ends a process of the server: handles signals and unawaited errors, and closes what runs
// alongside.

import { isAbort } from '../../base/abort.ts';
import type { LogFields, Logger } from '../../base/log.ts';
import { messageOf } from '../../base/thrown-values.ts';
import type { OpenServer, OpenServerOptions } from './open-server.ts';

/** Something that runs alongside the server, for example a tunnel. */
export interface Companion {
  /**
   * Resolves when it ends. A `reason` means that nobody closed it. The server then ends too, with
   * exit code 1.
   */
  readonly ended: Promise<{ readonly reason: string | undefined }>;
  /** Called before the server closes. */
  close(): Promise<void>;
}

export interface RunOptions extends Pick<OpenServerOptions, 'loadPlatform'> {
  /**
   * Opens the companion once the server listens. `closing` fires if the server ends in the
   * meantime. If this rejects, the server ends with the error's message and exit code 1.
   */
  readonly accompany?: (
    server: Pick<OpenServer, 'origin' | 'settings'>,
    closing: AbortSignal,
  ) => Promise<Companion>;
}

interface ClosingOptions {
  readonly log: Logger;
  /** Closes everything that was opened. */
  readonly close: () => Promise<void>;
  /** Added to the log line that announces the closing. */
  readonly fields?: () => LogFields;
  /** Called after an unawaited error has been logged. Default: close, with exit code 1. */
  readonly onFailure?: (what: string) => void;
}

const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

type ClosingSignal = keyof typeof EXIT_CODES;

/** Ends the process once, however many reasons there are. Create it when the server is open. */
export class Closing {
  readonly #options: ClosingOptions;
  readonly #controller = new AbortController();
  #companion: Promise<Companion> | undefined;
  #exitCode = 0;

  constructor(options: ClosingOptions) {
    this.#options = options;
    process.on('uncaughtException', (error) => this.#fail('uncaught exception', error));
    process.on('unhandledRejection', (reason) => this.#fail('unhandled rejection', reason));
  }

  /** Fires when closing begins. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * The first signal closes the server and ends the process with code 0. A second one ends it at
   * once.
   */
  readonly onSignal = (signal: ClosingSignal): void => {
    if (this.signal.aborted) process.exit(EXIT_CODES[signal]);
    void this.close({ signal }, 0);
  };

  /** Closes everything and ends the process. The highest exit code requested wins. */
  async close(cause: LogFields, exitCode: number): Promise<void> {
    const { log, fields, close } = this.#options;
    this.#exitCode = Math.max(this.#exitCode, exitCode);
    if (this.signal.aborted) return;
    this.#controller.abort();
    log.info('closing', { ...cause, ...fields?.() });
    try {
      // A companion that did not start has already reported its error.
      await this.#companion?.then((companion) => companion.close(), () => undefined);
      await close();
      log.info('closed');
      process.exit(this.#exitCode);
    } catch (error) {
      log.error('closing failed', { error });
      process.exit(1);
    }
  }

  /**
   * Opens a companion. If that fails, or if the companion ends unexpectedly, logs why and closes.
   */
  async accompany(
    open: (closing: AbortSignal) => Promise<Companion>,
    tell: (reason: string) => void,
  ): Promise<void> {
    this.#companion = open(this.signal);
    const reason = await this.#companion.then(
      async (companion) => (await companion.ended).reason,
      messageOf,
    );
    if (reason === undefined || this.signal.aborted) return;
    tell(reason);
    await this.close({ reason }, 1);
  }

  /**
   * Handles an unawaited error, usually from the agent. The agent's state is then unknown, so no
   * new calls should arrive. Open turns may still finish.
   */
  #fail(what: 'uncaught exception' | 'unhandled rejection', error: unknown): void {
    const { log, onFailure } = this.#options;
    if (isAbort(error)) {
      log.debug('an abort that nobody awaited', { error });
      return;
    }
    log.error(what, { error });
    this.#exitCode = 1;
    if (onFailure === undefined) void this.close({ reason: what }, 1);
    else onFailure(what);
  }
}
