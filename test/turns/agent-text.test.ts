// What an agent may return, and how it is spoken.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Spoken } from '../../src/agents/agent.ts';
import type { TestReply } from '../../src/kit/test-client.ts';
import {
  Listener, messageEvent, serve, typesOf, until, within,
} from '../fixtures/app.ts';
import { answersTo, historyAfter, type OnMessage } from './single-message.ts';

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

  it('answers a session.start without a hook with the end alone', async (t) => {
    const { client } = serve(t, {});
    assert.deepEqual(typesOf(await (await client.start()).events()), ['response.end']);
  });
});

/** Texts that count how often they are stopped. After the first one `more` decides. */
class CountedTexts implements AsyncIterableIterator<string, undefined> {
  stopped = 0;
  readonly #more: () => Promise<IteratorResult<string, undefined>>;
  #hasBegun = false;

  constructor(more: () => Promise<IteratorResult<string, undefined>>) {
    this.#more = more;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<string, undefined>> {
    if (this.#hasBegun) return this.#more();
    this.#hasBegun = true;
    return Promise.resolve({ value: 'One.' });
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.stopped += 1;
    return { done: true, value: undefined };
  }
}

describe('an iterable', () => {
  it('that has ended on its own is not stopped', async (t) => {
    const texts = new CountedTexts(async () => ({ done: true, value: undefined }));
    const { client, app } = serve(t, { onMessage: () => texts });
    assert.equal(await (await client.say('Hello?')).text(), 'One.');
    await until(() => app.runningTurns === 0, 'the turn to end');
    assert.equal(texts.stopped, 0);
  });

  it('is stopped once when the caller leaves, even if it yields more', async (t) => {
    const left = new AbortController();
    const texts = new CountedTexts(async () => {
      await new Promise((resolve) => left.signal.addEventListener('abort', resolve));
      return { value: 'Two.' };
    });
    const { client, interrupted } = serve(t, { onMessage: () => texts });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    await interrupted.next();
    left.abort();
    await until(() => texts.stopped > 0, 'the texts to be stopped');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(texts.stopped, 1);
  });
});

describe('a reply of the maximum length', () => {
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
    it(`${what} arrives in full if the caller keeps reading`, async (t) => {
      const { client } = serve(t, { onMessage });
      assert.equal(await spokenLength(await client.say('Hello?')), 1_048_576);
    });
  }

  it('arrives in full when delivered a second time', async (t) => {
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

describe('the built-in echo agent', () => {
  it('repeats what it heard', async (t) => {
    const { echo } = await import('../../src/agents/built-in/echo.ts');
    const { client } = serve(t, echo);
    assert.equal(
      await (await client.post(messageEvent({ text: 'Hello there' }))).text(),
      'You said: Hello there',
    );
  });
});
