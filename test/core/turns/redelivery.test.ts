// Turns that are delivered twice, and ids that are sent again with different content.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { TestReply } from '../../../src/kit/test-client.ts';
import {
  deferred, Listener, serve, until, type Served, type ServeOptions, type TestAgent,
} from '../../fixtures/app.ts';
import { heardIn } from './single-message.ts';

const OUTCOMES = ['completed', 'interrupted', 'failed', 'replayed', 'taken_over'];
const T1 = { turn_id: 't-1' };

interface Serving extends Served {
  /** Says the words in turn `t-1`, unless the fields name another, and resolves with the reply. */
  says(words: string, fields?: Readonly<Record<string, unknown>>): Promise<string>;
}

function serving(t: TestContext, agent: TestAgent = {}, options: ServeOptions = {}): Serving {
  const served = serve(t, { onMessage: ({ text }) => `${text}!`, ...agent }, options);
  const says: Serving['says'] = async (words, fields = T1) =>
    (await served.client.say(words, fields)).text();
  return { ...served, says };
}

/** The reply, once that text has arrived. */
async function upTo(content: string, reply: Promise<TestReply>): Promise<Listener> {
  const listener = new Listener(await reply);
  for (let event = await listener.next(); event?.content !== content;)
    assert.ok((event = await listener.next()), `the stream ended before ${content}`);
  return listener;
}

async function contents({ history }: Served): Promise<unknown[]> {
  return (await history()).map(([, content]) => content);
}

describe('a turn_id that is sent again with different content', () => {
  it('begins another turn, which is answered with that id', async (t) => {
    const served = serving(t);
    await served.says('One');
    assert.deepEqual(await (await served.client.say('Two', T1)).events(), [
      { type: 'response.tts', content: 'Two!', turn_id: 't-1' },
      { type: 'response.end', turn_id: 't-1' },
    ]);
    assert.deepEqual(await contents(served), ['One', 'One!', 'Two', 'Two!']);
  });

  it('begins another turn if the type of event is different', async (t) => {
    const served = serving(t, { welcome: 'Hello there.' });
    await served.says('Hello?');
    assert.equal(await (await served.client.start(T1)).text(), 'Welcome back.');
    assert.deepEqual(await contents(served), ['Hello?', 'Hello?!', 'Welcome back.']);
  });

  it("causes a warning in the log, without the caller's words", async (t) => {
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
  function held(t: TestContext): Held {
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
      }),
    };
  }

  it('while streaming gives the newer request the whole reply, and ends the older', async (t) => {
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

  it("while streaming is interrupted by the newer request's drop", async (t) => {
    const { client, interrupted } = held(t);
    await upTo(' And', client.say('Hello?', T1));
    const second = await client.say('Hello?', T1);
    await upTo(' And', Promise.resolve(second));
    second.drop();
    assert.deepEqual(await interrupted.next(), {
      conversationId: client.conversationId, turnId: 't-1', text: 'One. And',
    });
  });

  it('once completed is answered with what was sent: words, data and hang-up', async (t) => {
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

  for (const [what, deliveries] of [
    ['in two conversations counts as two turns',
      [{ ...T1, conversation_id: 'c-1' }, { ...T1, conversation_id: 'c-2' }]],
    ['without a turn_id never counts as a duplicate',
      [{ turn_id: undefined }, { turn_id: undefined }]],
  ] as const)
    it(what, async (t) => {
      const { says, runs, go } = held(t);
      go();
      for (const fields of deliveries) await says('Hello?', fields);
      assert.equal(runs.length, 2);
    });
});
