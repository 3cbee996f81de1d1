// How a shared store keeps `once` calls: one part each, whatever becomes of the turns.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  emptyConversation, type Conversation,
} from '../../../../src/core/conversations/conversation.ts';
import type { OnceCall } from '../../../../src/core/conversations/once-call.ts';
import { OnceParts } from '../../../../src/core/conversations/stores/once-parts.ts';
import { freeKey, onceCall, onceKey } from '../once-calls.ts';
import { inStores, machine, restore, two, type Machine } from './machines.ts';
import type { SharedParts } from './parts-in-memory.ts';
import { tell } from './story.ts';

const [KEY, OTHER] = [onceKey(1), onceKey(2)];
const PAID = onceCall({ state: 'completed', content: '"paid"' });
const NEXT = onceCall({ toolCallId: 'call-2' });

function put(machine: Machine, call: OnceCall, key = KEY): Promise<void> {
  return machine.update((conversation) => {
    conversation.onceCalls = { ...conversation.onceCalls, [key]: call };
  });
}

function free(machine: Machine, key = KEY): Promise<void> {
  return machine.update((conversation) => freeKey(conversation, key));
}

async function calls(machine: Machine): Promise<Conversation['onceCalls']> {
  return (await machine.read())?.onceCalls ?? {};
}

type Stored = NonNullable<ReturnType<SharedParts['get']>>;

/** What is stored, as it was before the call was claimed. */
function emptied(stored: Stored): Stored {
  const parts = new Map([...stored.parts].filter(([name]) => !name.startsWith('once-')));
  return { ...stored, version: 'older', parts };
}

describe('the once calls of a conversation in a shared store', () => {
  it('are separate parts, written only when they change', inStores(async ({ a }) => {
    await a.turns('t1');
    await put(a, onceCall());
    await put(a, NEXT, OTHER);
    await put(a, PAID);
    await a.turns('t2');
    const names = a.parts.changes.map(({ set }) =>
      [...set.keys()].filter((name) => name.startsWith('once-')));
    const [first, second] = [[`once-${KEY}`], [`once-${OTHER}`]];
    assert.deepEqual(names, [[], [], first, second, first, [], []]);
    assert.deepEqual(await calls(a.fresh()), { [KEY]: PAID, [OTHER]: NEXT });
  }));

  it('outlive all turns', inStores(async ({ a }) => {
    await put(a, onceCall());
    assert.deepEqual(await calls(a), { [KEY]: onceCall() });
    for (let n = 1; n <= 130; n++) await a.turns(`t${n}`);
    assert.deepEqual(await calls(a.fresh()), { [KEY]: onceCall() });
  }));

  it('do not count as text of the conversation, but as memory of the process', async (t) => {
    const a = machine(t, { maxCharacters: 2_500 });
    const long = onceCall({ state: 'completed', content: JSON.stringify('a'.repeat(2_000)) });
    await put(a, long);
    assert.equal((await a.read())?.textLength, 0);
    await a.turns('t1', 'd');
    await a.store.update('d', (conversation) => {
      conversation.onceCalls = { [KEY]: long };
    });
    a.parts.calls.length = 0;
    await a.turns('t1');
    assert.deepEqual(a.parts.calls, ['read', 'write', 'write']);
  });

  tell([
    ['stay freed even if another process remembers the call as running',
      'a says t1; a claims call-1; b says t2; a frees; b says t3', 'a finds t1 t2 t3'],
    ['stay freed if they were freed while the store did not answer',
      'a says t1; a claims call-1; a is away; a frees; b says t2; a is back', 'b finds t1 t2'],
    ['stay freed if a claim that timed out was made after all',
      'a says t1; a is not answered; a claims call-1; a frees; a is back', 'c finds t1'],
    ['can be claimed again by the run that freed them',
      'a says t1; a claims call-1; a frees; a claims call-2; b says t2; a says t3',
      'b finds t1 t2 t3, running call-2'],
    ['keep a result that came while the store did not answer',
      'a says t1; a claims call-1; a is away; a pays call-1; b gives up call-1; a is back',
      'b finds t1, completed call-1'],
    ['give way to the next claim, even if a process has put the freed call back',
      'a says t1; a claims call-1; b says t2; a frees; the store loses all; b says t3; a is away; '
        + 'a claims call-2; a is back', 'b finds t1 t2 t3, running call-2'],
  ]);

  // Seeds 179612195 and 100370 of the fleet: at each read one process put it back, one removed it.
  it('are not put back if they were released, and another process has removed them',
    inStores(async ({ a, b }) => {
      await a.turns('t1');
      await put(a, onceCall({ state: 'released' }));
      await free(b);
      for (const machine of [a, b, a]) assert.deepEqual(await calls(machine), {});
      const written = [...a.parts.changes, ...b.parts.changes].flatMap(({ remove, set }) =>
        [...remove, ...set.keys()]);
      assert.equal(written.filter((name) => name === `once-${KEY}`).length, 2);
    }));

  // Seed 67000532 of the fleet: another process put the claim back, with an unknown outcome.
  it('stay freed if the store had lost the claim before', inStores(async ({ a, shared }) => {
    await a.turns('t1');
    await put(a, onceCall());
    const stored = shared.get('c') ?? assert.fail();
    shared.set('c', emptied(stored));
    await free(a);
    shared.set('c', { ...stored, version: 'put back' });
    assert.deepEqual(await calls(a), {});
  }));

  it('are put back with their results, regardless of who made the calls', async (t) => {
    const [a, b, shared] = two(t);
    await a.turns('t1');
    await put(b, onceCall());
    const replica = new Map(shared);
    await put(b, PAID);
    assert.deepEqual(await calls(a), { [KEY]: PAID });
    restore(shared, replica);
    await free(a, OTHER);
    assert.deepEqual(await calls(a), { [KEY]: PAID });
    shared.set('c', emptied(replica.get('c') ?? assert.fail()));
    assert.deepEqual(await calls(a), { [KEY]: PAID });
  });

  it('are remembered after they are over, up to a thousand of them', () => {
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
  it('are not over for a process that released one and claims it again', async (t) => {
    const [a, b] = two(t);
    await a.turns('t1');
    const own = { process: 'b', runId: 2 };
    await put(b, onceCall({ ...own, state: 'released' }));
    await put(a, onceCall());
    await put(a, onceCall({ state: 'released' }));
    await put(b, onceCall({ ...own, nth: 2 }));
    await a.turns('t2');
    assert.deepEqual(await calls(a), { [KEY]: onceCall({ ...own, nth: 2 }) });
  });

  it('added in a failed attempt do not count as stored', inStores(async ({ a, b }) => {
    await a.turns('t1');
    await put(b, onceCall({ runId: 2 }));
    // `a` does not know of that claim yet, so its first attempt adds one of its own.
    const claimed = await a.update((conversation) => {
      if (conversation.onceCalls?.[KEY] !== undefined) return false;
      conversation.onceCalls = { [KEY]: onceCall() };
      return true;
    });
    assert.equal(claimed, false);
    assert.deepEqual(await calls(b), { [KEY]: onceCall({ runId: 2 }) });
  }));

  it('are left alone if this version does not know their form', inStores(async ({ a }) => {
    const strange = { [`once-${KEY}`]: '{"state":"paused"}', 'once-x': '{}' };
    await a.write({ head: '{"format":1}', ...strange });
    await a.turns('t1');
    const stored = await a.stored();
    for (const [name, text] of Object.entries(strange)) assert.equal(stored.get(name), text);
    assert.equal(a.lines.length, 1);
  }));
});
