// What an agent may return and do with its reply, and what the caller then hears.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Reply, Spoken } from '../../../src/core/agents/agent.ts';
import { echo } from '../../../src/core/agents/built-in/echo.ts';
import {
  deferred, Listener, messageEvent, serve, Told, typesOf, until, within,
} from '../../fixtures/app.ts';
import { hears, type Case } from './single-message.ts';

describe('an agent', () => {
  const thenable = { then: (resolve: (text: string) => void) => resolve('One.') };
  const CASES: readonly Case[] = [
    ['a string', () => 'One.', 'One.'],
    ['a promise of a string', async () => 'One.', 'One.'],
    ['a thenable', () => thenable as unknown as Promise<Spoken>, 'One.'],
    ['an array', () => ['One.', ' Two.'], 'One.| Two.'],
    ['a generator', function* () { yield* ['One.', ' Two.']; }, 'One.| Two.'],
    ['an async generator', async function* () { yield* ['One.', ' Two.']; }, 'One.| Two.'],
    ['a promise of an async iterable',
      async () => (async function* () { yield 'One.'; })(), 'One.'],
    ['text, after speaking through the reply',
      (_turn, { say }) => { void say('One.'); return ' Two.'; }, 'One.| Two.'],
    ['an array with empty pieces, which are not sent', () => ['', 'One.', ''], 'One.'],
    ['nothing, after waiting and speaking through the reply',
      async (_turn, { say }) => {
        await new Promise((resolve) => setImmediate(resolve));
        await say('One.');
      },
      'One.'],
    ['nothing at all', () => undefined, ''],
    ['a promise of nothing', async () => undefined, ''],
    ['nothing, after ending the reply', (_turn, reply) => reply.end(), ''],
    ['a generator that only ends the reply',
      async function* (_turn, reply) { reply.end(); }, ''],
    ['nothing, after saying an empty string', (_turn, { say }) => void say(''), ''],
    ['a generator that sends data without a word',
      async function* (_turn, { data }) { void data({ page: 2 }); }, '<data {"page":2}>'],
  ];
  for (const [what, onMessage, heard] of CASES)
    it(`may return ${what}`, async (t) => {
      await hears(t, onMessage, heard);
    });

  it('without a hook for session.start is silent at the start', async (t) => {
    const { client } = serve(t, {});
    assert.deepEqual(typesOf(await (await client.start()).events()), ['response.end']);
  });

  it('that is the built-in "echo" repeats what the caller says', async (t) => {
    const reply = await serve(t, echo).client.post(messageEvent({ text: 'Hello there' }));
    assert.equal(await reply.text(), 'You said: Hello there');
  });
});

