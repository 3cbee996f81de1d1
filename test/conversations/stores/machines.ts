// Processes that share one database, and the turns that a test lets them have.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { historyOf } from '../../../src/conversations/conversation.ts';
import { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { openTurn } from '../../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../../src/conversations/turn-settlement.ts';
import { createLogger } from '../../../src/log.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

export const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };

export function sharing(parts: PartsInMemory, more = {}, lines: string[] = []): SharedStore {
  const log = createLogger({ level: 'info', format: 'json', write: (line) => lines.push(line) });
  return new SharedStore(parts, {
    ttlMs: 3_600_000,
    maxRemembered: 1_000,
    timeoutMs: 250,
    log,
    ...more,
  });
}

export interface Machine {
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly lines: string[];
}

/** Processes that share one database. */
export function machines(
  t: TestContext,
  count: number,
  more = {},
  shared: SharedParts = new Map(),
): readonly Machine[] {
  return Array.from({ length: count }, () => {
    const parts = new PartsInMemory(shared, { isSlow: true });
    const lines: string[] = [];
    const store = sharing(parts, more, lines);
    t.after(() => store.close());
    return { parts, store, lines };
  });
}

export function machine(t: TestContext, more = {}): Machine {
  return machines(t, 1, more)[0] ?? assert.fail();
}

let runs = 0;

/** One turn, opened and settled. */
export async function turn(store: SharedStore, id: string, turnId: string): Promise<void> {
  runs += 1;
  const runId = runs;
  await store.update(id, (conversation) =>
    openTurn(
      conversation,
      { turnId, runId, text: `words of ${turnId}`, isCallRunning: () => true },
      BOUNDS,
    ));
  await store.update(id, (conversation) =>
    settleTurn(
      conversation,
      {
        turnId,
        runId,
        state: 'completed',
        messages: [
          { role: 'assistant', content: `reply to ${turnId}`, turnId, state: 'completed' },
        ],
      },
      BOUNDS,
    ));
}

export async function texts(store: SharedStore, id: string): Promise<string[]> {
  const kept = await store.read(id);
  return kept === undefined ? [] : historyOf(kept).map(({ content }) => content);
}

export function said(...turnIds: readonly string[]): string[] {
  return turnIds.flatMap((id) => [`words of ${id}`, `reply to ${id}`]);
}

/** Resolves when nothing waits for the store any more. */
export async function written(store: SharedStore): Promise<void> {
  for (let turns = 0; store.health().turnsWaiting > 0 || store.health().isDegraded; turns++) {
    assert.ok(turns < 1_000, 'still waiting');
    await soon();
  }
  await soon(); // the log follows
}

/** Resolves when the log has that many lines. */
export async function logged({ lines }: Machine, count: number): Promise<void> {
  for (let turns = 0; lines.length < count; turns++) {
    assert.ok(turns < 1_000, 'no such line');
    await soon();
  }
}
