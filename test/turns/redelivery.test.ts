// Turns that are delivered twice or late, and ids that come again with something else.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryStore } from '../../src/conversations/memory-store.ts';
import {
  contentsOf,
  deferred,
  fired,
  Listener,
  serve,
  slowStore,
  Told,
  typesOf,
  until,
  within,
  type Served,
} from '../fixtures/app.ts';

describe('a turn_id that comes again with different content', () => {
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

  it('begins another turn if the type is different', async (t) => {
    const { client, history } = serve(t, { welcome: 'Hello there.' });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.equal(await (await client.start({ turn_id: 't-1' })).text(), 'Welcome back.');
    assert.equal((await history()).length, 3);
  });

  it('is recognised when those words come once more', async (t) => {
    let runs = 0;
    const { client } = serve(t, { onMessage: ({ text }) => `${text} ${++runs}` });
    for (const text of ['One', 'Two', 'Three']) {
      await (await client.say(text, { turn_id: 't-1' })).text();
    }
    assert.equal(await (await client.say('Two', { turn_id: 't-1' })).text(), 'Two 2');
    assert.equal(runs, 3);
  });

  it('is recognised after a restart', async (t) => {
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

  it('while it streams gives the newer request what was said, then the rest', async (t) => {
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

  it('delivered again twice while it streams goes to the last delivery', async (t) => {
    const { client, go } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    const third = await client.say('Hello?', { turn_id: 't-1' });
    go();
    assert.deepEqual([await second.text(), await third.text()], ['One. And', 'One. And two.']);
  });

  it('before the agent spoke streams to the newer request, and ends in the older one', async (t) => {
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
    gate.resolve();
    for (const reply of [second, first]) assert.equal(await (await reply).text(), 'One.');
  });

  it('counts once as taken over, and once as completed', async (t) => {
    const { client, go, metric } = held(t);
    await readTo(new Listener(await client.say('Hello?', { turn_id: 't-1' })), ' And');
    const second = await client.say('Hello?', { turn_id: 't-1' });
    go();
    await second.text();
    const outcomes = ['completed', 'interrupted', 'failed', 'replayed', 'taken_over'].map(
      (outcome) => metric(`layercode_turns_total{event="message",outcome="${outcome}",wire="layercode"}`),
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

  it('that had completed is replayed alongside the newer one', async (t) => {
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

  it('that was interrupted by the newer one does not run again alongside it', async (t) => {
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
