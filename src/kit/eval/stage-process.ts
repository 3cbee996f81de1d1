// The agent's side of a scenario in a process of its own, which can be killed.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { JsonObject } from '../../base/json.ts';
import type { TurnState } from '../../conversations/message.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import type { OnSight, Sight } from './sight.ts';
import type { Address, Stage } from './stage.ts';
import type { Mock, ToolMoment } from './step.ts';

/** Marks a process as a stage. Its parent talks with it over IPC. */
export const STAGE_VARIABLE = 'LAYERCODE_MICROSERVER_STAGE';

/** What the process needs to know before it opens. */
export interface StageAccess {
  readonly secret: string;
  readonly key: string;
  /** Of the SQLite database that outlives the process. */
  readonly storePath: string;
}

/** The methods of a stage that a message can call. */
export type StageMethod = Exclude<keyof Stage, 'kill'> | 'begin';

export interface StageCall {
  readonly id: number;
  readonly method: StageMethod;
  readonly args: readonly unknown[];
}

export type StageAnswer =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly message: string }
  | { readonly type: 'sight'; readonly sight: Sight }
  /** The process is about to end. */
  | { readonly type: 'failing'; readonly reason: string };

/** The process of the agent ended by itself. */
export class StageLost extends Error {
  override readonly name = 'StageLost';
}

export interface StageProcessOptions {
  /** The program and its arguments, which serve one scenario. */
  readonly program: string;
  readonly argv: readonly string[];
  readonly directory: string;
  readonly access: Omit<StageAccess, 'storePath'>;
  readonly onSight: OnSight;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class StageProcess implements Stage {
  readonly #options: StageProcessOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'layercode-eval-'));
  readonly #waiting = new Map<number, Waiting>();
  readonly #mocks = new Map<string, Mock>();
  #calls = 0;
  #child: ChildProcess | undefined;
  /** Why the process is about to end. */
  #reason: string | undefined;
  #lost = new StageLost('the process of the agent has not begun');
  #answers: readonly ScriptedAnswer[] = [];
  /** Requests to the model since `prepare`. */
  #asked = 0;

  constructor(options: StageProcessOptions) {
    this.#options = options;
  }

  async open(): Promise<Address> {
    const { program, argv, directory, access } = this.#options;
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
    await this.#call('begin', { ...access, storePath: join(this.#folder, 'calls.db') });
    for (const mock of this.#mocks.values()) await this.#call('mock', mock);
    await this.#call('prepare', this.#answers.slice(this.#asked));
    return (await this.#call('open')) as Address;
  }

  async prepare(answers: readonly ScriptedAnswer[]): Promise<void> {
    this.#answers = answers;
    this.#asked = 0;
    await this.#call('prepare', answers);
  }

  async answersLeft(): Promise<number> {
    return (await this.#call('answersLeft')) as number;
  }

  async mock(mock: Mock): Promise<void> {
    this.#mocks.set(mock.tool, mock);
    await this.#call('mock', mock);
  }

  async hold(moment: ToolMoment): Promise<void> {
    await this.#call('hold', moment);
  }

  async release(): Promise<void> {
    await this.#call('release');
  }

  async settled(conversationId: string, timeoutMs: number): Promise<boolean> {
    return (await this.#call('settled', conversationId, timeoutMs)) as boolean;
  }

  async turnState(conversationId: string, turnId: string): Promise<TurnState | undefined> {
    return (await this.#call('turnState', conversationId, turnId)) as TurnState | undefined;
  }

  async state(conversationId: string): Promise<JsonObject | undefined> {
    return (await this.#call('state', conversationId)) as JsonObject | undefined;
  }

  async restart(): Promise<Address> {
    return (await this.#call('restart')) as Address;
  }

  async kill(): Promise<Address> {
    await this.#kill();
    return this.open();
  }

  async close(): Promise<void> {
    if (this.#child !== undefined) await this.#call('close');
    await this.#kill(); // what the agent has left running must not keep the process alive
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  #call(method: StageMethod, ...args: readonly unknown[]): Promise<unknown> {
    const child = this.#child;
    if (child === undefined) return Promise.reject(this.#lost);
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
    if (answer.type === 'sight') {
      if (answer.sight.type === 'asked') this.#asked += 1;
      return this.#options.onSight(answer.sight);
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
