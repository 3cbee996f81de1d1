// The agent's side of a scenario in a process of its own, which can be killed.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { loadSqlite } from '../../conversations/stores/sqlite-library.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import type { Notes } from './notebook.ts';
import type { Access } from './stage-settings.ts';
import type { Address, OwnProcess, Stage } from './stage.ts';
import type { Mock } from './stand-in-lines.ts';

/** Marks a process as a stage. Its parent talks with it over IPC. */
export const STAGE_VARIABLE = 'LAYERCODE_MICROSERVER_STAGE';

/** What the process needs to know before it opens. */
export interface StageAccess extends Access {
  /** Of the SQLite database that outlives the process. */
  readonly storePath: string;
  /** How far the clock is ahead. It does not begin again in the next process. */
  readonly aheadMs: number | undefined;
}

/** The methods of a stage that a message can call. */
export type StageMethod = Exclude<keyof Stage, 'own'> | 'begin' | 'isStoreAway';

export interface StageCall {
  readonly id: number;
  readonly method: StageMethod;
  readonly args: readonly unknown[];
}

export type StageAnswer =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly message: string }
  | { readonly type: 'note'; readonly name: keyof Notes; readonly args: readonly unknown[] }
  /** The process is about to end. */
  | { readonly type: 'failing'; readonly reason: string };

/** The process of the agent ended by itself, or goes on without its store. */
export class StageLost extends Error {
  override readonly name = 'StageLost';
}

export interface StageProcessOptions {
  /** The program and its arguments, which serve one scenario. */
  readonly program: string;
  readonly argv: readonly string[];
  readonly directory: string;
  readonly access: Access;
  readonly notes: Notes;
  readonly aheadMs?: number | undefined;
}

/** Nothing tells that a store has come back. */
const LOOK_MS = 50;
const MAX_LOOKS = 100;

