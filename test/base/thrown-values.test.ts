// What user code can throw, and what is said about it: `messageOf` and `withoutMessage`.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { messageOf, withoutMessage } from '../../src/base/thrown-values.ts';

const NO_TEXT = 'something without a message was thrown';

/** An error with one field that throws when it is read. */
function errorWithout(field: string): Error {
  return Object.defineProperty(new Error('down'), field, {
    get() {
      throw new TypeError(`no ${field}`);
    },
  });
}

function revokedProxy(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const UNREADABLE = Object.assign(new Error(), { message: Object.create(null) as string });

describe('messageOf', () => {
  for (const [what, thrown, message] of [
    ['an error', new TypeError('down'), 'down'],
    ['a string', 'down', 'down'],
    ['a symbol', Symbol('down'), 'Symbol(down)'],
    ['an object without a prototype', Object.create(null), NO_TEXT],
    ['an error whose message is not text', UNREADABLE, NO_TEXT],
    ['a revoked proxy', revokedProxy(), NO_TEXT],
  ] as const) {
    it(`gives a text for ${what}`, () => assert.equal(messageOf(thrown), message));
  }
});

describe('withoutMessage', () => {
  it('keeps name, code, stack and causes of an error, but no words of a message', () => {
    const cause = new RangeError('of Xanadu');
    const error = Object.assign(new TypeError('in Xanadu', { cause }), { code: 'E_CITY' });
    const bare = withoutMessage(error) as Error & { code: unknown; cause: Error };
    const note = '[not shown: it may quote the caller]';
    assert.deepEqual([bare.name, bare.message, bare.code], ['TypeError', note, 'E_CITY']);
    assert.deepEqual([bare.cause.name, bare.cause.message], ['RangeError', note]);
    assert.equal(withoutMessage(error, 'It failed.')?.message, 'It failed.');
    for (const { stack } of [bare, bare.cause]) {
      assert.match(stack ?? '', /at .*thrown-values\.test/);
      assert.doesNotMatch(stack ?? '', /Xanadu/);
    }
  });

  it('follows at most four causes, even in a circle', () => {
    const circle = new Error('a');
    circle.cause = circle;
    let depth = -1;
    for (let error: unknown = withoutMessage(circle); error instanceof Error; error = error.cause)
      depth += 1;
    assert.equal(depth, 4);
  });

  for (const [what, error] of [
    ['whose stack is not a string', Object.assign(new Error('down'), { stack: 5 })],
    ['whose message is not a string', Object.assign(new Error(''), { message: 5 })],
  ] as const) {
    it(`describes an error ${what}`, () =>
      assert.equal(withoutMessage(error)?.name, 'Error'));
  }

  for (const [what, thrown] of [
    ['a string', 'down'],
    ['an object without a prototype', Object.create(null)],
    ['a revoked proxy', revokedProxy()],
    ...['name', 'message', 'stack', 'cause'].map(
      (field) => [`an error whose ${field} throws`, errorWithout(field)] as const,
    ),
  ] as const) {
    it(`has nothing to say about ${what}`, () => assert.equal(withoutMessage(thrown), undefined));
  }
});
