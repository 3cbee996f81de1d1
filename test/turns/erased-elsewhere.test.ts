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
  it('stays erased though the store loses the mark at once', async (t) => {
    const { a, b, shared, parts: [, toStore] } = await told(t);
    const { length } = toStore.calls;
    await a.app.conversations.clear('c');
    await until(() => toStore.calls.length > length, 'the other to read the mark');
    await b.app.conversations.getHistory('c'); // behind that
    shared.clear();
    assert.equal(await b.says('Well?'), 'Yes.');
    for (const shop of [b, a]) assert.deepEqual(await textsOf(shop), ['Well?', 'Yes.']);
  });

  it('is erased again if one that did not hear of it has put it back', async (t) => {
    const { a, b, post, shared } = await told(t);
    post.loses = (message) => message.includes('"erased"');
    await a.app.conversations.clear('c');
    shared.clear();
    await b.says('Well?');
    assert.ok((await textsOf(b)).includes('My PIN is 1234'));
    post.reopen('p0'); // Redis was away, and its data is lost
    const deadline = performance.now() + 5_000;
    while ((await textsOf(b)).includes('My PIN is 1234')) assert.ok(performance.now() < deadline);
  });

  it('stays erased where the store did not answer when it was told', async (t) => {
    const { a, b, post, shared, parts: [, toStore] } = await told(t);
    const { conversations } = b.app;
    toStore.failWith = new Error('it does not answer');
    await conversations.addMessage('another', { role: 'user', content: 'Hello' });
    assert.ok(conversations.isStoreAway);
    await a.app.conversations.clear('c');
    await until(() => post.messages.some((text) => text.includes('"erased"')), 'the message');
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
    toStore.failWith = undefined;
    await until(() => !conversations.isStoreAway, 'the store');
    const { length } = toStore.calls;
    post.reopen('p1');
    await until(() => toStore.calls.length > length, 'it to read the mark');
    await conversations.getHistory('c'); // behind that
    shared.clear();
    assert.equal(await b.says('Well?'), 'Yes.');
    assert.deepEqual(await textsOf(b), ['Well?', 'Yes.']);
  });

  it('stays erased though it was without the store, which loses the mark as soon as it has it',
    async (t) => {
      const { a, b, shared, parts: [first, second] } = await told(t);
      first.failWith = new Error('it does not answer');
      await a.app.conversations.clear('c');
      await b.app.conversations.getHistory('c');
      first.failWith = undefined;
      await until(() => isMarked(shared), 'the mark');
      const { length } = second.calls;
      await until(() => second.calls.length > length, 'the other to read the mark');
      await b.app.conversations.getHistory('c'); // behind that
      shared.clear();
      assert.equal(await b.says('Well?'), 'Yes.');
      assert.deepEqual(await textsOf(b), ['Well?', 'Yes.']);
    });

  it('is not read by a process that has closed since', async (t) => {
    const { a, post, parts: [toStore] } = await told(t);
    await a.app.conversations.clear('c');
    post.reopen('p0');
    await a.app.close();
    const { length } = toStore.calls;
    await new Promise((resolve) => setTimeout(resolve, 6_000)); // time passes quickly
    assert.equal(toStore.calls.length, length);
  });

  it('is read once, and once more, for any number of messages that come together', async (t) => {
    const { b, post, parts: [, toStore] } = await told(t);
    const { length } = toStore.calls;
    for (let n = 0; n < 1_000; n++) post.forge('p1', '{"type":"erased","conversationId":"c"}');
    assert.equal(await b.says('Well?'), 'Yes.');
    assert.ok(toStore.calls.length < length + 20, `${toStore.calls.length - length} commands`);
    assert.ok((await textsOf(b)).includes('My PIN is 1234'), 'a forger has erased it');
  });

  it('is told once more when the store has the mark, however often it was erased', async (t) => {
    const { a, post, parts: [toStore] } = await told(t);
    const count = (): number => post.messages.filter((text) => text.includes('"erased"')).length;
    toStore.failWith = new Error('it does not answer');
    for (let n = 0; n < 5; n++) await a.app.conversations.clear('c');
    const before = count();
    toStore.failWith = undefined;
    await until(() => count() > before, 'the message');
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(count(), before + 1);
  });

  it('is read by nobody who does not remember it', async (t) => {
    const { a, post, parts: [, toStore] } = machines(t, () => payTool(() => undefined));
    await a.says('My PIN is 1234');
    await a.app.conversations.clear('c');
    await until(() => post.messages.some((text) => text.includes('"erased"')), 'the message');
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(toStore.calls, []);
  });

  // Seed 81001743 of the fleet.
  it('stays paid, though an erasure from before reaches the store only then', async (t) => {
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
