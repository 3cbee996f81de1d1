import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { departTogether, MOST_TOGETHER } from '../../../src/base/http/departures.ts';

/** Lets `count` entries depart, each of which adds its number to the returned list. */
function depart(count: number): number[] {
  const departed: number[] = [];
  for (let number = 1; number <= count; number++)
    departTogether({ depart: () => void departed.push(number) });
  return departed;
}

const round = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('departTogether', () => {
  it('waits until what has arrived has been handled, and keeps the order', async () => {
    const departed = depart(3);
    await Promise.resolve();
    await new Promise((resolve) => process.nextTick(resolve));
    assert.deepEqual(departed, []);
    await round();
    assert.deepEqual(departed, [1, 2, 3]);
  });

  it('lets each entry depart once', async () => {
    const departed = depart(1);
    await round();
    const later = depart(1);
    await round();
    assert.deepEqual([departed, later], [[1], [1]]);
  });

  it('lets 64 entries depart when one more is ready, which waits for the next round', async () => {
    const departed = depart(MOST_TOGETHER);
    assert.equal(departed.length, 0);
    const next = depart(1);
    assert.deepEqual([departed.length, next.length], [64, 0]);
    await round();
    assert.deepEqual([departed.length, next.length], [64, 1]);
  });

  it('makes an entry that becomes ready during departures wait for the next round', async () => {
    const departed: string[] = [];
    departTogether({
      depart() {
        departed.push('first');
        departTogether({ depart: () => void departed.push('second') });
      },
    });
    await round();
    assert.deepEqual(departed, ['first']);
    await round();
    assert.deepEqual(departed, ['first', 'second']);
  });
});
