// The agent's side of a scenario in a process of its own, which can be killed.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { messageOf } from '../../base/thrown-values.ts';
import { loadSqlite } from '../../core/conversations/stores/sqlite-library.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import type { Backstage } from './backstage.ts';
import type { Notes } from './notebook.ts';
import type { Access } from './stage-settings.ts';
import type { Address, OwnProcess, Stage } from './stage.ts';
import type { Mock } from './stand-in-lines.ts';

/** Marks a process as a stage. Its parent talks to it over IPC. */
export const STAGE_VARIABLE = 'LAYERCODE_MICROSERVER_STAGE';

/** What the process needs to know before it opens. */
export interface StageAccess extends Access {
  /** The path of the SQLite database, which outlives the process. */
  readonly storePath: string;
  /** How far the clock is ahead. It does not start again in the next process. */
  readonly aheadMs: number | undefined;
}

/** What a message can call. */
interface Methods extends Omit<Backstage, 'own'> {
  begin(access: StageAccess): void;
}

type StageMethod = keyof Methods;

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

/** The agent's process ended by itself, or is working without its store. */
export class StageLost extends Error {
  override readonly name = 'StageLost';
}

interface StageProcessOptions {
  /** The program and its arguments, which serve one scenario. */
  readonly program: string;
  readonly argv: readonly string[];
  readonly directory: string;
  readonly access: Access;
  readonly notes: Notes;
  readonly aheadMs?: number | undefined;
}

/** Nothing announces that a store has come back. */
const LOOK_MS = 50;
const MAX_LOOKS = 100;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A process, and where it serves the agent. */
interface Served {
  readonly child: ChildProcess;
  address: Address;
}

export function stageProcess(
  options: StageProcessOptions,
): Stage & { readonly own: OwnProcess } {
  const { program, argv, directory, access, notes, aheadMs } = options;
  const folder = mkdtempSync(join(tmpdir(), 'layercode-eval-'));
  const storePath = join(folder, 'calls.db');
  const waiting = new Map<number, Waiting>();
  const mocks = new Map<string, Mock>();
  let calls = 0;
  /** The process that is called. */
  let current: Served | undefined;
  /** The process that was called before. */
  let other: Served | undefined;
  /** Set while the store accepts no writes. */
  let letWrite: (() => void) | undefined;
  /** Why the process is about to end. */
  let reason: string | undefined;
  let lost = new StageLost('the process of the agent has not begun');
  let answers: readonly ScriptedAnswer[] = [];
  /** Requests to the model since `prepare`. */
  let asked = 0;

  function call<Name extends StageMethod>(
    served: Served | undefined,
    method: Name,
    ...args: Parameters<Methods[Name]>
  ): Promise<Awaited<ReturnType<Methods[Name]>>> {
    if (!isRunning(served)) return Promise.reject(lost);
    const id = ++calls;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      // A call that cannot be sent is rejected when the process ends.
      served.child.send({ id, method, args } satisfies StageCall, () => undefined);
    });
  }

  function take(answer: StageAnswer): void {
    if (answer.type === 'failing') {
      reason = answer.reason;
    } else if (answer.type === 'note') {
      if (answer.name === 'asked') asked += 1;
      Reflect.apply(notes[answer.name], notes, answer.args);
    } else {
      const asking = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.type === 'answer') asking?.resolve(answer.value);
      else asking?.reject(new Error(answer.message));
    }
  }

  async function open(): Promise<Address> {
    const child = fork(program, argv, {
      cwd: directory,
      env: { ...process.env, [STAGE_VARIABLE]: '1' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const served: Served = { child, address: { origin: '', route: '' } };
    current = served;
    child.on('message', (answer) => take(answer as StageAnswer));
    child.once('exit', (code, signal) => {
      if (current === served) current = undefined;
      lost = new StageLost(`the process of the agent ended: ${reason ?? signal ?? `code ${code}`}`);
      for (const { reject } of waiting.values()) reject(lost);
      waiting.clear();
    });
    await call(current, 'begin', { ...access, storePath, aheadMs });
    for (const mock of mocks.values()) await call(current, 'mock', mock);
    await prepareRest();
    return (served.address = await call(current, 'open'));
  }

  /** Gives the process the answers that have not been asked for. */
  async function prepareRest(): Promise<void> {
    await call(current, 'prepare', answers.slice(asked));
  }

  async function kill(served: Served | undefined): Promise<void> {
    if (!isRunning(served)) return;
    if (current === served) current = undefined;
    const exit = once(served.child, 'exit');
    served.child.kill('SIGKILL');
    await exit;
  }

  /** Resolves once the agent uses the store again, which it tries at least every two seconds. */
  async function noticed(): Promise<void> {
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      if (!(await call(current, 'isStoreAway'))) return;
      await sleep(LOOK_MS);
    }
    const seconds = MAX_LOOKS * LOOK_MS / 1_000;
    throw new StageLost(`the agent does not use the store again after ${seconds} s`);
  }

  const own: OwnProcess = {
    async kill() {
      const { pid } = current?.child ?? {};
      if (pid !== undefined) notes.killed(pid);
      await kill(current);
      return open();
    },
    async switch() {
      [current, other] = [other, current];
      if (current === undefined) return open();
      await prepareRest();
      return current.address;
    },
    async stall(awayMs) {
      letWrite?.();
      if (awayMs === 0) return noticed();
      const database = new (loadSqlite().DatabaseSync)(storePath);
      try {
        database.exec('PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE');
      } catch (cause) {
        database.close();
        throw new StageLost(`the store cannot be taken away: ${messageOf(cause)}`, { cause });
      }
      const timer = awayMs === Infinity ? undefined : setTimeout(() => letWrite?.(), awayMs);
      letWrite = () => {
        letWrite = undefined;
        clearTimeout(timer);
        database.close();
      };
    },
  };

  return {
    own,
    open,
    async prepare(given) {
      answers = given;
      asked = 0;
      await call(current, 'prepare', given);
    },
    async mock(mock) {
      mocks.set(mock.tool, mock);
      await Promise.all([current, other].filter(isRunning).map((one) => call(one, 'mock', mock)));
    },
    answersLeft: () => call(current, 'answersLeft'),
    hold: (moment) => call(current, 'hold', moment),
    release: () => call(current, 'release'),
    settled: (conversationId, timeoutMs) => call(current, 'settled', conversationId, timeoutMs),
    turnState: (conversationId, turnId) => call(current, 'turnState', conversationId, turnId),
    state: (conversationId) => call(current, 'state', conversationId),
    async restart() {
      const address = await call(current, 'restart');
      if (current !== undefined) current.address = address;
      return address;
    },
    async close() {
      letWrite?.();
      if (current !== undefined)
        await Promise.all([current, other].filter(isRunning).map((one) => call(one, 'close')));
      // What the agent has left running must not keep a process alive.
      await Promise.all([kill(other), kill(current)]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function isRunning(served: Served | undefined): served is Served {
  return served?.child.exitCode === null && served.child.signalCode === null;
}
