import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  failureReasonOf, ReplyTooLong, TurnTimeout,
} from '../../../../src/core/turns/report/failure-reason.ts';

function named(name: string, cause?: unknown): Error {
  return Object.assign(new Error('secret words', { cause }), { name });
}

const circle = new Error('a');
circle.cause = circle;

describe('failureReasonOf', () => {
  for (const [what, error, reason] of [
    ['a turn that took too long', new TurnTimeout('turn', 5), 'turn_timeout'],
    ['a turn without a word', new TurnTimeout('first word', 5), 'first_word_timeout'],
    ["a model's error", named('ModelError'), 'model'],
    ["a model's error that caused another", named('Error', named('ModelError')), 'model'],
    ["a store's error", named('StoreError'), 'store'],
    ['a reply that is too long', new ReplyTooLong('long'), 'reply_too_long'],
    ['a number out of range', new RangeError('toFixed()'), 'agent'],
    ["an error in the agent's code", new TypeError('x is not a function'), 'agent'],
    ['an error that is its own cause', circle, 'agent'],
    ['an error named like a property of every object', named('constructor'), 'agent'],
    ['a thrown string', 'no', 'agent'],
    ['an undefined error', undefined, 'agent'],
  ] as const) {
    it(`returns ${reason} for ${what}`, () => assert.equal(failureReasonOf(error), reason));
  }
});
