// ChromeDriver as a process, and its protocol as one method. Ruled by https://www.w3.org/TR/webdriver2/

import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';

const START_MS = 30_000;
/**
 * Longer than the timeouts for pages and scripts that a session sets, so that WebDriver's own
 * error comes first.
 */
const COMMAND_MS = 60_000;
const MAX_OUTPUT_LENGTH = 4_000;

/** What the driver refused: `message` is its own, in one line. */
export class WebDriverError extends Error {
  override readonly name = 'WebDriverError';
  /** One of https://www.w3.org/TR/webdriver2/#errors, for instance `no such element`. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The driver ended because its port is taken: another attempt gets another one. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/** Starts with its construction; `listen` tells when it can be used. */
export class ChromeDriver {
  /** Settled when the process is gone, whatever ended it. */
  readonly exit: Promise<void>;
  readonly #process: ChildProcess;
  readonly #changes = new EventEmitter();
  /**
   * Aborted with the reason when the process ends: a command that waits for its answer would wait
   * for ever.
   */
  readonly #ended = new AbortController();
  #output = '';
  #port = 0;

  constructor(executable: string, env: NodeJS.ProcessEnv) {
    // The leader of a group of its own, to which the browser belongs too.
    this.#process = spawn(executable, ['--port=0'], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const read = (text: string): void => {
      this.#output = (this.#output + text).slice(-MAX_OUTPUT_LENGTH);
      this.#changes.emit('change');
    };
    this.#process.stdout?.setEncoding('utf8').on('data', read);
    this.#process.stderr?.setEncoding('utf8').on('data', read);
    this.exit = new Promise((resolve) => {
      this.#process.once('error', (cause) => {
        this.#ended.abort(new Error(`${executable} does not start: ${cause.message}`, { cause }));
        resolve();
      });
      this.#process.once('close', (code, signal) => {
        const message = `chromedriver ended with ${signal ?? `exit code ${code}`}: ${this.#output.trim()}`;
        this.#ended.abort(
          this.#output.includes('bind() failed: Address already in use')
            ? new PortTakenError(message)
            : new Error(message),
        );
        resolve();
      });
    });
  }

  /**
   * Resolves when it takes commands; rejects when it ends before (`PortTakenError` among it), or
   * says nothing of the kind in 30 s.
   */
  async listen(): Promise<void> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(START_MS)]);
    for (;;) {
      // Its first line names the port that was asked for, 0; this is the last one, and may come in
      // pieces.
      const found = /started successfully on port (\d+)\D/.exec(this.#output);
      if (found !== null) {
        this.#port = Number(found[1]);
        return;
      }
      try {
        await once(this.#changes, 'change', { signal });
      } catch (error) {
        if (this.#ended.signal.aborted) throw this.#ended.signal.reason;
        throw new Error(
          `chromedriver did not listen within ${START_MS} ms: ${this.#output.trim()}`,
          { cause: error },
        );
      }
    }
  }

  /**
   * Sends a command and returns its value. `about` is what an error is to name besides, for
   * instance the element. Throws a `WebDriverError` for what is refused, and an `Error` when the
   * driver ended or does not answer in 60 s.
   */
  async command<T>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
    about?: string,
  ): Promise<T> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(COMMAND_MS)]);
    let value: unknown;
    let isRefused: boolean;
    try {
      const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
        method,
        signal,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      isRefused = !response.ok;
      ({ value } = (await response.json()) as { value: unknown });
    } catch (cause) {
      // The socket may tell of the end before the process does.
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) await this.exit;
      if (this.#ended.signal.aborted) throw this.#ended.signal.reason;
      throw new Error(`chromedriver does not answer ${method} ${path}: ${String(cause)}`, {
        cause,
      });
    }
    if (!isRefused) return value as T;
    const { error, message } = value as { error: string; message: string };
    // Below its first lines is the version of the browser, and a stack of addresses.
    const reason = message.split('\n  (Session info:')[0]?.replaceAll('\n', ' ') ?? error;
    throw new WebDriverError(error, about === undefined ? reason : `${about}: ${reason}`);
  }

  /**
   * Ends it and its browser at once. A browser outlives a driver that alone is killed, and one that
   * hangs does not close politely.
   */
  kill(): void {
    this.#ended.abort(new Error('the browser was closed'));
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // both are gone already
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}
