import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { ErrorBoundary, type ErrorClass } from '../../../src/base/http/error-boundary.ts';
import {
  BadRequest, HttpError, InvalidSignature, ServiceUnavailable,
} from '../../../src/base/http/errors.ts';

class Teapot extends Error {}
class HotTeapot extends Teapot {}
class BoilingTeapot extends HotTeapot {}

interface Handled {
  readonly answers: unknown[];
  readonly logged: unknown[];
  readonly logFields: Record<string, unknown>;
  isDestroyed: boolean;
}

/**
 * What becomes of an error when each handler answers with the name of the class that it handles.
 */
async function handle(error: unknown, classes: readonly ErrorClass[] = []): Promise<Handled> {
  const boundary = new ErrorBoundary();
  for (const errorClass of classes)
    boundary.on(errorClass, (_error, context) => context.text(418, errorClass.name));
  return handleWith(boundary, error);
}

async function handleWith(
  boundary: ErrorBoundary,
  error: unknown,
  headersSent = false,
): Promise<Handled> {
  const handled: Handled = { answers: [], logged: [], logFields: {}, isDestroyed: false };
  const context = {
    isAnswered: headersSent,
    response: { destroy: () => (handled.isDestroyed = true) },
    logFields: handled.logFields,
    log: {
      error: (_message: string, fields: { error: unknown }) => handled.logged.push(fields.error),
    },
    json: (...answer: unknown[]) => handled.answers.push(answer),
    text: (...answer: unknown[]) => handled.answers.push(answer),
  };
  await boundary.handle(error, context as unknown as Context);
  return handled;
}

const INTERNAL = [500, { error: 'Internal server error' }, undefined];

describe('ErrorBoundary', () => {
  const internal = { error: 'Internal server error' };
  for (const [title, error, answer] of [
    [
      'answers an HttpError with its status and message', new HttpError(404, 'no such call'),
      [404, { error: 'no such call' }, []],
    ],
    [
      'answers with the headers of an HttpError',
      new HttpError(429, 'slow down', { headers: ['retry-after', '7'] }),
      [429, { error: 'slow down' }, ['retry-after', '7']],
    ],
    ['hides the message of a 500', new HttpError(500, 'of the database'), [500, internal, []]],
    ['hides the message of a 502', new HttpError(502, 'at 10.0.0.7'), [502, internal, []]],
    [
      'shows the message of a public 503', new HttpError(503, 'full', { expose: true }),
      [503, { error: 'full' }, []],
    ],
    [
      'hides the message of a private 400', new HttpError(400, 'secret', { expose: false }),
      [400, internal, []],
    ],
    ['answers any other error with a fixed sentence', new Error('at 10.0.0.7'), INTERNAL],
    ['answers a thrown string with a fixed sentence', 'at 10.0.0.7', INTERNAL],
    ['answers a thrown undefined with a fixed sentence', undefined, INTERNAL],
    ['answers a thrown null with a fixed sentence', null, INTERNAL],
    [
      'ignores the status of a foreign error',
      Object.assign(new Error('x'), { status: 200, expose: true }), INTERNAL,
    ],
  ] as const)
    it(title, async () => assert.deepEqual((await handle(error)).answers, [answer]));

  it('logs what it does not show', async () => {
    const error = new Error('at 10.0.0.7');
    assert.deepEqual((await handle(error)).logged, [error]);
  });

  it('notes what it shows for the access log', async () => {
    assert.deepEqual((await handle(new BadRequest('PORT is odd'))).logFields, {
      error: 'PORT is odd',
    });
  });

  for (const [title, error, classes, name] of [
    ["asks the handler of the error's class", new Teapot(), [Teapot], 'Teapot'],
    ['asks the handler of a base class', new BoilingTeapot(), [Teapot], 'Teapot'],
    ['prefers the nearest class', new BoilingTeapot(), [Error, Teapot, HotTeapot], 'HotTeapot'],
    ['ignores the order of classes', new BoilingTeapot(), [HotTeapot, Teapot, Error], 'HotTeapot'],
    ["asks Error's handler if there is no other", new RangeError(), [Error, Teapot], 'Error'],
    ['asks a handler for our own errors too', new BadRequest('x'), [HttpError], 'HttpError'],
  ] as readonly (readonly [string, Error, readonly ErrorClass[], string])[])
    it(title, async () => assert.deepEqual((await handle(error, classes)).answers, [[418, name]]));

  it('uses the later of two handlers for one class', async () => {
    const boundary = new ErrorBoundary();
    boundary.on(Teapot, (_error, context) => context.text(418, 'first'));
    boundary.on(Teapot, (_error, context) => context.text(418, 'second'));
    assert.deepEqual((await handleWith(boundary, new Teapot())).answers, [[418, 'second']]);
  });

  for (const [how, fail] of [
    ['throws', () => { throw new Error('again'); }],
    ['rejects', () => Promise.reject(new Error('again'))],
  ] as const)
    it(`answers 500 when an error handler ${how}, and logs why`, async () => {
      const boundary = new ErrorBoundary();
      boundary.on(Teapot, fail);
      const { answers, logged: [logged] } = await handleWith(boundary, new Teapot());
      assert.deepEqual(answers, [INTERNAL]);
      assert.equal(((logged as Error).cause as Error).message, 'again');
    });

  it('destroys an answer that has begun, and asks no handler', async () => {
    const boundary = new ErrorBoundary();
    let isAsked = false;
    boundary.on(BadRequest, () => void (isAsked = true));
    const { answers, isDestroyed } = await handleWith(boundary, new BadRequest('x'), true);
    assert.deepEqual([answers, isDestroyed, isAsked], [[], true, false]);
  });
});

describe('the errors', () => {
  it('keep their cause', () => {
    const cause = new Error('why');
    assert.equal(new BadRequest('x', { cause }).cause, cause);
  });

  for (const [error, name, status] of [
    [new BadRequest('x'), 'BadRequest', 400],
    [new InvalidSignature(), 'InvalidSignature', 401],
    [new ServiceUnavailable('x', 3), 'ServiceUnavailable', 503],
  ] as const) {
    it(`have their name and status: ${name}`, () =>
      assert.deepEqual(
        [error.name, error.status, error.expose, error instanceof HttpError],
        [name, status, true, true],
      ));
  }

  for (const headers of [['a b', 'c'], ['a', 'b\r\nc: d'], ['a', 'b', 'c\n', 'd']]) {
    it(`cannot be made with headers that HTTP forbids: ${JSON.stringify(headers)}`, () => {
      assert.throws(() => new HttpError(400, 'x', { headers }), TypeError);
    });
  }

  it('say when to retry: ServiceUnavailable', () =>
    assert.deepEqual(new ServiceUnavailable('x', 3).headers, ['retry-after', '3']));
});
