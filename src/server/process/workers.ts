// Starts, replaces and closes the workers of a primary.

import cluster, { type Worker } from 'node:cluster';

import { BackOff } from '../../base/back-off.ts';
import type { Environment } from '../../base/environment.ts';
import type { Logger } from '../../base/log.ts';
import type { MetricText } from '../../base/metrics.ts';
import type { DevelopmentSecret } from './development-secret.ts';
import { WholeLines } from './whole-lines.ts';
import { WORKER_MARK } from './worker-mark.ts';
import { messageIn, Outbox, type MessageToPrimary } from './worker-messages.ts';

interface WorkersOptions {
  readonly count: number;
  /** Variables that workers get in addition to those of this process. */
  readonly environment: Environment;
  readonly log: Logger;
  /** Called with whole lines of the workers' logs. */
  readonly write: (lines: string) => void;
  readonly isTerminal: boolean;
  readonly missingSecret: DevelopmentSecret | undefined;
  /** How long workers may take to close. One that takes longer is killed. */
  readonly closingMs: number;
  /** Called with a worker's messages, except those about its own life. */
  readonly onMessage: (message: MessageToPrimary, from: WorkerProcess) => void;
  readonly onGone: (worker: WorkerProcess) => void;
}

/** How often each worker is checked, and for how many checks in a row it may be silent. */
const CHECK_INTERVAL_MS = 1_000;
const MAX_SILENT_CHECKS = 15;
/** How long after a worker's end its output is still read. */
const LAST_WORDS_MS = 1_000;

/** The server cannot continue without workers. */
export class WorkersError extends Error {
  override readonly name = 'WorkersError';
  /** Whether the worker has already reported what is wrong. */
  readonly isReported: boolean;

  constructor(exit: WorkerExit) {
    super(`a worker ended before it listened: ${described(exit)}`);
    this.isReported = exit.exitCode === 1;
  }
}

/** How a process ended. */
interface WorkerExit {
  readonly exitCode: number | null | undefined;
  readonly signal: string | null | undefined;
  /** Why the process could not be started. */
  readonly message: string | undefined;
}

/** A worker as its primary sees it. */
export class WorkerProcess {
  /** The address at which other workers reach it. Empty until it has reported it. */
  address = '';
  readonly outbox: Outbox;
  /** Resolves with the origin it listens on, or with undefined if it ended before that. */
  readonly listening: Promise<string | undefined>;
  /** Resolves when it has ended and its output and messages have been read, or 1 s later. */
  readonly gone: Promise<WorkerExit>;
  /** `performance.now()` when it began to listen. Undefined before that. */
  listeningSinceMs: number | undefined;
  /** Whether it has been replaced and takes no new calls. */
  isRetired = false;
  /** How often it has been checked since it last sent something. */
  silentChecks = 0;
  /** Its last report. */
  counts: readonly MetricText[] = [];
  metrics: readonly MetricText[] = [];
  readonly #worker: Worker;

  constructor(worker: Worker, write: (lines: string) => void) {
    this.#worker = worker;
    this.outbox = new Outbox((message, callback) => {
      if (worker.isConnected()) worker.send(message, undefined, undefined, callback);
      else callback();
    });
    const lines = new WholeLines(write);
    worker.process.stdout?.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    this.gone = ended(worker).then((exit) => {
      lines.end();
      return exit;
    });
    this.listening = new Promise((resolve) => {
      this.onMessage((message) => {
        if (message.type === 'listening') resolve(message.origin);
      });
      void this.gone.then(() => resolve(undefined));
    });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  onMessage(listener: (message: MessageToPrimary) => void): void {
    this.#worker.on('message', (value: unknown) => {
      const message = messageIn<MessageToPrimary>(value);
      if (message !== undefined) listener(message);
    });
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }
}

function ended(worker: Worker): Promise<WorkerExit> {
  const { process: child } = worker;
  const disconnected = new Promise<void>((resolve) => worker.once('disconnect', () => resolve()));
  return new Promise((resolve) => {
    worker.on('error', ({ message }) => {
      // A program that could not be started never emits `close`. Other errors are about messages
      // that an ending worker does not read.
      if (child.pid === undefined) resolve({ exitCode: undefined, signal: undefined, message });
    });
    const read = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.once('exit', (exitCode, signal) => {
      const gone = (): void => resolve({ exitCode, signal, message: undefined });
      const late = setTimeout(gone, LAST_WORDS_MS); // a child of its own may keep the pipe open
      void Promise.all([read, disconnected]).then(() => {
        clearTimeout(late);
        gone();
      });
    });
  });
}

