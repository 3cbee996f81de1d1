import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { OpenSessions } from '../../../src/core/calls/open-sessions.ts';
import { mockTimers } from '../../fixtures/clock.ts';

interface Bench {
  readonly sessions: OpenSessions;
  /** Lets that much time pass. */
  pass(ms: number): Promise<void>;
  /** Whether the last wait is over. */
  isOver(): boolean;
  wait(ms: number): void;
}

/** Sessions count as over once they have been idle for a minute. */
function open(t: TestContext): Bench {
  const clock = mockTimers(t, ['setTimeout']);
  let now = 0;
  let isOver = false;
  const sessions = new OpenSessions(60_000, () => now);
  return {
    sessions,
    async pass(ms) {
      now += ms;
      clock.tick(ms);
      await Promise.resolve();
    },
    isOver: () => isOver,
    wait(ms) {
      void sessions.over(ms).then(() => (isOver = true));
    },
  };
}

describe('OpenSessions', () => {
  it('are waited for until the last one has ended, including new ones', async (t) => {
    const { sessions, wait, pass, isOver } = open(t);
    sessions.start('a');
    wait(1_000);
    sessions.start('b');
    sessions.end('a');
    await pass(1);
    assert.equal(isOver(), false);
    sessions.end('b');
    await pass(0);
    assert.equal(isOver(), true);
  });

  it('are waited for no longer than the given time', async (t) => {
    const { sessions, wait, pass, isOver } = open(t);
    sessions.start('a');
    wait(1_000);
    await pass(999);
    assert.equal(isOver(), false);
    await pass(1);
    assert.equal(isOver(), true);
  });

  it('are over after a long silence', async (t) => {
    const { sessions, wait, pass, isOver } = open(t);
    sessions.start('lost');
    await pass(60_000);
    wait(1_000);
    await pass(0);
    assert.equal(isOver(), true);
  });

  it('are not over while turns arrive, and a turn alone does not open a session', async (t) => {
    const { sessions, wait, pass, isOver } = open(t);
    sessions.start('long');
    await pass(59_999);
    sessions.use('long');
    sessions.use('unknown');
    await pass(59_999);
    wait(1_000);
    await pass(0);
    assert.equal(isOver(), false);
    sessions.end('long');
    await pass(0);
    assert.equal(isOver(), true);
  });
});
