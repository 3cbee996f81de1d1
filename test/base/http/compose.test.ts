import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  compose, loadedHandler, passChecks, type Handler, type Middleware,
} from '../../../src/base/http/compose.ts';
import type { Context } from '../../../src/base/http/context.ts';

interface FakeContext {
  isAnswered: boolean;
  readonly method: string;
  readonly path: string;
}

/** Runs a chain once; returns what the error boundary was handed. */
async function run(
  layers: readonly Middleware[],
  handler: Handler = answer,
): Promise<{ errors: unknown[]; context: FakeContext; isSync: boolean }> {
  const context: FakeContext = { isAnswered: false, method: 'GET', path: '/x' };
  const errors: unknown[] = [];
  const chain = compose(layers, handler, (error) => {
    errors.push(error);
    context.isAnswered = true;
  });
  const ended = chain(context as unknown as Context);
  await ended;
  return { errors, context, isSync: ended === undefined };
}

const answer: Handler = (context) => {
  (context as unknown as FakeContext).isAnswered = true;
};

function messages(errors: readonly unknown[]): string[] {
  return errors.map((error) => (error as Error).message);
}

const pass: Middleware = (_context, next) => next();

describe('compose', () => {
  it('runs each layer once, from the first to the handler and back', async () => {
    const steps: string[] = [];
    const layer = (name: string): Middleware => async (_context, next) => {
      steps.push(`${name} in`);
      await next();
      steps.push(`${name} out`);
    };
    await run([layer('a'), layer('b')], (context) => {
      steps.push('handler');
      return answer(context);
    });
    assert.deepEqual(steps, ['a in', 'b in', 'handler', 'b out', 'a out']);
  });

  it('makes no promise if no layer does', async () => {
    assert.equal((await run([pass, pass])).isSync, true);
  });

  it('lets a layer answer without the handler', async () => {
    await run([answer], () => assert.fail('the handler was called'));
  });

  it('folds the layers once, not for each request', async () => {
    const layers = [pass];
    const chain = compose(layers, answer, () => undefined);
    layers.push(() => assert.fail('was added later'));
    await chain({ isAnswered: false } as unknown as Context);
  });

  for (const [kind, twice] of [
    ['greedy', async function greedy(_context, next) {
      await next();
      await next();
    }],
    ['anonymous', (_context, next) => {
      void next();
      return next();
    }],
  ] as readonly (readonly [string, Middleware])[])
    it(`refuses a second next(), which runs no handler, and names the layer: ${kind}`, async () => {
      let handled = 0;
      const { errors } = await run([twice], (context) => {
        handled += 1;
        return answer(context);
      });
      assert.deepEqual(messages(errors), [`middleware ${kind} called next() more than once`]);
      assert.equal(handled, 1);
    });

  it('lets a layer call next() once in each of two requests', async () => {
    const errors: unknown[] = [];
    const chain = compose([pass], answer, (error) => void errors.push(error));
    await chain({ isAnswered: false } as unknown as Context);
    await chain({ isAnswered: false } as unknown as Context);
    assert.deepEqual(errors, []);
  });

  for (const [kind, silent] of [
    ['plain', () => undefined],
    ['async', async () => undefined],
  ] as const) {
    it(`reports a chain that answered nothing: ${kind}`, async () => {
      const { errors } = await run([silent as Middleware]);
      assert.deepEqual(messages(errors), ['nothing answered GET /x']);
    });
  }

  const fail = (error: unknown) => (): never => {
    throw error;
  };
  const reject = (): Promise<void> => Promise.reject(new Error('broken'));
  for (const [what, layers, handler] of [
    ['a handler that throws', [], fail(new Error('broken'))],
    ['a handler that rejects', [], reject],
    ['a handler that throws undefined', [], fail(undefined)],
    ['a layer that throws', [fail(new Error('broken'))], answer],
    ['a rejecting handler behind layers', [pass, async (_context, next) => next(), pass], reject],
  ] as readonly (readonly [string, readonly Middleware[], Handler])[])
    it(`answers once for ${what}, before the outer layers continue`, async () => {
      let wasAnswered: boolean | undefined;
      const outer: Middleware = async (context, next) => {
        await next(); // never rejects
        wasAnswered = (context as unknown as FakeContext).isAnswered;
      };
      const { errors } = await run([outer, ...layers], handler);
      assert.deepEqual([wasAnswered, errors.length], [true, 1]);
    });

  it('passes on what the second half of a layer throws', async () => {
    const { errors } = await run([
      async (_context, next) => {
        await next();
        throw new Error('second half');
      },
    ]);
    assert.deepEqual(messages(errors), ['second half']);
  });
});

describe('passChecks', () => {
  it('takes a request through its guards in order, and then the rest of the chain', async () => {
    const steps: string[] = [];
    await run([passChecks([() => steps.push('a'), () => steps.push('b')])], (context) => {
      steps.push('handler');
      return answer(context);
    });
    assert.deepEqual(steps, ['a', 'b', 'handler']);
  });

  it('lets nothing past a guard that throws', async () => {
    const refuse = (): never => {
      throw new Error('refused');
    };
    const unreachable = (): never => assert.fail('it got past');
    const { errors } = await run([passChecks([refuse, unreachable])], unreachable);
    assert.deepEqual(messages(errors), ['refused']);
  });
});

describe('loadedHandler', () => {
  it('loads its code once, however many requests come', async () => {
    let loads = 0;
    const handler = loadedHandler(async () => {
      loads += 1;
      return answer;
    });
    await Promise.all([run([], handler), run([], handler)]);
    await run([], handler);
    assert.equal(loads, 1);
  });

  it('loads its code again if loading it failed', async () => {
    let loads = 0;
    const handler = loadedHandler(async () => {
      if (++loads === 1) throw new Error('no such file');
      return answer;
    });
    assert.deepEqual(messages((await run([], handler)).errors), ['no such file']);
    assert.deepEqual((await run([], handler)).errors, []);
  });
});
