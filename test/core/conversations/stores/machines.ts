// Processes that share one database, and the turns that a test lets them have.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import { createLogger } from '../../../../src/base/log.ts';
import { historyOf, type Conversation } from '../../../../src/core/conversations/conversation.ts';
import type { UpdateOptions } from '../../../../src/core/conversations/store.ts';
import { SharedStore } from '../../../../src/core/conversations/stores/shared-store.ts';
import {
  openTurn, type TurnOpening, type TurnOpeningResult,
} from '../../../../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../../../../src/core/conversations/turn-settlement.ts';
import { mockTimers } from '../../../fixtures/clock.ts';
import { BOUNDS, reply } from '../talk.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

export function sharing(parts: PartsInMemory, more = {}, lines: string[] = []): SharedStore {
  const log = createLogger({ level: 'info', format: 'json', write: (line) => lines.push(line) });
  return new SharedStore(parts, {
    ttlMs: 3_600_000, maxRemembered: 1_000, timeoutMs: 250, log, ...more,
  });
}

let runs = 0;

/** A process and its connection to the database. Its methods act on the conversation `c`. */
export class Machine {
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly lines: string[] = [];

  constructor(parts: PartsInMemory, more = {}) {
    this.parts = parts;
    this.store = sharing(this.parts, more, this.lines);
  }

  async update<T>(change: (conversation: Conversation) => T, options?: UpdateOptions): Promise<T> {
    return this.store.update('c', change, options);
  }

  async set(fields: Partial<Conversation>): Promise<void> {
    await this.update((conversation) => void Object.assign(conversation, fields));
  }

  async open(
    turnId: string, runId: number, more: Partial<TurnOpening> = {},
  ): Promise<TurnOpeningResult> {
    const opening = { turnId, runId, text: `words of ${turnId}`, ...more };
    return this.update((conversation) => openTurn(conversation, opening, BOUNDS));
  }

  /** Turns of a conversation, each opened and settled. */
  async turns(turnIds: string, id = 'c'): Promise<void> {
    for (const turnId of turnIds.split(' ')) await turn(this.store, id, turnId);
  }

  async read(): Promise<Conversation | undefined> {
    return this.store.read('c');
  }

  async texts(id = 'c'): Promise<string[]> {
    return texts(this.store, id);
  }

  async ids(): Promise<string[] | undefined> {
    return (await this.read())?.turns.map(({ id }) => id);
  }

  /** A process that has just started, and knows what is stored. */
  fresh(): Machine {
    return new Machine(this.parts);
  }

  /** The parts as they are stored. */
  async stored(): Promise<ReadonlyMap<string, string>> {
    const stored = await this.parts.read('c');
    assert.ok(typeof stored === 'object');
    return stored.parts;
  }

  /** Writes parts as another version may have stored them, over those of version `from`. */
  async write(parts: Readonly<Record<string, string>>, from?: string): Promise<void> {
    const set = new Map(Object.entries(parts));
    await this.parts.write('c', { from, to: 'v', set, remove: [], ttlMs: 60_000 });
  }

  /** Resolves when the log has that many lines. */
  async logged(count: number): Promise<void> {
    for (let turns = 0; this.lines.length < count; turns++) {
      assert.ok(turns < 1_000, 'no such line');
      await soon();
    }
  }
}

/** Processes that share one database. */
export function machines(
  t: TestContext, count: number, more = {}, shared: SharedParts = new Map(),
): readonly Machine[] {
  return Array.from({ length: count }, () => {
    const machine = new Machine(new PartsInMemory(shared, { isSlow: true }), more);
    t.after(() => machine.store.close());
    return machine;
  });
}

export function machine(t: TestContext, more = {}): Machine {
  return machines(t, 1, more)[0] ?? assert.fail();
}

/** Two processes, and the database that they share. */
export function two(t: TestContext, more = {}): readonly [Machine, Machine, SharedParts] {
  const shared: SharedParts = new Map();
  const [a = assert.fail(), b = assert.fail()] = machines(t, 2, more, shared);
  return [a, b, shared];
}

export interface Outages {
  /** From now on none of the process's commands reach the database, or none are answered. */
  begin(machine: Machine, how?: { readonly failsAfterWriting: boolean }): void;
  /** Resolves when everything that waited is written. */
  end(machine: Machine): Promise<void>;
  pass(ms: number): void;
}

export const DOWN = new Error('connection refused');

/** Outages of the database, and the timers of processes that try it again. */
export function outages(t: TestContext): Outages {
  const timers = mockTimers(t, ['setTimeout']);
  return {
    begin: ({ parts }, { failsAfterWriting } = { failsAfterWriting: false }) =>
      void Object.assign(parts, { failWith: DOWN, failsAfterWriting }),
    async end({ parts, store }) {
      parts.failWith = undefined;
      timers.tick(2_000);
      await written(store);
    },
    pass: (ms) => timers.tick(ms),
  };
}

/** Makes tests of two processes that share a database, with these settings. */
export function storesWith(settings: object) {
  interface Stage {
    readonly a: Machine; readonly b: Machine; readonly shared: SharedParts;
    readonly outage: Outages;
  }
  return (test: (stage: Stage, t: TestContext) => Promise<void>) =>
    (t: TestContext): Promise<void> => {
      const outage = outages(t);
      const [a, b, shared] = two(t, settings);
      return test({ a, b, shared, outage }, t);
    };
}

/** A test of two processes. */
export const inStores = storesWith({});

/** Makes the database what its copy is. */
export function restore(shared: SharedParts, replica: SharedParts): void {
  shared.clear();
  for (const [id, stored] of replica) shared.set(id, stored);
}

/** One turn, opened and settled. */
export async function turn(store: SharedStore, id: string, turnId: string): Promise<void> {
  runs += 1;
  const run = { turnId, runId: runs };
  const opening = { ...run, text: `words of ${turnId}`, isCallRunning: () => true };
  await store.update(id, (conversation) => openTurn(conversation, opening, BOUNDS));
  const messages = [reply(turnId, `reply to ${turnId}`)];
  const settlement = { ...run, state: 'completed', messages } as const;
  await store.update(id, (conversation) => settleTurn(conversation, settlement, BOUNDS));
}

export async function texts(store: SharedStore, id: string): Promise<string[]> {
  const kept = await store.read(id);
  return kept === undefined ? [] : historyOf(kept).map(({ content }) => content);
}

export function said(turnIds: string): string[] {
  return turnIds.split(' ').flatMap((id) => [`words of ${id}`, `reply to ${id}`]);
}

/** Resolves when nothing is waiting for the store any more. */
export async function written(store: SharedStore): Promise<void> {
  for (let turns = 0; store.health().turnsWaiting > 0 || store.health().isDegraded; turns++) {
    assert.ok(turns < 1_000, 'still waiting');
    await soon();
  }
  await soon(); // the log follows
}
