import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { redactedError } from '../../../src/core/redaction/redacted-error.ts';
import { withTexts } from '../../../src/core/redaction/texts.ts';

const CARD = '4242424242424242';
const hide = <T>(value: T): T =>
  withTexts(value, (text: string): string => text.replaceAll(CARD, '[card]'));

class Declined extends Error {
  override readonly name = `Declined ${CARD}`;
  readonly code = `E${CARD}`;
  readonly status = 402;
  readonly number = Number(CARD);
  readonly config = { data: CARD };
  readonly [CARD] = true;
}

/** Everything that can be seen of an error. */
function seen(error: unknown): string {
  return inspect(error, { depth: 10, showHidden: true });
}

describe('redactedError', () => {
  for (const [title, error] of [
    ['in all fields of an error', new Declined(`declined ${CARD}`, { cause: new Error(CARD) })],
    ['in the errors of an AggregateError', new AggregateError([new Error(CARD), CARD], 'all')],
    ['in an error that cannot be changed', Object.freeze(new Error(CARD))],
    ['in a list on an error', Object.assign(new Error('no'), { details: [CARD], data: [[CARD]] })],
    ['in a list of errors under another name', Object.assign(new Error('no'), {
      causes: [new Error(CARD)], reasons: Object.freeze([CARD]),
    })],
    ['in the errors of a plain error', Object.assign(new Error('no'), {
      errors: [{ message: CARD }, [CARD], CARD],
    })],
    ['in a string', CARD],
    ['in an error whose getter throws', Object.defineProperty(new Error(CARD), 'code', {
      get: () => assert.fail(CARD),
    })],
  ] as const)
    it(`leaves no value ${title}`, () => {
      assert.match(seen(error), /4242/);
      assert.doesNotMatch(seen(redactedError(error, hide)), /4242/);
    });

  it('keeps the class, the message and plain fields', () => {
    const copy = redactedError(new Declined(`no ${CARD}`, { cause: new Error('x') }), hide);
    assert.ok(copy instanceof Declined);
    assert.deepEqual([copy.message, copy.status, copy.config], ['no [card]', 402, undefined]);
    assert.match(copy.stack ?? '', /redacted-error\.test/);
    assert.ok(copy.cause instanceof Error);
  });

  it('keeps lists only under the name that an AggregateError uses', () => {
    const lists = { errors: ['a', CARD], details: ['a'], reasons: [new Error('a')] };
    const copy = redactedError(Object.assign(new Error('no'), lists), hide) as typeof lists;
    assert.deepEqual(copy.errors, ['a', '[card]']);
    assert.deepEqual([copy.details, copy.reasons], [undefined, undefined]);
  });

  it('returns an error without values as it is', () => {
    const error = new TypeError('no', { cause: new RangeError('why') });
    assert.equal(redactedError(error, hide), error);
    const reason = new DOMException('stop', 'AbortError');
    assert.equal(redactedError(reason, hide), reason);
    assert.equal(redactedError(undefined, hide), undefined);
  });

  it('stops at causes that form a cycle', () => {
    const error = new Error(CARD);
    error.cause = error;
    assert.doesNotMatch(seen(redactedError(error, hide)), /4242/);
  });
});
