import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { passChecks, compose, type Handler, type Middleware } from '../../src/http/compose.ts';
import type { Context } from '../../src/http/context.ts';

interface FakeContext {
  isAnswered: boolean;
  readonly method: string;
  readonly path: string;
}

/** Runs a chain once: what was done in which order, and what the error boundary was handed. */
async function run(
  layers: readonly Middleware[],
  handler: Handler = answer,
  fails = false,
): Promise<{ errors: unknown[]; context: FakeContext; isSync: boolean }> {
  const context: FakeContext = { isAnswered: false, method: 'GET', path: '/x' };
  const errors: unknown[] = [];
  const chain = compose(layers, handler, (error) => {
    errors.push(error);
    context.isAnswered = true;
    if (fails) throw new Error('the boundary fails');
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

describe('compose', () => {
  it('runs layers from the first to the handler and back, each once', async () => {
    const steps: string[] = [];
    const layer =
      (name: string): Middleware =>
      async (_context, next) => {
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

  it('makes no promise where no layer does', async () => {
    assert.equal(
      (await run([(_context, next) => next(), (_context, next) => next()])).isSync,
      true,
    );
  });

  it('hands every layer the same context', async () => {
    const seen: unknown[] = [];
    const { context } = await run(
      [
        (context, next) => {
          seen.push(context);
          return next();
        },
      ],
      (context) => {
        seen.push(context);
        return answer(context);
      },
    );
    assert.deepEqual(
      seen.map((one) => one === (context as unknown)),
      [true, true],
    );
  });

  it('lets a layer answer without the handler', async () => {
    let isHandled = false;
    await run([answer], () => {
      isHandled = true;
    });
    assert.equal(isHandled, false);
  });

  it('folds the layers once and not at each request', async () => {
    const layers: Middleware[] = [(_context, next) => next()];
    const chain = compose(layers, answer, () => undefined);
    layers.push(() => assert.fail('was added later'));
    await chain({ isAnswered: false } as unknown as Context);
  });

  for (const [what, value] of [
    ['an object', {}],
    ['undefined', undefined],
    ['a promise', Promise.resolve()],
  ] as const) {
    it(`refuses ${what} for a layer when the chain is made`, () => {
      assert.throws(() => compose([value as unknown as Middleware], answer, () => undefined), {
        name: 'TypeError',
        message: /must be a function/,
      });
    });
  }

  it('refuses a second next(), which runs no handler, and names the layer', async () => {
    const twice: Middleware = async function greedy(_context, next) {
      await next();
      await next();
    };
    let handled = 0;
    const { errors } = await run([twice], (context) => {
      handled += 1;
      return answer(context);
    });
    assert.deepEqual(messages(errors), ['middleware greedy called next() more than once']);
    assert.equal(handled, 1);
  });

  it('refuses a second next() of a layer that is not async', async () => {
    const { errors } = await run([
      (_context, next) => {
        void next();
        return next();
      },
    ]);
    assert.deepEqual(messages(errors), ['middleware anonymous called next() more than once']);
  });

  it('lets a layer call next() once in each of two requests', async () => {
    const errors: unknown[] = [];
    const chain = compose([(_context, next) => next()], answer, (error) => void errors.push(error));
    await chain({ isAnswered: false } as unknown as Context);
    await chain({ isAnswered: false } as unknown as Context);
    assert.deepEqual(errors, []);
  });

  for (const [kind, silent] of [
    ['plain', () => undefined],
    ['async', async () => undefined],
  ] as const) {
    it(`reports a ${kind} chain that answered nothing`, async () => {
      assert.deepEqual(messages((await run([silent as Middleware])).errors), [
        'nothing answered GET /x',
      ]);
    });
  }

  const throwing: readonly (readonly [kind: string, handler: Handler])[] = [
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    [
      'throws undefined',
      () => {
        throw undefined;
      },
    ],
  ];
  for (const [kind, handler] of throwing) {
    it(`has a handler that ${kind} answered before the outer layers go on`, async () => {
      let wasAnswered: boolean | undefined;
      const { errors } = await run(
        [
          async (context, next) => {
            await next();
            wasAnswered = (context as unknown as FakeContext).isAnswered;
          },
        ],
        handler,
      );
      assert.deepEqual([wasAnswered, errors.length], [true, 1]);
    });
  }

  it('has a layer that throws answered before the outer layers go on', async () => {
    let wasAnswered = false;
    await run([
      async (context, next) => {
        await next();
        wasAnswered = (context as unknown as FakeContext).isAnswered;
      },
      () => {
        throw new Error('inner layer');
      },
    ]);
    assert.equal(wasAnswered, true);
  });

  it('hands the boundary an exception once, however many layers are around it', async () => {
    const pass: Middleware = (_context, next) => next();
    assert.equal(
      (
        await run([pass, pass, async (_context, next) => next(), pass], () =>
          Promise.reject(new Error('once')),
        )
      ).errors.length,
      1,
    );
  });

  it('never rejects next() for what was thrown inside', async () => {
    let isRejected = false;
    await run(
      [
        async (_context, next) => {
          try {
            await next();
          } catch {
            isRejected = true;
          }
        },
      ],
      () => Promise.reject(new Error('inner')),
    );
    assert.equal(isRejected, false);
  });

  it('hands on what the second half of a layer throws', async () => {
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
  it('has a request pass its guards in their order, and then the rest of the chain', async () => {
    const steps: string[] = [];
    await run([passChecks([() => steps.push('a'), () => steps.push('b')])], (context) => {
      steps.push('handler');
      return answer(context);
    });
    assert.deepEqual(steps, ['a', 'b', 'handler']);
  });

  it('lets nothing past a guard that throws', async () => {
    const steps: string[] = [];
    const { errors } = await run(
      [
        passChecks([
          () => {
            throw new Error('refused');
          },
          () => steps.push('b'),
        ]),
      ],
      () => void steps.push('handler'),
    );
    assert.deepEqual([messages(errors), steps], [['refused'], []]);
  });
});
