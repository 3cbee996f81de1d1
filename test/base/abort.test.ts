import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isAbort, untilAborted } from '../../src/base/abort.ts';
import { TurnAbortedError } from '../../src/core/agents/agent.ts';

const aborted = new TurnAbortedError('the caller left');
const withItselfAsCause = new Error('odd');
withItselfAsCause.cause = withItselfAsCause;
const inItself = new AggregateError([], 'odd');
inItself.errors.push(inItself);

describe('isAbort', () => {
  const aborts: readonly (readonly [string, unknown])[] = [
    ["a turn's reason", aborted],
    ['an error with the reason as its cause', new Error('the query failed', { cause: aborted })],
    [
      'an error with the reason deep in its causes',
      new TypeError('a', { cause: new Error('b', { cause: aborted }) }),
    ],
    ['what fetch rejects with', new DOMException('This operation was aborted', 'AbortError')],
    [
      'what Node rejects with',
      Object.assign(new Error('The operation was aborted'), { code: 'ABORT_ERR' }),
    ],
    ['several aborts at once', new AggregateError([aborted, new Error('x', { cause: aborted })])],
  ];
  for (const [what, error] of aborts)
    it(`is true for ${what}`, () => assert.equal(isAbort(error), true));

  const others: readonly (readonly [string, unknown])[] = [
    ['a timeout', new DOMException('The operation timed out', 'TimeoutError')],
    [
      'several errors, not all of them aborts',
      new AggregateError([aborted, new Error('no database')]),
    ],
    ['an empty list of errors', new AggregateError([])],
    ['an error that is its own cause', withItselfAsCause],
    ['errors that contain themselves', inItself],
    ['undefined', undefined],
  ];
  for (const [what, error] of others)
    it(`is false for ${what}`, () => assert.equal(isAbort(error), false));
});

describe('untilAborted', () => {
  const never = new Promise<never>(() => undefined);

  it('gives the value, at once if it is not a promise', async () => {
    const { signal } = new AbortController();
    assert.equal(untilAborted(1, signal), 1);
    assert.equal(await untilAborted(Promise.resolve(2), signal), 2);
  });

  it('rejects with the reason of a signal that fires', async () => {
    const caller = new AbortController();
    const value = untilAborted(never, caller.signal);
    caller.abort(aborted);
    await assert.rejects(Promise.resolve(value), aborted);
  });

  it('rejects with the reason of a signal that has already fired', async () => {
    const value = untilAborted(never, AbortSignal.abort(aborted));
    await assert.rejects(Promise.resolve(value), aborted);
  });
});
