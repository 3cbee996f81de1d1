// Turns that are delivered twice or late, and ids that come again with something else.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { TestReply } from '../../src/kit/test-client.ts';
import {
  contentsOf, deferred, fired, Listener, serve, slowStore, typesOf, until, type Served,
  type ServeOptions, type TestAgent,
} from '../fixtures/app.ts';
import { heardIn } from './single-message.ts';

const OUTCOMES = ['completed', 'interrupted', 'failed', 'replayed', 'taken_over'];
const T1 = { turn_id: 't-1' };

interface Serving extends Served {
  /** Says it in the turn `t-1`, unless the fields are others, and resolves with the reply. */
  says(words: string, fields?: Readonly<Record<string, unknown>>): Promise<string>;
}

function serving(t: TestContext, agent: TestAgent = {}, options: ServeOptions = {}): Serving {
  const served = serve(t, { onMessage: ({ text }) => `${text}!`, ...agent }, options);
  const says: Serving['says'] = async (words, fields = T1) =>
    (await served.client.say(words, fields)).text();
  return { ...served, says };
}

/** The reply, once that text has come. */
async function upTo(content: string, reply: Promise<TestReply>): Promise<Listener> {
  const listener = new Listener(await reply);
  for (let event = await listener.next(); event?.content !== content;)
    assert.ok((event = await listener.next()), `the stream ended before ${content}`);
  return listener;
}

async function contents({ history }: Served): Promise<unknown[]> {
  return (await history()).map(([, content]) => content);
}

describe('a turn_id that comes again with different content', () => {
  it('begins another turn, which is answered with that id', async (t) => {
    const served = serving(t);
    await served.says('One');
    assert.deepEqual(await (await served.client.say('Two', T1)).events(), [
      { type: 'response.tts', content: 'Two!', turn_id: 't-1' },
      { type: 'response.end', turn_id: 't-1' },
    ]);
    assert.deepEqual(await contents(served), ['One', 'One!', 'Two', 'Two!']);
  });

  it('ends the turn that runs, like any newer one', async (t) => {
    const { client, says, interrupted } = serving(t, {
      async *onMessage({ text, signal }) {
        yield `${text}!`;
        if (text === 'One') await fired(signal);
      },
    });
    const first = await upTo('One!', client.say('One', T1));
    assert.equal(await says('Two'), 'Two!');
    assert.deepEqual(typesOf(await first.rest()), ['response.end']);
    assert.equal((await interrupted.next()).text, 'One!');
  });

  it('begins another turn if the type is different', async (t) => {
    const served = serving(t, { welcome: 'Hello there.' });
    await served.says('Hello?');
    assert.equal(await (await served.client.start(T1)).text(), 'Welcome back.');
    assert.deepEqual(await contents(served), ['Hello?', 'Hello?!', 'Welcome back.']);
  });

  it('is recognised when those words come once more, also after a restart', async (t) => {
    const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    t.mock.method(store, 'close', () => undefined); // what is stored outlives the restart
    const asked: string[] = [];
    const start = (): Serving =>
      serving(t, { onMessage: ({ text }) => `${text} ${asked.push(text)}` }, { store });
    const [fields, first] = [{ ...T1, conversation_id: 'c-9' }, start()];
    for (const text of ['A', 'B', 'C']) await first.says(text, fields);
    assert.equal(await first.says('B', fields), 'B 2');
    await first.client.close();
    assert.equal(await start().says('B', fields), 'B 2');
    assert.deepEqual(asked, ['A', 'B', 'C']);
  });

  it('is a warning in the log, without the words', async (t) => {
    const { says, logLines } = serving(t);
    for (const words of ['swordfish', 'sunflower']) await says(words);
    const [warning = '', ...more] = logLines.filter((line) => line.includes('"level":"warn"'));
    assert.match(warning, /reused with different text.*"turnId":"t-1".*"storedAs":"t-1~2"/);
    assert.deepEqual(more, []);
    assert.doesNotMatch(logLines.join(''), /swordfish|sunflower/);
  });
});