type RemoteMethod<Method> = Method extends (...args: infer Args) => infer Result
  ? (...args: Args) => Promise<Awaited<Result>> : never;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class StageProcess implements Stage, OwnProcess {
  readonly own: OwnProcess = this;
  readonly #options: StageProcessOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'layercode-eval-'));
  readonly #storePath = join(this.#folder, 'calls.db');
  readonly #waiting = new Map<number, Waiting>();
  readonly #mocks = new Map<string, Mock>();
  #calls = 0;
  /** The one that is called. */
  #child: ChildProcess | undefined;
  #address: Address | undefined;
  /** The one that was called before. */
  #other: { readonly child: ChildProcess; readonly address: Address } | undefined;
  /** Set while the store takes no writes. */
  #letWrite: (() => void) | undefined;
  /** Why the process is about to end. */
  #reason: string | undefined;
  #lost = new StageLost('the process of the agent has not begun');
  #answers: readonly ScriptedAnswer[] = [];
  /** Requests to the model since `prepare`. */
  #asked = 0;
  readonly answersLeft = this.#remote('answersLeft');
  readonly hold = this.#remote('hold');
  readonly release = this.#remote('release');
  readonly settled = this.#remote('settled');
  readonly turnState = this.#remote('turnState');
  readonly state = this.#remote('state');

  constructor(options: StageProcessOptions) {
    this.#options = options;
  }

  async open(): Promise<Address> {
    const { program, argv, directory, access, aheadMs } = this.#options;
    const child = fork(program, argv, {
      cwd: directory,
      env: { ...process.env, [STAGE_VARIABLE]: '1' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    child.on('message', (answer) => this.#take(answer as StageAnswer));
    child.once('exit', (code, signal) =>
      this.#lose(child, this.#reason ?? signal ?? `code ${code}`));
    const given: StageAccess = { ...access, storePath: this.#storePath, aheadMs };
    await this.#call('begin', given);
    for (const mock of this.#mocks.values()) await this.#call('mock', mock);
    await this.#prepareRest();
    return (this.#address = (await this.#call('open')) as Address);
  }

  async prepare(answers: readonly ScriptedAnswer[]): Promise<void> {
    this.#answers = answers;
    this.#asked = 0;
    await this.#call('prepare', answers);
  }

  /** Gives the process what the model has not been asked for. */
  async #prepareRest(): Promise<void> {
    await this.#call('prepare', this.#answers.slice(this.#asked));
  }

  async mock(mock: Mock): Promise<void> {
    this.#mocks.set(mock.tool, mock);
    await this.#callAll('mock', mock);
  }

  async restart(): Promise<Address> {
    return (this.#address = (await this.#call('restart')) as Address);
  }

  async kill(): Promise<Address> {
    const { pid } = this.#child ?? {};
    if (pid !== undefined) this.#options.notes.killed(pid);
    await this.#kill(this.#child);
    return this.open();
  }

  async switch(): Promise<Address> {
    const [child, address, other] = [this.#child, this.#address, this.#other];
    this.#other = child && address && { child, address };
    if (other === undefined) return this.open();
    this.#child = other.child;
    this.#address = other.address;
    await this.#prepareRest();
    return other.address;
  }

  async stall(awayMs: number): Promise<void> {
    this.#letWrite?.();
    if (awayMs === 0) return this.#noticed();
    const database = new (loadSqlite().DatabaseSync)(this.#storePath);
    try {
      database.exec('PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE');
    } catch (error) {
      database.close();
      throw error;
    }
    const timer = awayMs === Infinity ? undefined : setTimeout(() => this.#letWrite?.(), awayMs);
    this.#letWrite = () => {
      this.#letWrite = undefined;
      clearTimeout(timer);
      database.close();
    };
  }

  /** Resolves once the agent uses the store again, which it tries every two seconds at most. */
  async #noticed(): Promise<void> {
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      if ((await this.#call('isStoreAway')) !== true) return;
      await sleep(LOOK_MS);
    }
    const seconds = MAX_LOOKS * LOOK_MS / 1_000;
    throw new StageLost(`the agent does not use the store again after ${seconds} s`);
  }

  async close(): Promise<void> {
    this.#letWrite?.();
    if (this.#child !== undefined) await this.#callAll('close');
    // What the agent has left running must not keep a process alive.
    await Promise.all([this.#kill(this.#other?.child), this.#kill(this.#child)]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #kill(child: ChildProcess | undefined): Promise<void> {
    if (child === undefined || hasEnded(child)) return;
    if (this.#child === child) this.#child = undefined;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  #remote<Name extends keyof Stage>(method: Name & StageMethod): RemoteMethod<Stage[Name]> {
    return ((...args: readonly unknown[]) =>
      this.#call(method, ...args)) as RemoteMethod<Stage[Name]>;
  }

  #callAll(method: StageMethod, ...args: readonly unknown[]): Promise<unknown> {
    const children = [this.#child, this.#other?.child];
    return Promise.all(children.flatMap((child) =>
      child === undefined || hasEnded(child) ? [] : [this.#callIn(child, method, args)]));
  }

  #call(method: StageMethod, ...args: readonly unknown[]): Promise<unknown> {
    return this.#callIn(this.#child, method, args);
  }

  #callIn(
    child: ChildProcess | undefined,
    method: StageMethod,
    args: readonly unknown[],
  ): Promise<unknown> {
    if (child === undefined || hasEnded(child)) return Promise.reject(this.#lost);
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // What cannot be sent is answered by the end of the process.
      child.send({ id, method, args } satisfies StageCall, () => undefined);
    });
  }

  #take(answer: StageAnswer): void {
    if (answer.type === 'failing') {
      this.#reason = answer.reason;
      return;
    }
    if (answer.type === 'note') {
      if (answer.name === 'asked') this.#asked += 1;
      const { notes } = this.#options;
      Reflect.apply(notes[answer.name], notes, answer.args);
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.type === 'answer') waiting?.resolve(answer.value);
    else waiting?.reject(new Error(answer.message));
  }

  /** Nothing that was asked will be answered. */
  #lose(child: ChildProcess, reason: string): void {
    if (this.#child === child) this.#child = undefined;
    this.#lost = new StageLost(`the process of the agent ended: ${reason}`);
    for (const { reject } of this.#waiting.values()) reject(this.#lost);
    this.#waiting.clear();
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
