import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Slices, type Steps } from '../../src/base/slices.ts';

/** Work that takes that many milliseconds. */
function* busy<T>(ms: number, result: T): Steps<T> {
  for (const endMs = performance.now() + ms; performance.now() < endMs;) yield;
  return result;
}

/** Work in that many steps, each longer than a slice. */
function* longSteps(count: number): Steps<string> {
  for (let step = 0; step < count; step++) {
    for (const endMs = performance.now() + 12; performance.now() < endMs;);
    yield;
  }
  return 'done';
}

describe('Slices', () => {
  it('does work with the same key in order, and other short work at once', async () => {
    const slices = new Slices();
    const ends: string[] = [];
    const first = Promise.resolve(slices.run('a', longSteps(4))).then((it) => ends.push(it));
    const second = slices.run('a', busy(0, 'second'));
    assert.ok(second instanceof Promise);
    assert.equal(slices.run('b', busy(0, 'other')), 'other');
    await Promise.all([first, second.then((it) => ends.push(it))]);
    assert.deepEqual(ends, ['done', 'second']);
    assert.equal(slices.run('a', busy(0, 'third')), 'third');
  });

  it('takes only one slice of all long work per round of the event loop', async () => {
    const slices = new Slices();
    let [slicesNow, most] = [0, 0];
    function* counted(): Steps<void> {
      for (let step = 0; step < 5; step++) {
        slicesNow += 1;
        most = Math.max(most, slicesNow);
        yield* busy(12, undefined);
      }
    }
    const work = Array.from({ length: 4 }, (_, index) => {
      const done = slices.run(String(index), counted());
      slicesNow = 0;
      return done;
    });
    let isDone = false;
    const reset = (): void => {
      slicesNow = 0;
      if (!isDone) setImmediate(reset);
    };
    setImmediate(reset);
    await Promise.all(work);
    isDone = true;
    assert.ok(most <= 2, `${most} slices in one round`);
  });

  it('goes on after work that fails', async () => {
    const slices = new Slices();
    function* failing(): Steps<never> {
      yield* busy(20, undefined);
      throw new Error('no');
    }
    await assert.rejects(async () => slices.run('a', failing()), { message: 'no' });
    assert.equal(await slices.run('a', busy(20, 'done')), 'done');
  });
});