describe('a turn delivered twice', () => {
  interface Held extends Serving {
    readonly go: () => void;
    readonly runs: string[];
  }

  /** An agent that says One, waits, and says Two. It counts its runs. */
  function held(t: TestContext, options?: ServeOptions): Held {
    const gate = deferred();
    const runs: string[] = [];
    return {
      go: gate.resolve,
      runs,
      ...serving(t, {
        async *onMessage({ turnId, text }, reply) {
          runs.push(turnId);
          yield 'One.';
          await reply.data({ at: text });
          yield ' And';
          await gate.promise;
          yield ' two.';
        },
      }, options),
    };
  }

  it('while it streams gives the newer request all of it, and ends the older one', async (t) => {
    const { client, go, runs, history, metric, interrupted } = held(t);
    const reply = await client.say('Hello?', T1);
    const first = await upTo(' And', Promise.resolve(reply));
    const second = await client.say('Hello?', T1);
    assert.deepEqual(await first.rest(), [{ type: 'response.end', turn_id: 't-1' }]);
    reply.drop();
    await until(() => metric('layercode_open_streams') === 1, 'the older stream to be closed');
    go();
    assert.deepEqual((await second.events()).map(({ content }) => content), [
      'One.', { at: 'Hello?' }, ' And', ' two.', undefined,
    ]);
    const kept = [['user', 'Hello?'], ['assistant', 'One. And two.', 'completed']];
    assert.deepEqual([runs, await history(), interrupted.all], [['t-1'], kept, []]);
    const outcomes = OUTCOMES.map((outcome) =>
      metric(`layercode_turns_total{event="message",outcome="${outcome}",wire="layercode"}`));
    assert.deepEqual(outcomes, [1, 0, 0, 0, 1]);
  });

  it("while it streams is interrupted by the newer request's drop", async (t) => {
    const { client, interrupted } = held(t);
    await upTo(' And', client.say('Hello?', T1));
    const second = await client.say('Hello?', T1);
    await upTo(' And', Promise.resolve(second));
    second.drop();
    assert.deepEqual(await interrupted.next(), {
      conversationId: client.conversationId, turnId: 't-1', text: 'One. And',
    });
  });

  it('after it completed is answered with what was sent, words, data and hangup', async (t) => {
    const { client } = serving(t, {
      onMessage: async (_turn, { say, data, hangup }) => {
        await say('One.');
        await data({ a: [1] });
        await say(' Two.');
        hangup({ say: ' Bye.' });
      },
    });
    for (let delivery = 0; delivery < 2; delivery++) {
      const heard = heardIn(await (await client.say('Hello?', T1)).events());
      assert.equal(heard.replaceAll('|', ''), 'One.<data {"a":[1]}> Two. Bye.<hangup>');
    }
  });

  it('after it completed in silence is answered with silence', async (t) => {
    const { client } = serving(t, { onMessage: () => undefined });
    for (let delivery = 0; delivery < 2; delivery++)
      assert.deepEqual(typesOf(await (await client.say('Hello?', T1)).events()), ['response.end']);
  });

  for (const [what, options] of [
    ['leaves history as it was', {}],
    ['is answered from a store that answers later', { store: slowStore() }],
  ] as const)
    it(`after it completed ${what}, without its agent`, async (t) => {
      const { go, says, runs, history } = held(t, options);
      go();
      for (let count = 0; count < 2; count++) assert.equal(await says('Hello?'), 'One. And two.');
      const kept = [['user', 'Hello?'], ['assistant', 'One. And two.', 'completed']];
      assert.deepEqual([runs, await history()], [['t-1'], kept]);
    });

  for (const how of ['failed', 'was interrupted'] as const)
    it(`after it ${how} runs again and replaces the record`, async (t) => {
      let runs = 0;
      const { client, says, history, interrupted } = serving(t, {
        async *onMessage({ signal }) {
          runs += 1;
          yield `Run ${runs}.`;
          if (runs > 1) return;
          if (how === 'failed') throw new Error('x');
          await fired(signal);
        },
      });
      const first = await client.say('Hello?', T1);
      await new Listener(first).next();
      if (how === 'was interrupted') {
        first.drop();
        await interrupted.next();
      }
      await says('Hello?');
      const kept = [['user', 'Hello?'], ['assistant', 'Run 2.', 'completed']];
      assert.deepEqual(await history(), kept);
    });

  for (const [what, deliveries] of [
    ['in another conversation is another turn',
      [{ ...T1, conversation_id: 'c-1' }, { ...T1, conversation_id: 'c-2' }]],
    ['without turn_id is never taken for a duplicate',
      [{ turn_id: undefined }, { turn_id: undefined }]],
  ] as const)
    it(what, async (t) => {
      const { says, runs, go } = held(t);
      go();
      for (const fields of deliveries) await says('Hello?', fields);
      assert.equal(runs.length, 2);
    });

  it('without turn_id while one runs is a newer turn', async (t) => {
    const { client, interrupted } = held(t);
    await upTo(' And', client.say('Hello?', { turn_id: undefined }));
    await client.say('Hello?', { turn_id: undefined });
    assert.equal((await interrupted.next()).text, 'One. And');
  });
});

describe('a late delivery of an older turn', () => {
  interface Waiting extends Serving {
    readonly go: () => void;
    /** What each run has heard, and the history that it was shown. */
    readonly runs: string[][];
    readonly newer: () => Promise<Listener>;
  }

  /** An agent that waits if the words are "wait". It fails the first time if they are "fail". */
  function waiting(t: TestContext): Waiting {
    const gate = deferred();
    const runs: string[][] = [];
    const served = serving(t, {
      async *onMessage({ text, history }) {
        runs.push(history.map(({ content }) => content));
        if (text === 'fail' && runs.length === 1) throw new Error('x');
        yield `${text}.`;
        if (text === 'wait') await gate.promise;
        yield ' Done.';
      },
    });
    const newer = (): Promise<Listener> =>
      upTo('wait.', served.client.say('wait', { turn_id: 't-2' }));
    return { ...served, go: gate.resolve, runs, newer };
  }

  for (const [what, old, reply] of [
    ['had completed is replayed alongside the newer one', 'old', 'old. Done.'],
    ['had failed gets nothing but the end while the newer one runs', 'fail', ''],
  ] as const)
    it(`that ${what}, and does not interrupt it`, async (t) => {
      const { says, newer, go } = waiting(t);
      await says(old);
      const running = await newer();
      assert.equal(await says(old), reply);
      go();
      assert.deepEqual(contentsOf(await running.rest()), [' Done.']);
    });

  it('that was interrupted by the newer one does not run again alongside it', async (t) => {
    const { client, says, newer, runs } = waiting(t);
    await upTo('wait.', client.say('wait', T1));
    await newer();
    assert.equal(await says('wait'), '');
    assert.equal(runs.length, 2);
  });

  it('that runs again keeps its old place, and sees no message of a newer turn', async (t) => {
    const served = waiting(t);
    await served.says('fail');
    await served.says('new', { turn_id: 't-2' });
    await served.says('fail');
    assert.deepEqual(await contents(served), ['fail', 'fail. Done.', 'new', 'new. Done.']);
    assert.deepEqual(served.runs[2], ['fail']);
  });
});
