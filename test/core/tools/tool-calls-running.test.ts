import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RunningToolCall, RunningToolCalls } from '../../../src/core/tools/tool-calls-running.ts';
import { mockTimers } from '../../fixtures/clock.ts';

describe('RunningToolCall', () => {
  it('is aborted after the first time limit that it was given', (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const call = new RunningToolCall();
    const reason = new Error('too late');
    call.abortAfter(1_000, reason);
    call.abortAfter(10_000, new Error('a second one'));
    clock.tick(999);
    assert.equal(call.signal.aborted, false);
    clock.tick(1);
    assert.equal(call.signal.reason, reason);
  });

  it('is not aborted when it has ended in time', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const call = new RunningToolCall();
    call.abortAfter(1_000, new Error('too late'));
    call.end({ state: 'completed', content: '1' });
    clock.tick(1_000);
    assert.equal(call.signal.aborted, false);
    assert.deepEqual(await call.outcome, { state: 'completed', content: '1' });
  });
});

describe('RunningToolCalls', () => {
  const done = { state: 'completed', content: '1' } as const;
  const interrupted = { state: 'interrupted', content: '{"error":"interrupted"}' } as const;

  it('gives the outcome of earlier calls with the same key', async () => {
    const calls = new RunningToolCalls();
    const [first, second] = [new RunningToolCall(), new RunningToolCall()];
    calls.add('k', first);
    calls.add('k', second);
    first.end(done);
    assert.equal(calls.outcomeBefore('k', first), undefined);
    assert.equal(await calls.outcomeBefore('k', second), done);
    calls.remove('k', first);
    calls.remove('k', second);
    assert.deepEqual([calls.outcomeBefore('k'), calls.isRunning('k')], [undefined, false]);
  });

  it('waits for each call until one has completed: a newer one may never have begun', async () => {
    const calls = new RunningToolCalls();
    const all = [new RunningToolCall(), new RunningToolCall(), new RunningToolCall()] as const;
    for (const call of all) calls.add('k', call);
    const outcome = calls.outcomeBefore('k', all[2]);
    all[1].end(interrupted);
    all[0].end(done);
    assert.equal(await outcome, done);
  });

  it('gives the last outcome if none has completed', async () => {
    const calls = new RunningToolCalls();
    const [first, second] = [new RunningToolCall(), new RunningToolCall()];
    for (const call of [first, second]) calls.add('k', call);
    first.end({ state: 'unknown', content: '0' });
    second.end(interrupted);
    assert.equal(await calls.outcomeBefore('k'), interrupted);
  });

  it('aborts all calls', () => {
    const calls = new RunningToolCalls();
    const all = ['a', 'a', 'b'].map((key) => {
      const call = new RunningToolCall();
      calls.add(key, call);
      return call;
    });
    const reason = new Error('over');
    calls.abortAll(reason);
    assert.deepEqual(all.map(({ signal }) => signal.reason), [reason, reason, reason]);
  });

  it('forgets the oldest of over 1,000 tools whose time is up, and all in the end', async () => {
    const calls = new RunningToolCalls();
    const forgotten: number[] = [];
    const add = (index: number): void => {
      const end = (told: Promise<undefined>): Promise<void> =>
        told.then(() => void forgotten.push(index));
      calls.addLate(end);
    };
    for (let index = 0; index < 1_001; index++) add(index);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(forgotten, [0]);
    calls.abortAll(new Error('over'));
    await calls.ended();
    assert.equal(forgotten.length, 1_001);
  });

  it('has ended once each call has', async () => {
    const calls = new RunningToolCalls();
    const [first, second] = [new RunningToolCall(), new RunningToolCall()];
    calls.add('a', first);
    calls.add('b', second);
    let hasEnded = false;
    const ended = calls.ended().then(() => (hasEnded = true));
    first.end({ state: 'completed', content: '1' });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hasEnded, false);
    let end = (): void => undefined;
    calls.addLate(() => new Promise((resolve) => (end = resolve))); // its time is up meanwhile
    second.end({ state: 'interrupted', content: '2' });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hasEnded, false);
    end();
    await ended;
  });
});
