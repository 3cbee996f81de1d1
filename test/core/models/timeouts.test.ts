import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { ModelError } from '../../../src/core/models/model.ts';
import { RequestClock, TIMEOUTS } from '../../../src/core/models/timeouts.ts';
import { mockTimers } from '../../fixtures/clock.ts';

/** A clock that the test moves. */
function clockOf(t: TestContext): {
  clock: RequestClock;
  expired: ModelError[];
  pass: (ms: number) => void;
} {
  const time = mockTimers(t, ['setTimeout']);
  const expired: ModelError[] = [];
  const clock = new RequestClock('m', TIMEOUTS, (error) => expired.push(error));
  t.after(() => clock.close());
  return { clock, expired, pass: (ms) => time.tick(ms) };
}

describe('the time limit of a model', () => {
  for (const [stage, ms, code, message] of [
    ['connect', 10_000, 'connect_timeout', 'm sent no headers within 10000 ms'],
    ['firstDelta', 8_000, 'first_delta_timeout', 'm said nothing within 8000 ms'],
    ['idle', 15_000, 'idle_timeout', 'm sent nothing more within 15000 ms'],
    ['trailer', 1_000, 'idle_timeout', 'm did not close its reply within 1000 ms'],
  ] as const) {
    it(`is ${ms / 1_000} s for the stage ${stage}, and ends the request once`, (t) => {
      const { clock, expired, pass } = clockOf(t);
      clock.start(stage);
      pass(ms - 1);
      assert.equal(expired.length, 0);
      pass(1);
      assert.deepEqual(expired.map((error) => [error.code, error.message]), [[code, message]]);
      assert.equal(clock.expired, expired[0]);
      pass(200_000);
      assert.equal(expired.length, 1);
    });
  }

  it('is 110 s for the whole reply, whatever stages it goes through', (t) => {
    const { clock, expired, pass } = clockOf(t);
    for (let event = 0; event < 10; event++) {
      clock.start('idle');
      pass(10_999);
    }
    pass(9);
    assert.equal(expired.length, 0);
    pass(1);
    assert.deepEqual(expired.map(({ code }) => code), ['total_timeout']);
  });

  it('restarts with each stage, and pauses between them', (t) => {
    const { clock, expired, pass } = clockOf(t);
    clock.start('idle');
    pass(14_999);
    clock.start('idle');
    pass(14_999);
    clock.stop();
    pass(60_000);
    clock.start('idle');
    pass(14_999);
    assert.equal(expired.length, 0);
    pass(1);
    assert.deepEqual(expired.map(({ code }) => code), ['idle_timeout']);
  });

  it('does not run after the end', (t) => {
    const { clock, expired, pass } = clockOf(t);
    clock.start('idle');
    clock.close();
    pass(200_000);
    assert.deepEqual([expired, clock.expired], [[], undefined]);
  });
});
