// A turn from its message to its record: what is spoken, what is kept, and what happens to
// deliveries that come twice or late.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, Spoken } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { Message } from '../../src/conversations/message.ts';
import type { Reply } from '../../src/agents/agent.ts';
import type { TestReply } from '../../src/test-client.ts';
import {
  contentsOf,
  deferred,
  errorsIn,
  fired,
  Listener,
  messageEvent,
  rawRequest,
  serve,
  slowStore,
  Told,
  typesOf,
  until,
  within,
  type Served,
} from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';

type OnMessage = Agent['onMessage'];
const APOLOGY = [
  ['response.tts', DEFAULT_APOLOGY],
  ['response.end', undefined],
] as const;

/** Type and content of each event in the answer to a single message. */
async function answersTo(
  t: Parameters<typeof serve>[0],
  onMessage: OnMessage,
  environment = {},
): Promise<(readonly unknown[])[]> {
  const { client } = serve(t, { onMessage }, { environment });
  const events = await within((await client.say('Hello?')).events(), 'the end of the stream');
  return events.map(({ type, content }) => [type, content]);
}

/** The history that a single message leaves. */
async function historyAfter(
  t: Parameters<typeof serve>[0],
  onMessage: OnMessage,
  environment = {},
): Promise<(readonly string[])[]> {
  const { client, history } = serve(t, { onMessage }, { environment });
  await within((await client.say('Hello?')).events(), 'the end of the stream');
  return history();
}

