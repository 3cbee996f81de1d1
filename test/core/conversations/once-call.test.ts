import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isOnceCall, isTruer, type OnceCall } from '../../../src/core/conversations/once-call.ts';
import { onceCall } from './once-calls.ts';

const running = onceCall();
const unknown = onceCall({ state: 'unknown' });
const completed = onceCall({ state: 'completed', content: '"paid"' });
const ofRun2 = (call: OnceCall): OnceCall => ({ ...call, runId: 2 });
const sameRunAgain = (call: OnceCall): OnceCall => ({ ...call, toolCallId: 'call-2' });

describe('isTruer', () => {
  const cases: readonly (readonly [string, OnceCall, OnceCall, boolean])[] = [
    ['a result beats a running call', completed, running, true],
    ['a result beats an unknown outcome', completed, unknown, true],
    ['an unknown outcome beats a running call', unknown, running, true],
    ['a running call does not beat an unknown outcome', running, unknown, false],
    ['nothing beats a result', unknown, completed, false],
    ['of two identical calls, the stored one stays', running, running, false],
    ["another run's running claim stays", ofRun2(unknown), running, false],
    ["another run's unknown outcome stays", ofRun2(running), unknown, false],
    ['a result beats a claim of another run', ofRun2(completed), running, true],
    ['a result beats an unknown outcome of another run', ofRun2(completed), unknown, true],
    ['of two results, the stored one stays', ofRun2(completed), completed, false],
    ['a second call of the same run does not yield to its first', unknown,
      sameRunAgain(running), false],
  ];
  for (const [name, ours, theirs, expected] of cases)
    it(`knows that ${name}`, () => assert.equal(isTruer(ours, theirs, true), expected));

  const released = onceCall({ state: 'released' });
  const again = onceCall({ nth: 2 });
  for (const [name, ours, theirs, isOwn, expected] of [
    ['a call that did nothing beats an unknown outcome', released, unknown, false, true],
    ['a later claim of a call beats one that did nothing', again, released, false, true],
    ['an earlier claim that did nothing does not beat a later one', released, again, false, false],
    ['a claim of this process beats another call that did nothing',
      ofRun2(running), released, true, true],
    ['a claim of another process does not beat another call that did nothing',
      ofRun2(running), released, false, false],
    ['of two released calls, the stored one stays', ofRun2(released), released, true, false],
  ] as const)
    it(`knows that ${name}`, () => assert.equal(isTruer(ours, theirs, isOwn), expected));
});

describe('isOnceCall', () => {
  it('accepts a call with fields of a later version', () => {
    assert.equal(isOnceCall(running), true);
    assert.equal(isOnceCall({ ...completed, process: 'a', more: 1 }), true);
  });

  const damaged: Readonly<Record<string, unknown>> = {
    state: 'paused', tool: 1, runId: '1', process: 1, turnId: null, toolCallId: undefined,
    claimedAt: 'now', content: {},
  };
  for (const [field, value] of Object.entries(damaged))
    it(`refuses a call whose ${field} is invalid`, () => {
      assert.equal(isOnceCall({ ...running, [field]: value }), false);
    });
});
