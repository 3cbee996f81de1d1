// What an agent is given: a turn that can be copied, and a reply that can be destructured.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn, Reply, StartTurn } from '../../src/agents/agent.ts';
import {
  contentsOf, deferred, fired, Listener, serve, Told, typesOf, within,
} from '../fixtures/app.ts';

/** What an agent is given in a turn. It says nothing. */
async function given(t: TestContext): Promise<{ turn: MessageTurn; reply: Reply }> {
  const told = new Told<{ turn: MessageTurn; reply: Reply }>();
  const { client } = serve(t, { onMessage: (turn, reply) => told.tell({ turn, reply }) });
  await (await client.say('Hello?')).text();
  return told.next();
}

function methodsOf(value: object): string[] {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(value));
  return names.filter((name) => name !== 'constructor').sort();
}

describe('a reply', () => {
  it('has its verbs, its signal and isOver, and none of the engine\'s methods', async (t) => {
    const { reply } = await given(t);
    assert.deepEqual([Object.keys(reply), methodsOf(reply)], [[], [
      'data', 'end', 'hangup', 'isOver', 'say', 'signal', 'transfer',
    ]]);
  });

  it('has verbs that can be taken out of it', async (t) => {
    const { client } = serve(t, {
      onMessage(_turn, { say, data, hangup }) {
        say('One.');
        data({ a: 1 });
        hangup({ say: 'Bye.' });
      },
    });
    const events = await (await client.say('Hello?')).events();
    assert.deepEqual(typesOf(events), [
      'response.tts', 'response.data', 'response.tts', 'response.hangup', 'response.end',
    ]);
    assert.deepEqual(contentsOf(events), ['One.', ' Bye.']);
  });

  it('ends with an end() that was taken out of it', async (t) => {
    const { client } = serve(t, {
      async *onMessage(_turn, { end }) {
        yield 'One.';
        end();
        yield 'Two.';
      },
    });
    assert.equal(await (await client.say('Hello?')).text(), 'One.');
  });

  it('has the turn\'s signal', async (t) => {
    const same = deferred<boolean>();
    const { client } = serve(t, {
      async onMessage(turn, reply) {
        same.resolve(reply.signal === turn.signal);
        reply.say('One.');
        await fired(reply.signal);
      },
    });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    assert.equal(await within(same.promise, 'the agent'), true);
    reply.drop();
  });

  it('is over when the turn is, and not before', async (t) => {
    const states: boolean[] = [];
    const { client } = serve(t, {
      onMessage(_turn, reply) {
        states.push(reply.isOver);
        reply.end();
        states.push(reply.isOver);
      },
    });
    await (await client.say('Hello?')).text();
    assert.deepEqual(states, [false, true]);
  });
});

describe('a turn', () => {
  const FIELDS = [
    'conversationId', 'event', 'headers', 'history', 'journal', 'language', 'log', 'metadata',
    'signal', 'text', 'turnId', 'wire',
  ];

  it('has these fields, all its own, and none of the engine\'s methods', async (t) => {
    const { turn } = await given(t);
    assert.deepEqual(Object.keys(turn).sort(), FIELDS);
    const names = new Set<string>();
    let part: object = turn;
    while (part !== Object.prototype) {
      for (const name of Object.getOwnPropertyNames(part)) names.add(name);
      part = Object.getPrototypeOf(part) as object;
    }
    assert.deepEqual([...names].filter((name) => name !== 'constructor').sort(), FIELDS);
  });

  it('can be copied with other words, and handed to another agent\'s hook', async (t) => {
    const { client } = serve(t, {
      onMessage(turn) {
        const copy = { ...turn, text: 'other words' };
        return `${copy.text}, ${copy.history.length}, ${copy.signal.aborted}, ${copy.turnId}`;
      },
    });
    const text = await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.equal(text, 'other words, 1, false, t-1');
  });

  it('logs with the request\'s id, in a copy too', async (t) => {
    const { client, logLines } = serve(t, {
      onMessage(turn) {
        ({ ...turn }).log.info('of the agent');
      },
    });
    const { response } = await client.say('Hello?');
    await response.text();
    const line = logLines.find((candidate) => candidate.includes('of the agent')) ?? '{}';
    const { requestId } = JSON.parse(line) as { requestId?: string };
    assert.equal(requestId, response.headers.get('x-request-id'));
  });

  it('has a journal with these methods and no others', async (t) => {
    const { journal } = (await given(t)).turn;
    assert.deepEqual([Object.keys(journal), methodsOf(journal)], [[], [
      'bring', 'conceal', 'handOver', 'mayActOnce', 'noteFailedRequest', 'noteRequest',
      'noteToolCalls', 'noteToolOutcome', 'noteToolResult', 'noteUsage', 'reveal', 'rounds',
      'runRequest', 'runTools', 'saveState', 'sayFiller', 'tellBrowser',
    ]]);
  });

  it('neither runs nor notes calls once the turn is over', async (t) => {
    const told = new Told<unknown>();
    const { client, messages } = serve(t, {
      async onMessage({ journal }, reply) {
        reply.say('Bye.');
        reply.end();
        const calls = [{ id: 'c1', name: 'look', args: '{}' }];
        const [outcome] = await journal.runTools(calls, () => ({ run: () => '"seen"' }));
        await journal.noteToolCalls(calls);
        told.tell(outcome?.content);
      },
    });
    await (await client.say('Hello?')).text();
    assert.equal(await told.next(), '{"error":"interrupted"}');
    assert.deepEqual((await messages()).map(({ role }) => role), ['user', 'assistant']);
  });

  it('has a frozen history, calls and results included', async (t) => {
    const { client, messages } = serve(t, {
      async onMessage({ history, journal, text }) {
        if (text === 'One?') {
          const calls = [{ id: 'c1', name: 'look', args: '{}' }];
          await journal.runTools(calls, () => ({ run: async () => '"seen"' }));
          return 'One.';
        }
        assert.throws(() => (history as unknown[]).push('x'), TypeError);
        for (const message of history) {
          assert.throws(() => Object.assign(message, { content: 'masked' }), TypeError);
        }
        return 'Two.';
      },
    });
    await (await client.say('One?')).text();
    assert.equal(await (await client.say('Two?')).text(), 'Two.');
    assert.doesNotMatch(JSON.stringify(await messages()), /masked/);
  });

  it('has the history as it was at its beginning, whatever comes later', async (t) => {
    const told = new Told<MessageTurn>();
    const { client } = serve(t, {
      onMessage(turn) {
        told.tell(turn);
        return `${turn.history.length}`;
      },
    });
    await (await client.say('One?')).text();
    await (await client.say('Two?')).text();
    assert.deepEqual((await told.next()).history.map(({ content }) => content), ['One?']);
  });

  it('has one history, however often it is looked at', async (t) => {
    const { turn } = await given(t);
    assert.equal(turn.history, turn.history);
  });

  it('of a session\'s start also says whether the caller has returned', async (t) => {
    const told = new Told<StartTurn>();
    const { client } = serve(t, { onSessionStart: (turn) => told.tell(turn) });
    await (await client.start()).text();
    await (await client.say('Hello?')).text();
    await (await client.start()).text();
    const turns = [await told.next(), await told.next()];
    assert.deepEqual(turns.map(({ isResumed }) => isResumed), [false, true]);
    const fields = [...FIELDS.filter((name) => name !== 'text'), 'isResumed'].sort();
    assert.deepEqual(Object.keys(turns[0] ?? {}).sort(), fields);
  });
});
