// An agent may be made with another copy of the package than its server: their classes then differ.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import * as ours from '../../../src/index.ts';
import { shop, payTool } from '../../core/turns/payments.ts';
import { serve } from '../../fixtures/kernel.ts';
import { ROOT } from '../../fixtures/source-files.ts';

const theirs = (await import(pathToFileURL(join(ROOT, 'dist/index.js')).href)) as typeof ours;

type Copy = Readonly<Record<string, unknown>>;
type ErrorClass = (abstract new (...args: never[]) => Error) & { readonly prototype: Error };

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === 'function' && value.prototype instanceof Error;
}

/** Names of the error classes of a copy that this is an instance of. */
function namesOf(error: unknown, copy: Copy): string[] {
  return Object.keys(copy).filter((name) => {
    const type = copy[name];
    return isErrorClass(type) && error instanceof type;
  });
}

describe('an error from another copy of the package', () => {
  for (const [name, type] of Object.entries(theirs)) {
    if (!isErrorClass(type)) continue;
    it(`is a ${name}`, () => {
      const error: unknown = Object.create(type.prototype);
      assert.ok(namesOf(error, ours).includes(name));
      assert.deepEqual(namesOf(error, ours), namesOf(error, theirs));
    });
  }

  it('is not an instance of a class that a program derives from ours', () => {
    class Mine extends ours.HttpError {}
    assert.equal(new theirs.HttpError(400, 'no') instanceof Mine, false);
    assert.equal(new Mine(400, 'no') instanceof theirs.HttpError, true);
    assert.equal(new Mine(400, 'no') instanceof Mine, true);
  });

  it('is answered by the handler for errors of its class', async (t) => {
    const { app, fetch } = await serve(t);
    app.get('/bad', () => {
      throw new theirs.BadRequest('no');
    });
    app.onError(ours.HttpError, (_error, context) => context.empty(500));
    app.onError(ours.BadRequest, (_error, context) => context.empty(418));
    assert.equal((await fetch('/bad')).status, 418);
  });

  it('does not leave the outcome of a once tool unknown if it is NotDone', async (t) => {
    const answers = [new theirs.NotDone('the bank declined it'), undefined];
    const served = shop(t, payTool(() => {
      const answer = answers.shift();
      if (answer !== undefined) throw answer;
    }));
    assert.equal(await served.says('pay 5'), '{"error":"the bank declined it"}');
    assert.equal(await served.says('pay 5'), '{"status":"ok"}');
  });
});

describe('a hand-over from another copy of the package', () => {
  it('is recognised as a hand-over', () => {
    const given: unknown = theirs.handOver('desk');
    assert.ok(given instanceof ours.handOver('desk').constructor);
  });
});