describe('reply', () => {
  const VERBS: Readonly<Record<string, readonly [write: (reply: Reply) => unknown, unknown]>> = {
    'say': [({ say }) => say('late'), false],
    'data': [({ data }) => data('late'), false],
    'hangup': [({ hangup }) => hangup({ say: 'late' }), undefined],
    'end': [({ end }) => end(), undefined],
    'say with a number': [({ say }) => say(7 as unknown as string), false],
    'data with undefined': [({ data }) => data(undefined as unknown as null), false],
  };
  for (const [verb, [write, returned]] of Object.entries(VERBS))
    it(`.${verb} after the end sends nothing, and is not an error`, async (t) => {
      const told = new Told<unknown>();
      await hears(t, async (_turn, reply) => {
        assert.equal(await reply.say('Bye.'), true);
        reply.end();
        told.tell(await Promise.resolve(reply).then(write).catch((error: unknown) => error));
      }, 'Bye.');
      assert.equal(await told.next(), returned);
    });

  const CASES: readonly Case[] = [
    ['.hangup says goodbye first, then hangs up',
      (_turn, { hangup }) => hangup({ say: 'Bye.' }), 'Bye.|<hangup>'],
    ['.hangup puts a space between the last word and the goodbye',
      (_turn, { say, data, hangup }) => {
        void say('One. ');
        void say('Two');
        void data({ progress: 1 });
        hangup({ say: 'Bye.' });
      },
      'One. |Two|<data {"progress":1}>| Bye.|<hangup>'],
    ['.hangup works without a word', (_turn, { hangup }) => hangup(), '<hangup>'],
    ['.hangup called twice hangs up once',
      (_turn, { hangup }) => { hangup({ say: 'Bye.' }); hangup({ say: 'Bye!' }); },
      'Bye.|<hangup>'],
    ['.hangup is final: what a generator yields after it is not sent',
      async function* (_turn, { hangup }) {
        yield 'One.';
        hangup();
        yield 'Two.';
      },
      'One.|<hangup>'],
    ['.hangup is not followed by half a character that was held back',
      (_turn, { say, hangup }) => { void say('Bye \ud83d'); hangup(); },
      'Bye |\ufffd|<hangup>'],
    ['.data takes any JSON value, which keeps its place among the words',
      (_turn, { say, data }) => {
        void say('A');
        void data([{ b: null }, 0, '']);
        void say('C');
      },
      'A|<data [{"b":null},0,""]>|C'],
    ['.say joins a character split across two pieces', () => ['Hi \ud83d', '\ude00!'], 'Hi |😀!'],
    ['.say holds back half a character until the data in between is sent',
      (_turn, { say, data }) => { void say('\ud83d'); void data(1); void say('\ude00'); },
      '<data 1>|😀'],
    ['.say replaces half a character left without the other', () => ['Hi', '\ud83d'], 'Hi|\ufffd'],
  ];
  for (const [what, onMessage, heard] of CASES)
    it(what, async (t) => {
      await hears(t, onMessage, heard);
    });

  it('.end stops a generator that would go on', async (t) => {
    const stopped = deferred();
    await hears(t, async function* (_turn, reply) {
      try {
        yield 'One.';
        reply.end();
        for (;;) yield 'more';
      } finally {
        stopped.resolve();
      }
    }, 'One.');
    await within(stopped.promise, "the generator's finally");
  });
});

describe('an iterable', () => {
  /** "One." and then what `more` yields, and how often the iterable was stopped. */
  function counted(more: () => Promise<IteratorResult<string, undefined>>): {
    readonly texts: AsyncIterable<string>; stopped: number;
  } {
    const first: IteratorResult<string, undefined> = { value: 'One.' };
    let hasBegun = false;
    const iterator: AsyncIterator<string, undefined> = {
      next: () => (hasBegun ? more() : ((hasBegun = true), Promise.resolve(first))),
      return: async () => {
        own.stopped += 1;
        return { done: true, value: undefined };
      },
    };
    const own = { texts: { [Symbol.asyncIterator]: () => iterator }, stopped: 0 };
    return own;
  }

  it('that has ended on its own is not stopped', async (t) => {
    const own = counted(async () => ({ done: true, value: undefined }));
    await hears(t, () => own.texts, 'One.');
    assert.equal(own.stopped, 0);
  });

  it('is stopped once when the caller leaves, even if it yields more', async (t) => {
    const left = deferred();
    const own = counted(async () => {
      await left.promise;
      return { value: 'Two.' };
    });
    const { client, interrupted } = serve(t, { onMessage: () => own.texts });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    await interrupted.next();
    left.resolve();
    await until(() => own.stopped > 0, 'the texts to be stopped');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(own.stopped, 1);
  });
});

describe('a reply of the maximum length', () => {
  it('arrives in full if the caller keeps reading, and is replayed in full', async (t) => {
    const kilobytes = new Array<string>(1_024).fill('x'.repeat(1_024));
    const { client } = serve(t, { onMessage: () => kilobytes });
    for (let delivery = 0; delivery < 2; delivery++) {
      const { response } = await client.say('Hello?', { turn_id: 't-1' });
      // Not read with the client's decoder, which refuses an event of that length by default.
      const text = await within(response.text(), 'the reply');
      assert.equal(text.match(/x/g)?.length, 1_048_576);
    }
  });
});
