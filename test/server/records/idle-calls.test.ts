import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { IdleCalls } from '../../../src/server/records/idle-calls.ts';
import { Told } from '../../fixtures/app.ts';

interface Idle {
  readonly add: (key: string) => void;
  readonly calls: IdleCalls<string>;
  readonly told: Told<string>;
}

function idle(t: TestContext, idleMs: number): Idle {
  const told = new Told<string>();
  const calls = new IdleCalls<string>(idleMs, (call) => told.tell(call));
  t.after(() => calls.takeAll());
  return { calls, told, add: (key) => calls.add(key, key) };
}

describe('IdleCalls', () => {
  it('returns each silent call once, in the order in which they fell silent', async (t) => {
    const { add, told } = idle(t, 5);
    for (const key of ['a', 'b', 'a', 'c']) add(key);
    for (let n = 0; n < 3; n += 1) await told.next();
    assert.deepEqual(told.all, ['b', 'a', 'c']);
  });

  it('returns nothing for a removed call', async (t) => {
    const { add, calls, told } = idle(t, 5);
    add('a');
    add('b');
    calls.remove('a');
    assert.equal(await told.next(), 'b');
    assert.deepEqual(told.all, ['b']);
  });

  it('hands out all calls, in the same order, and then returns none of them', async (t) => {
    const { add, calls, told } = idle(t, 5);
    for (const key of ['a', 'b', 'a']) add(key);
    assert.deepEqual(calls.takeAll(), ['b', 'a']);
    add('c');
    assert.equal(await told.next(), 'c');
    assert.deepEqual([told.all, calls.takeAll()], [['c'], []]);
  });

  it('goes on with calls that are added after all others have been returned', async (t) => {
    const { add, told } = idle(t, 5);
    add('a');
    await told.next();
    add('b');
    assert.equal(await told.next(), 'b');
  });

  it('keeps at most 100,000 calls, and forgets the one that has been silent longest', async (t) => {
    const { add, told } = idle(t, 5);
    for (let n = 0; n <= 100_000; n += 1) add(`${n}`);
    assert.equal(await told.next(), '1');
  });
});
