// How a shared store keeps `once` calls: a part each, whatever becomes of the turns.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, type Conversation } from '../../../src/conversations/conversation.ts';
import type { OnceCall } from '../../../src/conversations/once-call.ts';
import { OnceParts } from '../../../src/conversations/stores/once-parts.ts';
import type { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { machine, machines, sharing, turn, written, type Machine } from './machines.ts';
import type { SharedParts } from './parts-in-memory.ts';

const [KEY, OTHER] = [onceKey(1), onceKey(2)];
type Stored = NonNullable<ReturnType<SharedParts['get']>>;

const down = new Error('connection refused');

function set(store: SharedStore, key: string, call: OnceCall): Promise<void> | void {
  return store.update('c', (conversation) => {
    conversation.onceCalls = { ...conversation.onceCalls, [key]: call };
  });
}

function freed(key: string): (conversation: Conversation) => void {
  return (conversation) => freeKey(conversation, key);
}

async function calls(store: SharedStore): Promise<Conversation['onceCalls']> {
  return (await store.read('c'))?.onceCalls;
}

/** As it was before the call was claimed. */
function emptied(stored: Stored): Stored {
  const parts = new Map([...stored.parts].filter(([name]) => !name.startsWith('once-')));
  return { ...stored, version: 'older', parts };
}

function two(t: Parameters<typeof machine>[0]): readonly [Machine, Machine] {
  const [a, b] = machines(t, 2);
  assert.ok(a && b);
  return [a, b];
}

describe('the once calls of a conversation in a shared store', () => {
  it('are separate parts, written only when they change', async (t) => {
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    await set(store, KEY, onceCall());
    await set(store, OTHER, onceCall({ toolCallId: 'call-2' }));
    await set(store, KEY, onceCall({ state: 'completed', content: '"paid"' }));
    await turn(store, 'c', 't2');
    const names = parts.changes.map((change) => [...change.set.keys()]
      .filter((name) => name.startsWith('once-')));
    assert.deepEqual(names, [
      [], [], [`once-${KEY}`], [`once-${OTHER}`], [`once-${KEY}`], [], [],
    ]);
    assert.deepEqual(await calls(sharing(parts)), {
      [KEY]: onceCall({ state: 'completed', content: '"paid"' }),
      [OTHER]: onceCall({ toolCallId: 'call-2' }),
    });
  });

  it('outlive all turns', async (t) => {
    const { store, parts } = machine(t);
    await set(store, KEY, onceCall());
    assert.deepEqual(await calls(store), { [KEY]: onceCall() });
    for (let n = 1; n <= 130; n++) await turn(store, 'c', `t${n}`);
    assert.deepEqual(await calls(sharing(parts)), { [KEY]: onceCall() });
  });

  it('do not count as text of the conversation, but as memory of the process', async (t) => {
    const { store, parts } = machine(t, { maxCharacters: 2_500 });
    const content = JSON.stringify('a'.repeat(2_000));
    await set(store, KEY, onceCall({ state: 'completed', content }));
    assert.equal((await store.read('c'))?.textLength, 0);
    await turn(store, 'd', 't1');
    await store.update('d', (conversation) => {
      conversation.onceCalls = { [KEY]: onceCall({ state: 'completed', content }) };
    });
    parts.calls.length = 0;
    await turn(store, 'c', 't1');
    assert.deepEqual(parts.calls, ['read', 'write', 'write']);
  });

  it('are gone when the call has freed its key', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    await a.store.update('c', freed(KEY));
    assert.deepEqual(await calls(b.store) ?? {}, {});
  });

  it('stay freed even if another process remembers the call as running', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    await turn(b.store, 'c', 't2');
    await a.store.update('c', freed(KEY));
    await turn(b.store, 'c', 't3');
    assert.deepEqual(await calls(a.store) ?? {}, {});
  });

  // Seeds 179612195 and 100370 of the fleet: at each read one put it back, and one removed it.
  it('are not put back if they were given back and another process has removed them', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall({ state: 'released' }));
    await b.store.update('c', freed(KEY));
    for (const { store } of [a, b, a]) assert.deepEqual(await calls(store) ?? {}, {});
    assert.equal([...a.parts.changes, ...b.parts.changes].filter(({ remove, set: parts }) =>
      [...remove, ...parts.keys()].includes(`once-${KEY}`)).length, 2);
  });

  it('stay freed if that happened while the store did not answer', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    a.parts.failWith = down;
    await a.store.update('c', freed(KEY));
    await turn(b.store, 'c', 't2');
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.deepEqual(await calls(b.store) ?? {}, {});
  });

  it('stay freed if a claim that timed out was made after all', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const { store, parts } = machine(t);
    await turn(store, 'c', 't1');
    parts.failWith = down;
    parts.failsAfterWriting = true;
    await set(store, KEY, onceCall());
    await store.update('c', freed(KEY));
    parts.failWith = undefined;
    timers.tick(250);
    await written(store);
    assert.deepEqual(await calls(sharing(parts)) ?? {}, {});
  });

  // Seed 67000532 of the fleet: another process put the claim back, as one of unknown outcome.
  it('stay freed if the store had lost the claim before', async (t) => {
    const shared: SharedParts = new Map();
    const [a] = machines(t, 1, {}, shared);
    assert.ok(a);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    const stored = shared.get('c');
    assert.ok(stored);
    shared.set('c', emptied(stored));
    await a.store.update('c', freed(KEY));
    shared.set('c', { ...stored, version: 'put back' });
    assert.deepEqual(await calls(a.store) ?? {}, {});
  });

  it('can be claimed again by the run that freed them', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    await a.store.update('c', freed(KEY));
    const again = onceCall({ toolCallId: 'call-2' });
    await set(a.store, KEY, again);
    await turn(b.store, 'c', 't2');
    await turn(a.store, 'c', 't3');
    assert.deepEqual(await calls(b.store), { [KEY]: again });
  });

  it('keep a result that came while the store did not answer', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    a.parts.failWith = down;
    const paid = onceCall({ state: 'completed', content: '"paid"' });
    await set(a.store, KEY, paid);
    await set(b.store, KEY, onceCall({ state: 'unknown' }));
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.deepEqual(await calls(b.store), { [KEY]: paid });
  });

  it('give way to the next claim, even if a process has put the freed one back', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const shared: SharedParts = new Map();
    const [a, b] = machines(t, 2, {}, shared);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await set(a.store, KEY, onceCall());
    await turn(b.store, 'c', 't2');
    await a.store.update('c', freed(KEY));
    shared.clear();
    await turn(b.store, 'c', 't3');
    a.parts.failWith = down;
    const next = onceCall({ toolCallId: 'call-2' });
    await set(a.store, KEY, next);
    a.parts.failWith = undefined;
    timers.tick(250);
    await written(a.store);
    assert.deepEqual(await calls(b.store), { [KEY]: next });
  });

  it('are put back with their results, regardless of who made the calls', async (t) => {
    const shared: SharedParts = new Map();
    const [a, b] = machines(t, 2, {}, shared);
    assert.ok(a && b);
    await turn(a.store, 'c', 't1');
    await set(b.store, KEY, onceCall());
    const replica = new Map(shared);
    const paid = onceCall({ state: 'completed', content: '"paid"' });
    await set(b.store, KEY, paid);
    assert.deepEqual(await calls(a.store), { [KEY]: paid });
    for (const [id, stored] of replica) shared.set(id, stored);
    await a.store.update('c', freed(OTHER));
    assert.deepEqual(await calls(a.store), { [KEY]: paid });
    shared.set('c', emptied(replica.get('c') ?? assert.fail()));
    assert.deepEqual(await calls(a.store), { [KEY]: paid });
  });

  it('keep a thousand that are over', () => {
    const conversation = emptyConversation('c');
    const parts = new OnceParts(conversation);
    for (let n = 0; n < 1_100; n++) {
      const claimed = { [KEY]: onceCall({ runId: n }) };
      conversation.onceCalls = claimed;
      parts.noteChange(undefined);
      delete conversation.onceCalls;
      parts.noteChange(claimed);
    }
    assert.equal(parts.over.size, 1_000);
    assert.equal(parts.over.has('1099 call-1 1'), true);
  });

  // Seed 30009892 of the fleet: both had waited for claims to be safe, and both acted.
  it('are not over for the process that gave one back and claims it again', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    const own = { process: 'b', runId: 2 };
    await set(b.store, KEY, onceCall({ ...own, state: 'released' }));
    await set(a.store, KEY, onceCall());
    await set(a.store, KEY, onceCall({ state: 'released' }));
    await set(b.store, KEY, onceCall({ ...own, nth: 2 }));
    await turn(a.store, 'c', 't2');
    assert.deepEqual(await calls(a.store), { [KEY]: onceCall({ ...own, nth: 2 }) });
  });

  it('of a failed attempt are not taken for stored ones', async (t) => {
    const [a, b] = two(t);
    await turn(a.store, 'c', 't1');
    await set(b.store, KEY, onceCall({ runId: 2 }));
    // `a` does not know of that claim yet, so its first attempt adds one of its own.
    const claimed = await a.store.update('c', (conversation) => {
      if (conversation.onceCalls?.[KEY] !== undefined) return false;
      conversation.onceCalls = { [KEY]: onceCall() };
      return true;
    });
    assert.equal(claimed, false);
    assert.deepEqual(await calls(b.store), { [KEY]: onceCall({ runId: 2 }) });
  });

  it('are left alone if this version does not know their form', async (t) => {
    const { store, parts, lines } = machine(t);
    const strange = new Map([
      ['head', '{"format":1}'], [`once-${KEY}`, '{"state":"paused"}'], ['once-x', '{}'],
    ]);
    await parts.write('c', { from: undefined, to: 'v', set: strange, remove: [], ttlMs: 60_000 });
    await turn(store, 'c', 't1');
    const stored = await parts.read('c');
    assert.ok(typeof stored === 'object');
    assert.equal(stored.parts.get(`once-${KEY}`), '{"state":"paused"}');
    assert.equal(stored.parts.get('once-x'), '{}');
    assert.equal(lines.length, 1);
  });
});