describe('what an agent may return', () => {
  const spoken: readonly (readonly [
    what: string,
    onMessage: OnMessage,
    contents: readonly string[],
  ])[] = [
    ['a string', () => 'One.', ['One.']],
    ['a promise of a string', async () => 'One.', ['One.']],
    [
      'a thenable',
      () =>
        ({
          then: (resolve: (text: string) => void) => resolve('One.'),
        }) as unknown as Promise<Spoken>,
      ['One.'],
    ],
    ['an array', () => ['One.', ' Two.'], ['One.', ' Two.']],
    [
      'a generator',
      function* () {
        yield 'One.';
        yield ' Two.';
      },
      ['One.', ' Two.'],
    ],
    [
      'an async generator',
      async function* () {
        yield 'One.';
        yield ' Two.';
      },
      ['One.', ' Two.'],
    ],
    [
      'a promise of an async iterable',
      async () =>
        (async function* () {
          yield 'One.';
        })(),
      ['One.'],
    ],
    [
      'text behind what it spoke through the reply',
      (_turn, reply) => {
        reply.say('One.');
        return ' Two.';
      },
      ['One.', ' Two.'],
    ],
    ['empty pieces among others, which are not sent', () => ['', 'One.', ''], ['One.']],
  ];
  for (const [what, onMessage, contents] of spoken) {
    it(`is ${what}`, async (t) => {
      assert.deepEqual(await answersTo(t, onMessage), [
        ...contents.map((content) => ['response.tts', content]),
        ['response.end', undefined],
      ]);
    });
  }

  it('is nothing: it spoke through the reply, perhaps after waiting', async (t) => {
    const answers = await answersTo(t, async (_turn, reply) => {
      await new Promise((resolve) => setImmediate(resolve));
      reply.say('One.');
    });
    assert.deepEqual(answers, [
      ['response.tts', 'One.'],
      ['response.end', undefined],
    ]);
  });

  const silent: readonly (readonly [what: string, onMessage: OnMessage])[] = [
    ['returns nothing', () => undefined],
    ['returns a promise of nothing', async () => undefined],
    ['ends the reply', (_turn, reply) => reply.end()],
    [
      'ends the reply in a generator',
      async function* (_turn, reply) {
        reply.end();
      },
    ],
    [
      'says an empty text',
      (_turn, reply) => {
        reply.say('');
      },
    ],
  ];
  for (const [what, onMessage] of silent) {
    it(`${what}: the turn is silent, and ends properly`, async (t) => {
      assert.deepEqual(await answersTo(t, onMessage), [['response.end', undefined]]);
    });

    it(`${what}: no empty message is kept`, async (t) => {
      assert.deepEqual(await historyAfter(t, onMessage), [['user', 'Hello?']]);
    });
  }

  it('is data without a word', async (t) => {
    const answers = await answersTo(t, async function* (_turn, reply) {
      reply.data({ page: 2 });
    });
    assert.deepEqual(answers, [
      ['response.data', { page: 2 }],
      ['response.end', undefined],
    ]);
  });

  it('a session.start without a hook is answered with the end alone', async (t) => {
    const { client } = serve(t, {});
    assert.deepEqual(typesOf(await (await client.start()).events()), ['response.end']);
  });
});

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

  it('and ends its text with nothing but blanks apologises: they are no words', async (t) => {
    const answers = await answersTo(t, () => [' ', '\n']);
    assert.deepEqual(answers, [['response.tts', ' '], ['response.tts', '\n'], ...APOLOGY]);
  });

  it('is not one whose generator ends with data and no word', async (t) => {
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

  it('in mid-speech says the apology behind what was said', async (t) => {
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

  it("at the session's start apologises too", async (t) => {
    const { client } = serve(t, {
      onSessionStart: () => {
        throw new Error('x');
      },
    });
    assert.equal(await (await client.start()).text(), DEFAULT_APOLOGY);
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

  it('sends no reply longer than its bound', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('Well, ');
      reply.say('x'.repeat(1_048_576));
    });
    assert.deepEqual(answers, [['response.tts', 'Well, '], ...APOLOGY]);
  });

  it('says nothing of a hangup that its too long goodbye failed', async (t) => {
    assert.deepEqual(
      await answersTo(t, (_turn, reply) => reply.hangup({ say: 'x'.repeat(1_048_577) })),
      APOLOGY,
    );
  });
});

describe('a reply of the longest length', () => {
  const kilobytes = (count: number): string[] => new Array<string>(count).fill('x'.repeat(1_024));
  // Not with the client's decoder, which refuses an event of that length by default.
  const spokenLength = async ({ response }: TestReply): Promise<number> =>
    (await within(response.text(), 'the reply')).match(/x/g)?.length ?? 0;
  const longest: readonly (readonly [what: string, onMessage: OnMessage])[] = [
    ['in one piece', () => 'x'.repeat(1_048_576)],
    ['from an iterable that has all of it at once', () => kilobytes(1_024)],
    [
      'from an agent that waits for room',
      async (_turn, reply) => {
        for (const piece of kilobytes(1_024)) await reply.say(piece);
      },
    ],
  ];
  for (const [what, onMessage] of longest) {
    it(`${what} arrives whole where the caller reads`, async (t) => {
      const { client } = serve(t, { onMessage });
      assert.equal(await spokenLength(await client.say('Hello?')), 1_048_576);
    });
  }

  it('arrives whole the second time, too', async (t) => {
    const { client } = serve(t, {
      async *onMessage() {
        for (const piece of kilobytes(1_024)) {
          yield piece;
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.equal(await spokenLength(await client.say('Hello?', { turn_id: 't-1' })), 1_048_576);
  });
});

describe('reply', () => {
  const after: readonly (readonly [what: string, write: (reply: Reply) => unknown])[] = [
    ['say', (reply) => reply.say('late')],
    ['data', (reply) => reply.data('late')],
  ];
  for (const [what, write] of after) {
    it(`.${what} after the end returns false`, async (t) => {
      const results = new Told<unknown>();
      await answersTo(t, (_turn, reply) => {
        reply.end();
        results.tell(write(reply));
      });
      assert.equal(await results.next(), false);
    });
  }

  for (const [what, write] of [
    ...after,
    ['hangup', (reply: Reply) => reply.hangup({ say: 'late' })],
    ['end', (reply: Reply) => reply.end()],
  ] as const) {
    it(`.${what} after the end sends nothing`, async (t) => {
      const answers = await answersTo(t, (_turn, reply) => {
        reply.say('Bye.');
        reply.end();
        write(reply);
      });
      assert.deepEqual(answers, [
        ['response.tts', 'Bye.'],
        ['response.end', undefined],
      ]);
    });
  }

  for (const [what, write] of [
    ['say', (reply: Reply) => reply.say(7 as unknown as string)],
    ['data', (reply: Reply) => reply.data(undefined as unknown as null)],
  ] as const) {
    it(`.${what} of a wrong value after the end is a no-op, never an exception`, async (t) => {
      const results = new Told<unknown>();
      await answersTo(t, (_turn, reply) => {
        reply.end();
        try {
          results.tell(write(reply));
        } catch (error) {
          results.tell(error);
        }
      });
      assert.equal(await results.next(), false);
    });
  }

  it('.say returns true while there is room', async (t) => {
    const results = new Told<unknown>();
    await answersTo(t, (_turn, reply) => {
      results.tell(reply.say('One.'));
    });
    assert.equal(await results.next(), true);
  });

  it('.hangup says goodbye first, then hangs up, then ends', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => reply.hangup({ say: 'Bye.' }));
    assert.deepEqual(answers, [
      ['response.tts', 'Bye.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup needs no word', async (t) => {
    assert.deepEqual(await answersTo(t, (_turn, reply) => reply.hangup()), [
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup twice hangs up once', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.hangup({ say: 'Bye.' });
      reply.hangup({ say: 'Bye!' });
    });
    assert.deepEqual(answers, [
      ['response.tts', 'Bye.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup is the end: what a generator yields after it is not sent', async (t) => {
    const answers = await answersTo(t, async function* (_turn, reply) {
      yield 'One.';
      reply.hangup();
      yield 'Two.';
    });
    assert.deepEqual(answers, [
      ['response.tts', 'One.'],
      ['response.hangup', undefined],
      ['response.end', undefined],
    ]);
  });

  it('.hangup keeps the goodbye in history', async (t) => {
    assert.deepEqual(await historyAfter(t, (_turn, reply) => reply.hangup({ say: 'Bye.' })), [
      ['user', 'Hello?'],
      ['assistant', 'Bye.', 'completed'],
    ]);
  });

  it('.end stops a generator that would go on', async (t) => {
    const stopped = deferred();
    await answersTo(t, async function* (_turn, reply) {
      try {
        yield 'One.';
        reply.end();
        for (;;) yield 'more';
      } finally {
        stopped.resolve();
      }
    });
    await within(stopped.promise, "the generator's finally");
  });

  it('.data takes any JSON value, in its place among the words', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('A');
      reply.data([{ b: null }, 0, '']);
      reply.say('C');
    });
    assert.deepEqual(answers, [
      ['response.tts', 'A'],
      ['response.data', [{ b: null }, 0, '']],
      ['response.tts', 'C'],
      ['response.end', undefined],
    ]);
  });

  it('.say puts a character together that was split over two pieces', async (t) => {
    const answers = await answersTo(t, () => ['Hi \ud83d', '\ude00!']);
    assert.equal(answers.map(([, content]) => content ?? '').join(''), 'Hi 😀!');
  });

  it('.say never sends half a character', async (t) => {
    const answers = await answersTo(t, () => ['Hi \ud83d', '\ude00!']);
    assert.deepEqual(
      answers.filter(([, content]) => Buffer.from(String(content)).toString() !== String(content)),
      [],
    );
  });

  it('.say keeps half a character back behind data in between', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('\ud83d');
      reply.data(1);
      reply.say('\ude00');
    });
    assert.deepEqual(answers, [
      ['response.data', 1],
      ['response.tts', '😀'],
      ['response.end', undefined],
    ]);
  });

  it('.say replaces half a character that nothing follows', async (t) => {
    assert.deepEqual(await answersTo(t, () => ['Hi', '\ud83d']), [
      ['response.tts', 'Hi'],
      ['response.tts', '\ufffd'],
      ['response.end', undefined],
    ]);
  });

  it('.hangup is not followed by the half character that was kept back', async (t) => {
    const answers = await answersTo(t, (_turn, reply) => {
      reply.say('Bye \ud83d');
      reply.hangup();
    });
    assert.deepEqual(answers.map(([type]) => type).slice(-2), ['response.hangup', 'response.end']);
  });

  it('history holds the character whole', async (t) => {
    assert.deepEqual(await historyAfter(t, () => ['Hi \ud83d', '\ude00!']), [
      ['user', 'Hello?'],
      ['assistant', 'Hi 😀!', 'completed'],
    ]);
  });
});

describe('time-outs of a turn', () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  it('apologise where nothing was spoken within FIRST_WORD_TIMEOUT_SECONDS', async (t) => {
    assert.deepEqual(await answersTo(t, never, { FIRST_WORD_TIMEOUT_SECONDS: '0.1' }), APOLOGY);
  });

  it('take data for no word', async (t) => {
    const answers = await answersTo(
      t,
      (_turn, reply) => {
        reply.data(1);
        return never();
      },
      { FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.data', 1], ...APOLOGY]);
  });

  it('take blanks for no word', async (t) => {
    const answers = await answersTo(
      t,
      (_turn, reply) => {
        reply.say(' \n');
        return never();
      },
      { FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.tts', ' \n'], ...APOLOGY]);
  });

  it('leave a turn alone after its first word, until TURN_TIMEOUT_SECONDS', async (t) => {
    const gate = deferred();
    const { client } = serve(
      t,
      {
        async *onMessage() {
          yield 'One.';
          await gate.promise;
          yield ' Two.';
        },
      },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '10', TURN_TIMEOUT_SECONDS: '20' } },
    );
    await client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const listener = new Listener(await client.say('Hello?'));
    await listener.next();
    clock.tick(10_000);
    gate.resolve();
    assert.deepEqual(contentsOf(await listener.rest()), [' Two.']);
  });

  it('apologise where a turn that spoke outlasts TURN_TIMEOUT_SECONDS', async (t) => {
    const answers = await answersTo(
      t,
      async function* () {
        yield 'One. ';
        await never();
      },
      { TURN_TIMEOUT_SECONDS: '0.2', FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.tts', 'One. '], ...APOLOGY]);
  });

  it('apologise where TURN_TIMEOUT_SECONDS is the shorter one', async (t) => {
    assert.deepEqual(await answersTo(t, never, { TURN_TIMEOUT_SECONDS: '0.1' }), APOLOGY);
  });

  it("apologise at a session's start", async (t) => {
    const { client } = serve(
      t,
      { onSessionStart: never },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.1' } },
    );
    assert.equal(await within((await client.start()).text(), 'the apology'), DEFAULT_APOLOGY);
  });

  it("fire the agent's signal", async (t) => {
    const reason = deferred<unknown>();
    await answersTo(t, ({ signal }) => fired(signal).then((why) => reason.resolve(why)), {
      TURN_TIMEOUT_SECONDS: '0.1',
    });
    assert.equal(((await within(reason.promise, 'the signal')) as Error).name, 'TurnAbortedError');
  });

  it("stop the agent's generator", async (t) => {
    const stopped = deferred();
    await answersTo(
      t,
      async function* ({ signal }) {
        try {
          yield 'One.';
          await fired(signal);
          yield ' Two.';
        } finally {
          stopped.resolve();
        }
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    await within(stopped.promise, "the generator's finally");
  });

  it('leave a failed turn in history', async (t) => {
    const messages = await historyAfter(
      t,
      async function* () {
        yield 'One. ';
        await never();
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', `One. ${DEFAULT_APOLOGY}`, 'failed'],
    ]);
  });

  it("fail an agent whose iterable ends quietly at the abort, as the ai package's does", async (t) => {
    const messages = await historyAfter(
      t,
      async function* ({ signal }) {
        await fired(signal);
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', DEFAULT_APOLOGY, 'failed'],
    ]);
  });

  it('make what the agent says afterwards a no-op', async (t) => {
    const result = deferred<unknown>();
    const { client, history } = serve(
      t,
      {
        onMessage: async ({ signal }, reply) => {
          await fired(signal);
          result.resolve(reply.say('late'));
        },
      },
      { environment: { TURN_TIMEOUT_SECONDS: '0.1' } },
    );
    const text = await (await client.say('Hello?')).text();
    assert.deepEqual(
      [await within(result.promise, 'the late word'), text, (await history())[1]],
      [false, DEFAULT_APOLOGY, ['assistant', DEFAULT_APOLOGY, 'failed']],
    );
  });

  it('let no turn run on', async (t) => {
    const { client, app } = serve(
      t,
      { onMessage: never },
      { environment: { TURN_TIMEOUT_SECONDS: '0.1' } },
    );
    await (await client.say('Hello?')).text();
    assert.equal(app.runningTurns, 0);
  });

  it('run for an agent that yields empty texts for ever, and others are served meanwhile', async (t) => {
    const { client, app } = serve(
      t,
      {
        async *onMessage({ text }) {
          if (text !== 'Stuck') yield 'Yes.';
          else for (;;) yield '';
        },
      },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.2' } },
    );
    const stuck = client.say('Stuck');
    const other = await client.say('Hello?', { conversation_id: 'other' });
    assert.equal(await other.text(), 'Yes.');
    assert.equal(await within((await stuck).text(), 'the apology'), DEFAULT_APOLOGY);
    assert.equal(app.runningTurns, 0);
  });

  it('do not touch a turn that has ended', async (t) => {
    const { client, logLines } = serve(t, {});
    await client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    await (await client.say('Hello?')).text();
    clock.tick(120_000);
    assert.deepEqual(errorsIn(logLines), []);
  });
});

describe('history', () => {
  it("holds the caller's words and a placeholder while the turn runs", async (t) => {
    const gate = deferred();
    const { client, messages } = serve(t, {
      async *onMessage() {
        yield 'One.';
        await gate.promise;
      },
    });
    await new Listener(await client.say('Hello?', { turn_id: 't-1' })).next();
    const expected: Message[] = [
      { role: 'user', content: 'Hello?', turnId: 't-1' },
      { role: 'assistant', content: '', turnId: 't-1', state: 'open' },
    ];
    assert.deepEqual(await messages(), expected);
    gate.resolve();
  });

  it('holds the placeholder before the agent is asked', async (t) => {
    const seen = new Told<Message[]>();
    const { app, client } = serve(t, {
      onMessage: async ({ conversationId }) => {
        seen.tell(await app.conversations.getHistory(conversationId));
      },
    });
    await (await client.say('Hello?')).events();
    assert.deepEqual(
      (await seen.next()).map(({ role }) => role),
      ['user', 'assistant'],
    );
  });

  it("holds what was said, completed, with the turn's id", async (t) => {
    const { client, messages } = serve(t, { onMessage: () => ['One.', ' Two.'] });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual((await messages())[1], {
      role: 'assistant',
      content: 'One. Two.',
      turnId: 't-1',
      state: 'completed',
    });
  });

  it('is settled by the time the stream has ended', async (t) => {
    const { client, history } = serve(t, {});
    for (let turn = 0; turn < 20; turn++) await (await client.say('Hello?')).text();
    assert.deepEqual(
      (await history()).filter(([, , state]) => state === 'open'),
      [],
    );
  });

  it('is in the order of the turns', async (t) => {
    const { client, history } = serve(t, {
      onSessionStart: () => 'Welcome.',
      onMessage: ({ text }) => `${text}!`,
    });
    await (await client.start()).text();
    await (await client.say('One')).text();
    await (await client.say('Two')).text();
    assert.deepEqual(
      (await history()).map(([, content]) => content),
      ['Welcome.', 'One', 'One!', 'Two', 'Two!'],
    );
  });

  it("reaches the agent up to the caller's words", async (t) => {
    const seen = new Told<readonly (readonly string[])[]>();
    const { client } = serve(t, {
      onMessage: ({ text, history }) => {
        seen.tell(history.map(({ role, content }) => [role, content]));
        return `${text}!`;
      },
    });
    await (await client.say('One')).text();
    await (await client.say('Two')).text();
    await seen.next();
    assert.deepEqual(await seen.next(), [
      ['user', 'One'],
      ['assistant', 'One!'],
      ['user', 'Two'],
    ]);
  });

  it('of one conversation stays out of another', async (t) => {
    const { client, history } = serve(t, {});
    await (await client.say('Mine.', { conversation_id: 'c-1' })).text();
    await (await client.say('Yours.', { conversation_id: 'c-2' })).text();
    assert.deepEqual(await history('c-1'), [
      ['user', 'Mine.'],
      ['assistant', 'Yes.', 'completed'],
    ]);
  });

  it('is kept over sessions of one conversation', async (t) => {
    const { client, history } = serve(t, {});
    await (await client.say('One', { session_id: 's-1' })).text();
    await (await client.say('Two', { session_id: 's-2' })).text();
    assert.equal((await history()).length, 4);
  });

  it('holds no data and no hangup', async (t) => {
    const messages = await historyAfter(t, (_turn, reply) => {
      reply.data({ a: 1 });
      reply.say('Bye.');
      reply.hangup();
    });
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', 'Bye.', 'completed'],
    ]);
  });

  it('holds MAX_MESSAGES at the most', async (t) => {
    const { client, history } = serve(
      t,
      { onMessage: ({ text }) => `${text}!` },
      { environment: { MAX_MESSAGES: '8' } },
    );
    for (const text of ['One', 'Two', 'Three', 'Four', 'Five'])
      await (await client.say(text)).text();
    assert.deepEqual(
      (await history()).map(([, content]) => content),
      ['Three', 'Three!', 'Four', 'Four!', 'Five', 'Five!'],
    );
  });

  it('is written to a store that answers later, too', async (t) => {
    const { client, history } = serve(t, {}, { store: slowStore() });
    await (await client.say('Hello?')).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Yes.', 'completed'],
    ]);
  });
});

describe('session.start', () => {
  const welcoming = { welcome: 'Hello there.' };

  it('of a new conversation is answered with the welcome', async (t) => {
    const { client } = serve(t, welcoming);
    assert.equal(await (await client.start()).text(), 'Hello there.');
  });

  it('keeps the welcome in history, without a message of the caller', async (t) => {
    const { client, history } = serve(t, welcoming);
    await (await client.start()).text();
    assert.deepEqual(await history(), [['assistant', 'Hello there.', 'completed']]);
  });

  it('of a known conversation is answered with "Welcome back."', async (t) => {
    const { client } = serve(t, welcoming);
    await (await client.say('Hello?')).text();
    assert.equal(await (await client.start({ session_id: 'another' })).text(), 'Welcome back.');
  });

  it('of a known conversation never wipes it', async (t) => {
    const { client, history } = serve(t, welcoming);
    await (await client.say('Hello?')).text();
    await (await client.start({ session_id: 'another' })).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Yes.', 'completed'],
      ['assistant', 'Welcome back.', 'completed'],
    ]);
  });

  it('after session.end resumes the conversation', async (t) => {
    const { client } = serve(t, welcoming);
    await (await client.start()).text();
    await client.post({
      type: 'session.end',
      session_id: 'test-session',
      conversation_id: client.conversationId,
    });
    assert.equal(await (await client.start({ session_id: 'another' })).text(), 'Welcome back.');
  });

  it('tells the agent whether the caller is back', async (t) => {
    const told = new Told<boolean>();
    const { client } = serve(t, {
      onSessionStart: ({ isResumed }) => {
        told.tell(isResumed);
      },
    });
    await (await client.start()).events();
    await (await client.start()).events();
    assert.deepEqual(told.all, [false, true]);
  });

  it('hands the agent the history of before', async (t) => {
    const told = new Told<number>();
    const { client } = serve(t, {
      onSessionStart: ({ history }) => {
        told.tell(history.length);
      },
    });
    await (await client.say('Hello?')).text();
    await (await client.start()).events();
    assert.equal(await told.next(), 2);
  });

  it('delivered twice before it completed welcomes as for the first time', async (t) => {
    const told = new Told<boolean>();
    const { client, interrupted } = serve(t, {
      async *onSessionStart({ isResumed, signal }) {
        told.tell(isResumed);
        yield 'Hello there.';
        if (told.all.length === 1) await fired(signal);
      },
    });
    const first = await client.start({ turn_id: 't-0' });
    await new Listener(first).next();
    first.drop();
    await interrupted.next();
    await (await client.start({ turn_id: 't-0' })).text();
    assert.deepEqual(told.all, [false, false]);
  });
});

describe('session.start without turn_id, which may come from a second sender', () => {
  const second = { turn_id: null };

  it('is answered with the welcome, and leaves nothing in history', async (t) => {
    const { client, app } = serve(t, { welcome: 'Hello there.' });
    const events = await (await client.start(second)).events();
    assert.deepEqual(events, [
      { type: 'response.tts', content: 'Hello there.' },
      { type: 'response.end' },
    ]);
    assert.equal(await app.conversations.count(), 0);
    assert.equal(await (await client.start()).text(), 'Hello there.');
  });

  it('is answered with "Welcome back." where the conversation is known', async (t) => {
    const { client, history } = serve(t, { welcome: 'Hello there.' });
    await (await client.say('Hello?')).text();
    assert.equal(await (await client.start(second)).text(), 'Welcome back.');
    assert.equal((await history()).length, 2);
  });

  it('ends no turn, and is ended by none', async (t) => {
    const gate = deferred();
    const { client, app, interrupted } = serve(t, {
      async *onSessionStart() {
        yield 'Hello';
        await gate.promise;
        yield ' there.';
      },
      async *onMessage() {
        yield 'One.';
        await gate.promise;
        yield ' Two.';
      },
    });
    const running = new Listener(await client.say('Hello?'));
    await running.next();
    const beside = new Listener(await client.start(second));
    await beside.next();
    const newer = new Listener(await client.say('And?'));
    await newer.next();
    assert.equal(app.runningTurns, 2);
    gate.resolve();
    assert.deepEqual(contentsOf(await beside.rest()), [' there.']);
    assert.deepEqual(contentsOf(await running.rest()), []);
    assert.deepEqual(contentsOf(await newer.rest()), [' Two.']);
    assert.equal(interrupted.all.length, 1);
  });

  it('does not share the stream of another one', async (t) => {
    const { client } = serve(t, { onSessionStart: ({ turnId }) => turnId });
    const texts = await Promise.all([0, 1].map(async () => (await client.start(second)).text()));
    assert.notEqual(texts[0], texts[1]);
  });

  for (const [when, leave] of [
    ['its caller leaves', (_served: Served, reply: TestReply) => reply.drop()],
    ['the server goes down', (served: Served) => void served.app.close()],
  ] as const) {
    it(`is aborted when ${when}`, async (t) => {
      const told = new Told<AbortSignal>();
      const served = serve(t, {
        async onSessionStart({ signal }, { say }) {
          say('Hello.');
          told.tell(signal);
          await fired(signal);
        },
      });
      const reply = await served.client.start(second);
      const signal = await told.next();
      leave(served, reply);
      await within(fired(signal), 'the signal');
      await until(() => served.app.runningTurns === 0, 'the end');
    });
  }
});

describe('a turn_id that comes again with something else', () => {
  it('begins another turn, which is answered with that id', async (t) => {
    const { client, history } = serve(t, { onMessage: ({ text }) => `${text}!` });
    await (await client.say('One', { turn_id: 't-1' })).text();
    assert.deepEqual(await (await client.say('Two', { turn_id: 't-1' })).events(), [
      { type: 'response.tts', content: 'Two!', turn_id: 't-1' },
      { type: 'response.end', turn_id: 't-1' },
    ]);
    assert.deepEqual(
      (await history()).map(([, text]) => text),
      ['One', 'One!', 'Two', 'Two!'],
    );
  });

  it('ends the turn that runs, like any newer one', async (t) => {
    const { client, interrupted } = serve(t, {
      async *onMessage({ text, signal }) {
        yield `${text}!`;
        if (text === 'One') await fired(signal);
      },
    });
    const first = new Listener(await client.say('One', { turn_id: 't-1' }));
    await first.next();
    assert.equal(await (await client.say('Two', { turn_id: 't-1' })).text(), 'Two!');
    assert.deepEqual(typesOf(await first.rest()), ['response.end']);
    assert.equal((await interrupted.next()).text, 'One!');
  });

  it('begins another turn where the type is another', async (t) => {
    const { client, history } = serve(t, { welcome: 'Hello there.' });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.equal(await (await client.start({ turn_id: 't-1' })).text(), 'Welcome back.');
    assert.equal((await history()).length, 3);
  });

  it('is known again when those words come once more', async (t) => {
    let runs = 0;
    const { client } = serve(t, { onMessage: ({ text }) => `${text} ${++runs}` });
    for (const text of ['One', 'Two', 'Three']) {
      await (await client.say(text, { turn_id: 't-1' })).text();
    }
    assert.equal(await (await client.say('Two', { turn_id: 't-1' })).text(), 'Two 2');
    assert.equal(runs, 3);
  });

  it('is known again after a restart', async (t) => {
    const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    t.mock.method(store, 'close', () => undefined); // what is stored outlives the restart
    const asked: string[] = [];
    const start = (): Served =>
      serve(t, { onMessage: ({ text }) => `${asked.push(text)}.` }, { store });
    const fields = { turn_id: 't-1', conversation_id: 'c-9' };
    const first = start();
    for (const text of ['A', 'B']) await (await first.client.say(text, fields)).text();
    await first.client.close();
    const { client } = start();
    assert.equal(await (await client.say('B', fields)).text(), '2.');
    assert.deepEqual(asked, ['A', 'B']);
  });

  it('is a warning in the log, without the words', async (t) => {
    const { client, logLines } = serve(t, {});
    await (await client.say('swordfish', { turn_id: 't-1' })).text();
    await (await client.say('sunflower', { turn_id: 't-1' })).text();
    const warnings = logLines.filter((line) => line.includes('"level":"warn"'));
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0] ?? '',
      /reused with different text[^]*"turnId":"t-1"[^]*"storedAs":"t-1~2"/,
    );
    assert.doesNotMatch(logLines.join(''), /swordfish|sunflower/);
  });
});

describe('a turn delivered twice', () => {
  /** An agent that says One, waits, and says Two. It counts its runs. */
  function held(
    t: Parameters<typeof serve>[0],
    store?: ReturnType<typeof slowStore>,
  ): ReturnType<typeof serve> & { go: () => void; runs: Told<string> } {
    const gate = deferred();
    const runs = new Told<string>();
    return {
      go: gate.resolve,
      runs,
      ...serve(
        t,
        {
          async *onMessage({ turnId, text }, reply) {
            runs.tell(turnId);
            yield 'One.';
            reply.data({ at: text });
            yield ' And';
            await gate.promise;
            yield ' two.';
          },
        },
        store === undefined ? {} : { store },
      ),
    };
  }
  async function readTo(listener: Listener, content: string): Promise<void> {
    for (
      let event = await listener.next();
      event?.content !== content;
      event = await listener.next()
    )
      assert.ok(event, `the stream ended before ${content}`);
  }

  it('while it streams gives the newer request what was said so far, and then the rest', async (t) => {
    const { client, go } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = new Listener(await client.say('Hello?', { turn_id: 't-1' }));
    await readTo(second, ' And');
    go();
    assert.deepEqual(
      (await second.rest()).map(({ type, content }) => [type, content]),
      [
        ['response.tts', ' two.'],
        ['response.end', undefined],
      ],
    );
  });

  it('while it streams gives the newer request words and data in their order', async (t) => {
    const { client, go } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    go();
    assert.deepEqual(
      (await second.events()).map(({ content }) => content),
      ['One.', { at: 'Hello?' }, ' And', ' two.', undefined],
    );
  });

  it('while it streams ends the older response properly', async (t) => {
    const { client, go } = held(t);
    const first = new Listener(await client.say('Hello?', { turn_id: 't-1' }));
    await readTo(first, ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    assert.deepEqual(await first.rest(), [{ type: 'response.end', turn_id: 't-1' }]);
    go();
    await second.text();
  });

  it('while it streams does not ask the agent twice', async (t) => {
    const { client, go, runs } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    go();
    await second.text();
    assert.deepEqual(runs.all, ['t-1']);
  });

  it('while it streams leaves one turn in history', async (t) => {
    const { client, go, history } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    go();
    await second.text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'One. And two.', 'completed'],
    ]);
  });

  it("while it streams is not interrupted by the older request's drop", async (t) => {
    const { client, go, interrupted, metric } = held(t);
    const first = await client.say('Hello?', { turn_id: 't-1' });
    await readTo(new Listener(first), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    first.drop();
    await until(() => metric('layercode_open_streams') === 1, 'the older stream to be closed');
    go();
    assert.deepEqual([(await second.text()).endsWith(' two.'), interrupted.all], [true, []]);
  });

  it("while it streams is interrupted by the newer request's drop", async (t) => {
    const { client, interrupted } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    await readTo(new Listener(second), ' And');
    second.drop();
    assert.deepEqual(await interrupted.next(), {
      conversationId: client.conversationId,
      turnId: 't-1',
      text: 'One. And',
    });
  });

  it('three times while it streams lets the last have it', async (t) => {
    const { client, go } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    const third = await client.say('Hello?', { turn_id: 't-1' });
    go();
    assert.deepEqual([await second.text(), await third.text()], ['One. And', 'One. And two.']);
  });

  it('before the agent spoke streams to the newer request', async (t) => {
    const gate = deferred();
    const begun = deferred();
    const { client } = serve(t, {
      onMessage: async () => {
        begun.resolve();
        await gate.promise;
        return 'One.';
      },
    });
    const first = client.say('Hello?', { turn_id: 't-1' });
    await within(begun.promise, 'the turn');
    const second = client.say('Hello?', { turn_id: 't-1' });
    assert.equal(await (await first).text(), ''); // the newer delivery has taken over
    gate.resolve();
    assert.equal(await (await second).text(), 'One.');
  });

  it('counts once as taken over, and once as completed', async (t) => {
    const { client, go, metric } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    go();
    await second.text();
    const outcomes = ['completed', 'interrupted', 'failed', 'replayed', 'taken_over'].map(
      (outcome) => metric(`layercode_turns_total{event="message",outcome="${outcome}"}`),
    );
    assert.deepEqual(outcomes, [1, 0, 0, 0, 1]);
  });

  it('after it completed is answered with what was sent, words, data and hangup', async (t) => {
    const { client } = serve(t, {
      onMessage: (_turn, reply) => {
        reply.say('One.');
        reply.data({ a: [1] });
        reply.say(' Two.');
        reply.hangup({ say: ' Bye.' });
      },
    });
    const first = await (await client.say('Hello?', { turn_id: 't-1' })).events();
    const second = await (await client.say('Hello?', { turn_id: 't-1' })).events();
    const joined = (events: typeof first): string =>
      events
        .map(({ type, content }) =>
          type === 'response.tts' ? content : `<${type} ${JSON.stringify(content)}>`,
        )
        .join('');
    assert.equal(joined(second), joined(first));
  });

  it('after it completed does not ask the agent twice', async (t) => {
    const { client, go, runs } = held(t);
    go();
    for (let delivery = 0; delivery < 2; delivery++)
      await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual(runs.all, ['t-1']);
  });

  it('after it completed leaves history as it was', async (t) => {
    const { client, history } = serve(t, {});
    for (let delivery = 0; delivery < 2; delivery++)
      await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Yes.', 'completed'],
    ]);
  });

  it('after it completed in silence is answered with silence', async (t) => {
    const { client } = serve(t, { onMessage: () => undefined });
    await (await client.say('Hello?', { turn_id: 't-1' })).events();
    assert.deepEqual(typesOf(await (await client.say('Hello?', { turn_id: 't-1' })).events()), [
      'response.end',
    ]);
  });

  it('after it completed is answered from a store that answers later', async (t) => {
    const { client, runs, go } = held(t, slowStore());
    go();
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    const text = await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual([text, runs.all.length], ['One. And two.', 1]);
  });

  it('after it failed runs again and replaces the record', async (t) => {
    let runs = 0;
    const { client, history } = serve(t, {
      onMessage: () => {
        runs += 1;
        if (runs === 1) throw new Error('x');
        return 'Now.';
      },
    });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Now.', 'completed'],
    ]);
  });

  it('after it was interrupted runs again and replaces the record', async (t) => {
    let runs = 0;
    const { client, history, interrupted } = serve(t, {
      async *onMessage({ signal }) {
        runs += 1;
        yield `Run ${runs}.`;
        if (runs === 1) await fired(signal);
      },
    });
    const first = await client.say('Hello?', { turn_id: 't-1' });
    await new Listener(first).next();
    first.drop();
    await interrupted.next();
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.deepEqual(await history(), [
      ['user', 'Hello?'],
      ['assistant', 'Run 2.', 'completed'],
    ]);
  });

  it('in another conversation is another turn', async (t) => {
    const { client, runs, go } = held(t);
    go();
    for (const conversation_id of ['c-1', 'c-2'])
      await (await client.say('Hello?', { turn_id: 't-1', conversation_id })).text();
    assert.equal(runs.all.length, 2);
  });

  it('without turn_id is never taken for a duplicate', async (t) => {
    const { client, runs, go } = held(t);
    go();
    for (let delivery = 0; delivery < 2; delivery++)
      await (await client.say('Hello?', { turn_id: undefined })).text();
    assert.equal(new Set(runs.all).size, 2);
  });

  it('without turn_id while one runs is a newer turn', async (t) => {
    const { client, interrupted } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: undefined })), ' And');
    await client.say('Hello?', { turn_id: undefined });
    assert.equal((await interrupted.next()).text, 'One. And');
  });
});

