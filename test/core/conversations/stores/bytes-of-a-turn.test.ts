// What a turn sends to a store and gets back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { StoredConversation } from '../../../../src/core/conversations/stores/part-store.ts';
import { openTurn } from '../../../../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../../../../src/core/conversations/turn-settlement.ts';
import { change } from '../state-writes.ts';
import { BOUNDS, reply, yes } from '../talk.ts';
import { sharing } from './machines.ts';
import { PartsInMemory, type SharedParts } from './parts-in-memory.ts';

const WORDS = 'I would like to book a table for four people this Friday at eight, please.';
const REPLY = 'Of course. There is a table for four on Friday at eight. May I have your name?';
const ITEM = { dish: 'pizza', size: 'large', euros: 12 };

class Counted extends PartsInMemory {
  bytes = 0;

  override write(...[id, changed]: Parameters<PartsInMemory['write']>) {
    this.#count(changed.set, changed.add ?? new Map<string, string>());
    return this.#counted(super.write(id, changed));
  }

  override read(...args: Parameters<PartsInMemory['read']>) {
    return this.#counted(super.read(...args));
  }

  #counted<T>(answer: T): T {
    if (typeof answer === 'object' && answer !== null && 'parts' in answer) {
      const { parts, news } = answer as unknown as StoredConversation;
      this.#count(parts, news?.added ?? new Map<string, string>());
    }
    return answer;
  }

  #count(...all: readonly ReadonlyMap<string, string>[]): void {
    for (const parts of all)
      for (const [name, text] of parts) this.bytes += name.length + Buffer.byteLength(text);
  }
}

/** Bytes per turn, over the last twenty turns, with this many processes in turn. */
async function bytesOf(
  turns: number, processes: number, stateOf?: (turn: number) => object,
): Promise<number> {
  const shared: SharedParts = new Map();
  const counted = Array.from({ length: processes }, () => new Counted(shared));
  const stores = counted.map((parts) => sharing(parts));
  for (let turn = 0; turn < turns; turn++) {
    const store = stores[turn % processes] ?? assert.fail();
    if (turn === turns - 20) for (const parts of counted) parts.bytes = 0;
    const [turnId, runId, process] = [`turn-${turn}`, turn + 1, `process-${turn % processes}`];
    const opening = { turnId, runId, text: WORDS, process, isCallRunning: yes };
    await store.update('call', (conversation) => openTurn(conversation, opening, BOUNDS));
    const [from, to] = [turn - 1, turn].map((n) => JSON.stringify(stateOf?.(n)));
    const agentState = from === undefined || to === undefined ? undefined : change(from, to);
    const end = { turnId, runId, process, messages: [reply(turnId, REPLY)], agentState };
    await store.update('call', (conversation) =>
      settleTurn(conversation, { ...end, state: 'completed' }, BOUNDS));
  }
  for (const store of stores) await store.close();
  return counted.reduce((sum, { bytes }) => sum + bytes, 0) / 20;
}

function cart(turn: number): object {
  const items = Array.from({ length: 1_300 + turn }, (_, n) => ({ n, ...ITEM }));
  return { total: 12 * items.length, items };
}

describe('a turn', () => {
  for (const processes of [1, 2, 3])
    it(`takes no more bytes in a long call than a short one, processes: ${processes}`, async () => {
      const [short, long] = [await bytesOf(30, processes), await bytesOf(90, processes)];
      assert.ok(long < 1.1 * short, `${short} and ${long} bytes`);
    });

  for (const processes of [1, 2, 3])
    it(`takes few more bytes with a state of 64 KB, processes: ${processes}`, async () => {
      assert.ok(JSON.stringify(cart(0)).length > 64_000);
      const plain = await bytesOf(60, processes);
      const added = (await bytesOf(60, processes, cart)) - plain;
      assert.ok(added < 200 * processes, `${added} bytes`);
    });
});
