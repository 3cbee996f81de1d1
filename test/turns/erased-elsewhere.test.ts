// A conversation that was erased in one process does not return from what another one remembers.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { until } from '../fixtures/app.ts';
import { Bank, machines, payTool, type Machines, type Shop } from './payments.ts';

/** Both processes remember it. */
async function told(t: TestContext): Promise<Machines> {
  const all = machines(t, () => payTool(() => undefined));
  await all.a.says('My PIN is 1234');
  await all.b.says('Hello');
  await all.a.says('Hello');
  return all;
}

async function textsOf({ app }: Shop): Promise<string[]> {
  const history = await app.conversations.getHistory('c');
  return history.map(({ content }) => content);
}

function isMarked(shared: SharedParts): boolean {
  return shared.get('c')?.parts.get('head')?.includes('erasedAt') === true;
}

describe('a conversation that was erased in another process', () => {
  it('stays erased, whatever this one remembers', async (t) => {
    const { a, b } = await told(t);
    await a.app.conversations.clear('c');
    assert.equal(await b.says('Well?'), 'Yes.');
    for (const shop of [b, a]) assert.deepEqual(await textsOf(shop), ['Well?', 'Yes.']);
  });

  // Seed 81001743 of the fleet.
  it('stays paid, even if an earlier erasure reaches the store only afterwards', async (t) => {
    const bank = new Bank();
    const { a, b, shared, parts: [toStore] } = machines(t, () => payTool(bank.pay));
    toStore.failWith = new Error('it does not answer');
    await a.app.conversations.clear('c');
    bank.answer(5);
    assert.equal(await b.says('pay 5'), '{"paid":5}');
    toStore.failWith = undefined;
    await until(() => isMarked(shared), 'the mark');
    assert.equal(await b.says('pay 5'), '{"status":"done before","result":null}');
    assert.deepEqual(bank.calls, [5]);
  });
});
