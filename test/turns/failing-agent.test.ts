// What is spoken, kept and logged where an agent fails.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TurnFailure } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { ModelError } from '../../src/models/model.ts';
import { contentsOf, deferred, serve, Told, within } from '../fixtures/app.ts';
import { answersTo, APOLOGY, historyAfter, type OnMessage } from './single-message.ts';

describe('an agent that fails', () => {
  const failures: readonly (readonly [what: string, onMessage: OnMessage])[] = [
    [
      'throws at once',
      () => {
        throw new Error('secret detail');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('secret detail');
      },
    ],
    [
      'throws no Error',
      () => {
        throw undefined;
      },
    ],
    [
      'throws in its generator before a word',
      async function* () {
        throw new Error('secret detail');
      },
    ],
    [
      'throws in a plain generator',
      function* () {
        throw new Error('secret detail');
      },
    ],
    ['returns an empty array', () => []],
    ['returns an async iterable without a word', async function* () {}],
    ['returns an iterable of empty texts', () => ['', '']],
    ['returns a number', () => 7 as unknown as string],
    ['returns null', () => null as unknown as string],
    ['returns an object', () => ({ text: 'One.' }) as unknown as string],
    [
      'yields a number',
      function* () {
        yield 7 as unknown as string;
      },
    ],
    [
      'yields undefined',
      async function* () {
        yield undefined as unknown as string;
      },
    ],
    [
      'says a number',
      (_turn, reply) => {
        reply.say(7 as unknown as string);
      },
    ],
    [
      'sends undefined as data',
      (_turn, reply) => {
        reply.data(undefined as unknown as null);
      },
    ],
    [
      'sends a cycle as data',
      (_turn, reply) => {
        const cycle: Record<string, never> = {};
        Object.assign(cycle, { cycle });
        reply.data(cycle);
      },
    ],
  ];
  for (const [what, onMessage] of failures) {
    it(`and ${what} apologises, and ends the stream`, async (t) => {
      assert.deepEqual(await answersTo(t, onMessage), APOLOGY);
    });
  }

  it('and says nothing but blanks apologises', async (t) => {
    const answers = await answersTo(t, () => [' ', '\n']);
    assert.deepEqual(answers, [['response.tts', ' '], ['response.tts', '\n'], ...APOLOGY]);
  });

  it('is not one whose generator ends with data but no word', async (t) => {
    const answers = await answersTo(t, async function* (_turn, reply) {
      reply.data(1);
    });
    assert.deepEqual(answers, [
      ['response.data', 1],
      ['response.end', undefined],
    ]);
  });

  it('keeps the apology in history as a failed turn', async (t) => {
    assert.deepEqual(
      await historyAfter(t, () => {
        throw new Error('x');
      }),
      [
        ['user', 'Hello?'],
        ['assistant', DEFAULT_APOLOGY, 'failed'],
      ],
    );
  });

  it('in mid-speech adds the apology to what was said', async (t) => {
    const answers = await answersTo(t, async function* () {
      yield 'Well, ';
      throw new Error('x');
    });
    assert.deepEqual(answers, [['response.tts', 'Well, '], ...APOLOGY]);
  });

  it('in mid-speech keeps both in history', async (t) => {
    const messages = await historyAfter(t, async function* () {
      yield 'Well, ';
      throw new Error('x');
    });
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', `Well, ${DEFAULT_APOLOGY}`, 'failed'],
    ]);
  });

  it('in mid-speech keeps the apology apart from a word it cut', async (t) => {
    const [, [, content = ''] = []] = await historyAfter(t, async function* () {
      yield 'Your balance is 1';
      throw new Error('x');
    });
    assert.match(content, /^Your balance is 1\s/);
  });

  it('speaks its own apology', async (t) => {
    const { client } = serve(t, {
      apology: 'Oh dear.',
      onMessage: () => {
        throw new Error('x');
      },
    });
    assert.equal(await (await client.say('Hello?')).text(), 'Oh dear.');
  });

  it('speaks an apology that depends on the failure', async (t) => {
    const model = new ModelError('no_credit', 'the vendor wants money');
    const behind = new Error('no answer', { cause: model });
    const thrown: unknown[] = [model, behind, new RangeError('x'), 'no error'];
    const failures: TurnFailure[] = [];
    const { client } = serve(t, {
      apology: (_turn, failure) => {
        failures.push(failure);
        return failure.code === 'no_credit' ? 'We are closed for today.' : 'Pardon?';
      },
      onMessage: () => {
        throw thrown[failures.length];
      },
    });
    const said: string[] = [];
    for (const _ of thrown) said.push(await (await client.say('Hello?')).text());
    const closed = 'We are closed for today.';
    assert.deepEqual(said, [closed, closed, 'Pardon?', 'Pardon?']);
    assert.deepEqual(failures, [
      { reason: 'model', code: 'no_credit', error: model },
      { reason: 'model', code: 'no_credit', error: behind },
      { reason: 'agent', code: undefined, error: thrown[2] },
      { reason: 'agent', code: undefined, error: 'no error' },
    ]);
  });

  it("at the session's start apologises too", async (t) => {
    const { client } = serve(t, {
      onSessionStart: () => {
        throw new Error('x');
      },
    });
    assert.equal(await (await client.start()).text(), DEFAULT_APOLOGY);
  });

  it("at the session's start speaks its own apology, which is given that event", async (t) => {
    const { client } = serve(t, {
      apology: (turn) => `Sorry, ${'text' in turn ? 'message' : 'start'} of ${turn.wire}.`,
      onSessionStart: () => {
        throw new Error('x');
      },
    });
    assert.equal(await (await client.start()).text(), 'Sorry, start of layercode.');
  });

  it('logs the detail', async (t) => {
    const { client, logLines } = serve(t, {
      onMessage: () => {
        throw new Error('secret detail');
      },
    });
    await (await client.say('Hello?')).text();
    assert.match(logLines.find((line) => line.includes('"turn failed"')) ?? '', /secret detail/);
  });

  it('finds its signal fired', async (t) => {
    const signals = new Told<AbortSignal>();
    const { client } = serve(t, {
      onMessage: ({ signal }) => {
        signals.tell(signal);
        throw new Error('x');
      },
    });
    await (await client.say('Hello?')).text();
    assert.equal((await signals.next()).aborted, true);
  });

  it('is told to stop when it yielded no text', async (t) => {
    const stopped = deferred();
    await answersTo(t, async function* () {
      try {
        yield 7 as unknown as string;
      } finally {
        stopped.resolve();
      }
    });
    await within(stopped.promise, "the generator's finally");
  });

  it('serves the next turn', async (t) => {
    const { client } = serve(t, {
      onMessage: ({ text }) => {
        if (text === 'fail') throw new Error('x');
        return 'Yes.';
      },
    });
    await (await client.say('fail')).text();
    assert.equal(await (await client.say('again')).text(), 'Yes.');
  });

  it('after end() ends the stream once', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('Bye.');
      reply.end();
      throw new Error('x');
    });
    assert.deepEqual(answers, [
      ['response.tts', 'Bye.'],
      ['response.end', undefined],
    ]);
  });

  it('after end() leaves the turn completed', async (t) => {
    const messages = await historyAfter(t, async (_turn, reply) => {
      reply.say('Bye.');
      reply.end();
      throw new Error('x');
    });
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', 'Bye.', 'completed'],
    ]);
  });

  it('does not send a reply longer than its limit', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('Well, ');
      reply.say('x'.repeat(1_048_576));
    });
    assert.deepEqual(answers, [['response.tts', 'Well, '], ...APOLOGY]);
  });

  it('does not send a reply of more than MAX_REPLY_WORDS', async (t) => {
    const { client } = serve(t, { onMessage: () => 'One two three.' }, {
      environment: { MAX_REPLY_WORDS: '2' },
    });
    assert.deepEqual(contentsOf(await (await client.say('Hello?')).events()), [DEFAULT_APOLOGY]);
  });

  it('apologises and does not hang up if its goodbye is too long', async (t) => {
    assert.deepEqual(
      await answersTo(t, (_turn, reply) => reply.hangup({ say: 'x'.repeat(1_048_577) })),
      APOLOGY,
    );
  });
});
