import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { departTogether, MOST_TOGETHER } from '../../src/sse/departures.ts';

/** Lets that many depart, which note their number in the list that is returned. */
function depart(count: number): number[] {
  const departed: number[] = [];
  for (let number = 1; number <= count; number++)
    departTogether({ depart: () => void departed.push(number) });
  return departed;
}

const round = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('departTogether', () => {
  it('waits until what has arrived is handled, and keeps the order', async () => {
    const departed = depart(3);
    await Promise.resolve();
    await new Promise((resolve) => process.nextTick(resolve));
    assert.deepEqual(departed, []);
    await round();
    assert.deepEqual(departed, [1, 2, 3]);
  });

  it('lets each depart once', async () => {
    const departed = depart(1);
    await round();
    const later = depart(1);
    await round();
    assert.deepEqual([departed, later], [[1], [1]]);
  });

  it('lets nobody wait for more than 63 others', async () => {
    const departed = depart(MOST_TOGETHER - 1);
    assert.equal(departed.length, 0);
    departTogether({ depart: () => void departed.push(MOST_TOGETHER) });
    assert.equal(departed.length, MOST_TOGETHER);
    const rest = depart(1);
    assert.equal(rest.length, 0);
    await round();
    assert.deepEqual([departed.length, rest.length], [MOST_TOGETHER, 1]);
  });

  it('lets those depart later that become ready while others depart', async () => {
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