describe('a late delivery of an older turn', () => {
  /** An agent that waits if the words are "wait". */
  function waiting(
    t: Parameters<typeof serve>[0],
  ): ReturnType<typeof serve> & { go: () => void; runs: string[] } {
    const gate = deferred();
    const runs: string[] = [];
    return {
      go: gate.resolve,
      runs,
      ...serve(t, {
        async *onMessage({ text }) {
          runs.push(text);
          if (text === 'fail' && runs.length === 1) throw new Error('x');
          yield `${text}.`;
          if (text === 'wait') await gate.promise;
          yield ' Done.';
        },
      }),
    };
  }

  it('that had completed is replayed beside the newer one', async (t) => {
    const { client } = waiting(t);
    await (await client.say('old', { turn_id: 't-1' })).text();
    await new Listener(await client.say('wait', { turn_id: 't-2' })).next();
    assert.equal(await (await client.say('old', { turn_id: 't-1' })).text(), 'old. Done.');
  });

  for (const [what, old] of [
    ['completed', 'old'],
    ['failed', 'fail'],
  ] as const) {
    it(`that had ${what} does not interrupt the newer one`, async (t) => {
      const { client, go } = waiting(t);
      await (await client.say(old, { turn_id: 't-1' })).text();
      const newer = new Listener(await client.say('wait', { turn_id: 't-2' }));
      await newer.next();
      await (await client.say(old, { turn_id: 't-1' })).text();
      go();
      assert.deepEqual(contentsOf(await newer.rest()), [' Done.']);
    });
  }

  it('that had failed gets nothing but the end while the newer one runs', async (t) => {
    const { client } = waiting(t);
    await (await client.say('fail', { turn_id: 't-1' })).text();
    await new Listener(await client.say('wait', { turn_id: 't-2' })).next();
    assert.deepEqual(typesOf(await (await client.say('fail', { turn_id: 't-1' })).events()), [
      'response.end',
    ]);
  });

  it('that was interrupted by the newer one is not run again beside it', async (t) => {
    const { client, runs } = waiting(t);
    await new Listener(await client.say('wait', { turn_id: 't-1' })).next();
    await new Listener(await client.say('wait', { turn_id: 't-2' })).next();
    await (await client.say('wait', { turn_id: 't-1' })).events();
    assert.equal(runs.length, 2);
  });

  it('that runs again keeps its old place in history', async (t) => {
    const { client, history } = waiting(t);
    await (await client.say('fail', { turn_id: 't-1' })).text();
    await (await client.say('new', { turn_id: 't-2' })).text();
    await (await client.say('fail', { turn_id: 't-1' })).text();
    assert.deepEqual(
      (await history()).map(([, content]) => content),
      ['fail', 'fail. Done.', 'new', 'new. Done.'],
    );
  });

  it('that runs again sees no message of a newer turn', async (t) => {
    const seen: string[][] = [];
    const { client } = serve(t, {
      onMessage: ({ history }) => {
        seen.push(history.map(({ content }) => content));
        if (seen.length === 1) throw new Error('x');
        return 'Yes.';
      },
    });
    await (await client.say('fail', { turn_id: 't-1' })).text();
    await (await client.say('new', { turn_id: 't-2' })).text();
    await (await client.say('fail', { turn_id: 't-1' })).text();
    assert.deepEqual(seen[2], ['fail']);
  });
});