/** Keeps the required number of workers serving. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #all = new Set<WorkerProcess>();
  #isStarted = false;
  /** Set when all must close. */
  #closingSignal: string | undefined;
  #died = 0;
  readonly #backOff = new BackOff();
  /** Set while waiting to start the next worker. */
  #replacement: NodeJS.Timeout | undefined;
  #replacing: Promise<void> | undefined;
  #isToReplaceAgain = false;
  /** The worker that is to take another's place. If it does not start, no call is lost. */
  #successor: WorkerProcess | undefined;
  /** Rejects when no worker can be started. */
  readonly failed: Promise<never>;
  #fail: (error: WorkersError) => void = () => undefined;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => undefined); // handled by those who await it
    const [, exec = ''] = process.argv;
    // Workers accept from one shared socket. By default the primary accepts and hands over; then a
    // connection that a worker did not live to acknowledge stays open and unanswered for good.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec,
      args: process.argv.slice(2),
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    if (!isInspected(process.execArgv, process.env['NODE_OPTIONS']))
      setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref();
    // A worker that does not read its messages would stay alive.
    process.on('exit', () => this.#all.forEach((worker) => worker.kill()));
  }

  /** All running workers, including those that are starting or finishing their work. */
  get all(): readonly WorkerProcess[] {
    return [...this.#all];
  }

  /** The number of workers that take calls. */
  get serving(): number {
    return this.#serving().length;
  }

  /** The number of workers that ended unexpectedly. */
  get died(): number {
    return this.#died;
  }

  /**
   * Starts the workers, the first one alone so that a problem is reported only once. Resolves with
   * their origin when all are listening; rejects as `failed` does.
   */
  async start(): Promise<string> {
    const origin = await this.#fork({ greets: true }).listening;
    if (origin === undefined) return this.failed;
    this.#fill();
    const origins = await Promise.all(this.all.map(({ listening }) => listening));
    if (origins.includes(undefined)) return this.failed;
    this.#isStarted = true;
    return origin;
  }

  /**
   * Replaces the workers one after another. Each continues until its successor listens, and then
   * until its connections have closed. If called again meanwhile, all are replaced once more
   * afterwards.
   */
  replaceAll(): Promise<void> {
    this.#isToReplaceAgain = true;
    return (this.#replacing ??= this.#replaceAll().finally(() => (this.#replacing = undefined)));
  }

  /** Resolves when all have closed; rejects if some were killed. */
  async close(signal: string): Promise<void> {
    const { log, closingMs } = this.#options;
    this.#closingSignal = signal;
    clearTimeout(this.#replacement);
    const late = setTimeout(() => {
      for (const worker of this.#all) {
        log.error('a worker did not close in time', { worker: worker.pid });
        worker.kill();
      }
    }, closingMs);
    const exits = await Promise.all(
      this.all.map((worker) => {
        void worker.outbox.send({ type: 'close', signal });
        return worker.gone;
      }),
    );
    clearTimeout(late);
    if (exits.some((exit) => exit.signal === 'SIGKILL')) {
      throw new Error('workers were killed');
    }
  }

  #serving(): readonly WorkerProcess[] {
    return this.all.filter((worker) => hasListened(worker) && !worker.isRetired);
  }

  /** Starts the missing workers. */
  #fill(): void {
    const { count } = this.#options;
    const missing = count - this.all.filter(({ isRetired }) => !isRetired).length;
    for (let index = 0; index < missing; index++) this.#fork();
  }

  #fork({ greets = false } = {}): WorkerProcess {
    const { environment, write, onMessage } = this.#options;
    const worker = new WorkerProcess(cluster.fork({ ...WORKER_MARK, ...environment }), write);
    this.#all.add(worker);
    worker.onMessage((message) => {
      worker.silentChecks = 0;
      if (message.type === 'ready') this.#begin(worker, message.address, greets);
      else if (message.type === 'listening') this.#listens(worker);
      else if (message.type === 'failed') this.#failing(worker);
      else onMessage(message, worker);
    });
    void worker.gone.then((exit) => this.#gone(worker, exit));
    return worker;
  }

  #begin(worker: WorkerProcess, address: string, greets: boolean): void {
    const { outbox } = worker;
    worker.address = address;
    const { count: processes, isTerminal, missingSecret } = this.#options;
    const signal = this.#closingSignal;
    if (signal !== undefined) void outbox.send({ type: 'close', signal });
    else void outbox.send({ type: 'start', processes, missingSecret, isTerminal, greets });
  }

  #listens(worker: WorkerProcess): void {
    worker.listeningSinceMs = performance.now();
    // Retires workers that failed while no other was serving.
    for (const other of this.all) {
      if (other.isRetired && other !== worker) void other.outbox.send({ type: 'retire' });
    }
  }

  /**
   * Kills workers that hang: connections they have accepted would wait for good, and so would new
   * ones if all hang. Counts checks and not time, or all workers would die after the primary was
   * suspended for a while.
   */
  #check(): void {
    for (const worker of this.all.filter(hasListened)) {
      worker.silentChecks += 1;
      if (worker.silentChecks !== MAX_SILENT_CHECKS) continue;
      this.#options.log.error('a worker stopped answering and was killed', { worker: worker.pid });
      worker.kill();
    }
  }

  /** The worker had an unawaited error: replace it. */
  #failing(worker: WorkerProcess): void {
    if (worker.isRetired || this.#closingSignal !== undefined) return;
    this.#retire(worker);
    this.#died += 1;
    this.#fillLater(worker);
  }

  /** If no other worker is serving, this one continues until one is. */
  #retire(worker: WorkerProcess): void {
    worker.isRetired = true;
    if (this.serving > 0) void worker.outbox.send({ type: 'retire' });
  }

  #gone(worker: WorkerProcess, exit: WorkerExit): void {
    const { log, onGone } = this.#options;
    this.#all.delete(worker);
    onGone(worker);
    if (worker.isRetired || this.#closingSignal !== undefined) return;
    if (!hasListened(worker) && (!this.#isStarted || !this.all.some(hasListened))) {
      this.#fail(new WorkersError(exit));
      return;
    }
    if (worker !== this.#successor || hasListened(worker)) {
      log.error('a worker died', { worker: worker.pid, reason: described(exit) });
      this.#died += 1;
    }
    this.#fillLater(worker);
  }

  /** Starts the missing workers after a pause, because this worker is gone. */
  #fillLater({ listeningSinceMs }: WorkerProcess): void {
    if (this.#replacement !== undefined) return; // several dying at once count as one failure
    const servedMs = listeningSinceMs === undefined ? 0 : performance.now() - listeningSinceMs;
    this.#replacement = setTimeout(() => {
      this.#replacement = undefined;
      this.#fill();
    }, this.#backOff.delayAfter(servedMs));
  }

  async #replaceAll(): Promise<void> {
    const { log } = this.#options;
    while (this.#isToReplaceAgain && this.#closingSignal === undefined) {
      this.#isToReplaceAgain = false;
      // Otherwise each signal would double the number of workers.
      await Promise.all(this.all.filter(({ isRetired }) => isRetired).map(({ gone }) => gone));
      const old = this.#serving();
      log.info('replacing workers', { workers: old.length });
      for (const worker of old) {
        if (this.#closingSignal !== undefined) return;
        if (!this.#all.has(worker)) continue; // it died and has already been replaced
        this.#successor = this.#fork();
        const isReplaced = (await this.#successor.listening) !== undefined;
        if (this.#closingSignal !== undefined) return;
        if (!isReplaced) {
          log.error('a worker was not replaced: its successor did not start', {
            worker: worker.pid,
          });
          return;
        }
        this.#retire(worker);
      }
      log.info('workers replaced');
    }
  }
}

/** Whether a worker may be held up in a debugger. */
export function isInspected(execArgv: readonly string[], nodeOptions = ''): boolean {
  return [...execArgv, ...nodeOptions.split(/\s+/)].some((flag) => flag.startsWith('--inspect'));
}

function hasListened({ listeningSinceMs }: WorkerProcess): boolean {
  return listeningSinceMs !== undefined;
}

function described({ exitCode, signal, message }: WorkerExit): string {
  return message ?? signal ?? `exit code ${exitCode}`;
}
