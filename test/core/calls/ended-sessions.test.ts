import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { EndedSessions } from '../../../src/core/calls/ended-sessions.ts';

/**
 * Ends of sessions in a server that has run for an hour. Its clock stands still until it is moved.
 */
function ended(): { readonly sessions: EndedSessions; pass(ms: number): void } {
  let time = 3_600_000;
  return { sessions: new EndedSessions(() => time), pass: (ms) => (time += ms) };
}

describe('EndedSessions', () => {
  it('accepts the first end of a session and no second one', () => {
    const { sessions } = ended();
    assert.deepEqual(
      [sessions.add('s'), sessions.add('s'), sessions.add('another')],
      [true, false, true],
    );
  });

  it('remembers an end for 600 s, longer than a signature is valid', () => {
    const { sessions, pass } = ended();
    sessions.add('s');
    pass(599_999);
    const inTime = sessions.add('s');
    pass(1);
    assert.deepEqual([inTime, sessions.add('s')], [false, true]);
  });

  it('remembers 10,000 ends', () => {
    const { sessions } = ended();
    for (let count = 0; count < 10_000; count++) sessions.add(`s${count}`);
    const oldest = sessions.add('s0');
    sessions.add('one more');
    assert.deepEqual([oldest, sessions.add('s1'), sessions.add('s0')], [false, false, true]);
  });

  it('accepts the end of a forgotten session again', () => {
    const { sessions } = ended();
    sessions.add('s');
    sessions.forget('s');
    assert.equal(sessions.add('s'), true);
  });
});