describe('turns over a store that answers later', () => {
  it('let only one of three quick turns go on', async (t) => {
    const begun = new Told<string>();
    const store = slowStore();
    const { client } = serve(
      t,
      {
        async *onMessage({ text, signal }) {
          begun.tell(text);
          yield `${text}.`;
          await fired(signal);
        },
      },
      { store },
    );
    void client.say('A');
    await begun.next();
    // Both find A running. Only the answer of the store says that they are newer.
    const update = store.update.bind(store);
    const asked = new Told<string>();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.tell(id);
      await gate.promise;
      return update(id, change);
    };
    const replies = ['B', 'C'].map((text) => client.say(text).then((reply) => reply.events()));
    await asked.next();
    await asked.next();
    gate.resolve();
    assert.equal(
      (await within(Promise.race(replies), 'one of the two to be superseded')).at(-1)?.type,
      'response.end',
    );
  });

  it('count a replay that was dropped once', async (t) => {
    const store = slowStore();
    const { client, metric, raw, logLines } = serve(t, {}, { store });
    await (await client.post(messageEvent())).text();
    const connection = await raw();
    const update = store.update.bind(store);
    const asked = deferred();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.resolve();
      await gate.promise;
      return update(id, change);
    };
    connection.write(rawRequest(messageEvent()));
    await within(asked.promise, 'the store to be asked');
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the drop to be noticed',
    );
    gate.resolve();
    await (await client.post(messageEvent())).text(); // stored after it
    const counts = ['interrupted', 'failed', 'replayed'].map((outcome) =>
      metric(`layercode_turns_total{event="message",outcome="${outcome}"}`),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      2,
      `interrupted, failed, replayed: ${counts.join(', ')}`,
    );
  });

  it('tell the agent of no interruption when a replay is dropped', async (t) => {
    const store = slowStore();
    const { client, raw, logLines, interrupted } = serve(t, {}, { store });
    await (await client.post(messageEvent())).text();
    const connection = await raw();
    const update = store.update.bind(store);
    const asked = deferred();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.resolve();
      await gate.promise;
      return update(id, change);
    };
    connection.write(rawRequest(messageEvent()));
    await within(asked.promise, 'the store to be asked');
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the drop to be noticed',
    );
    gate.resolve();
    await (await client.post(messageEvent())).text();
    assert.deepEqual(interrupted.all, []);
  });

  it('apologise when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client } = serve(t, {}, { store });
    assert.equal(await within((await client.say('Hello?')).text(), 'the apology'), DEFAULT_APOLOGY);
  });

  it('let no turn run on when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client, app } = serve(t, {}, { store });
    await (await client.say('Hello?')).text();
    assert.equal(app.runningTurns, 0);
  });
});

describe('the built-in echo agent', () => {
  it('says what it heard', async (t) => {
    const { echo } = await import('../../src/agents/built-in/echo.ts');
    const { client } = serve(t, echo);
    assert.equal(
      await (await client.post(messageEvent({ text: 'Hello there' }))).text(),
      'You said: Hello there',
    );
  });
});
