// What an agent is given: a turn that can be copied, and a reply that can be destructured.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn, Reply, StartTurn } from '../../../src/core/agents/agent.ts';
import { serve, Told } from '../../fixtures/app.ts';
import { hears } from './single-message.ts';

const NUMBERS = { from_phone_number: '+15550100', to_phone_number: '+15550199' };
const LOOK = [{ id: 'c1', name: 'look', args: '{}' }];

/** What an agent is given in a turn. It says nothing. */
async function given(t: TestContext): Promise<{ turn: MessageTurn; reply: Reply }> {
  const told = new Told<{ turn: MessageTurn; reply: Reply }>();
  await hears(t, (turn, reply) => told.tell({ turn, reply }), '');
  return told.next();
}

function methodsOf(value: object): string[] {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(value));
  return names.filter((name) => name !== 'constructor').sort();
}

describe('a reply', () => {
  it("has its verbs, its signal and isOver, and none of the engine's methods", async (t) => {
    const { turn, reply } = await given(t);
    assert.deepEqual(Object.keys(reply), []);
    const names = ['data', 'end', 'hangup', 'isOver', 'say', 'signal', 'transfer'];
    assert.deepEqual(methodsOf(reply), names);
    assert.equal(reply.signal, turn.signal);
  });

  it('is over when the turn is, and not before', async (t) => {
    await hears(t, (_turn, reply) => {
      assert.equal(reply.isOver, false);
      reply.end();
      assert.equal(reply.isOver, true);
    }, '');
  });
});

describe('a turn', () => {
  const FIELDS = [
    'conversationId', 'event', 'headers', 'history', 'journal', 'language', 'log', 'metadata',
    'signal', 'text', 'turnId', 'wire',
  ];

  it("has these fields as own properties, and none of the engine's methods", async (t) => {
    const { turn } = await given(t);
    assert.deepEqual(Object.keys(turn).sort(), FIELDS);
    const names = new Set<string>();
    for (let part: object = turn; part !== Object.prototype; part = Object.getPrototypeOf(part))
      for (const name of Object.getOwnPropertyNames(part)) names.add(name);
    assert.deepEqual([...names].filter((name) => name !== 'constructor').sort(), FIELDS);
    assert.equal(turn.history, turn.history);
  });

  it('keeps its other fields in a copy with other words', async (t) => {
    const { client } = serve(t, {
      onMessage(turn) {
        const copy = { ...turn, text: 'other words' };
        return `${copy.text}, ${copy.history.length}, ${copy.signal.aborted}, ${copy.turnId}`;
      },
    });
    const text = await (await client.say('Hello?', { turn_id: 't-1' })).text();
    assert.equal(text, 'other words, 1, false, t-1');
  });

  it("logs with the request's id, even from a copy", async (t) => {
    const { client, logLines } = serve(t, {
      onMessage: (turn) => ({ ...turn }).log.info('of the agent'),
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

  it('neither runs nor notes calls once it is over', async (t) => {
    const told = new Told<unknown>();
    const { history } = await hears(t, async ({ journal }, reply) => {
      await reply.say('Bye.');
      reply.end();
      const [outcome] = await journal.runTools(LOOK, () => ({ run: () => '"seen"' }));
      await journal.noteToolCalls(LOOK);
      told.tell(outcome?.content);
    }, 'Bye.');
    assert.equal(await told.next(), '{"error":"interrupted"}');
    assert.deepEqual((await history()).map(([role]) => role), ['user', 'assistant']);
  });

  it('has the history as of its beginning, frozen along with calls and results', async (t) => {
    const told = new Told<MessageTurn>();
    const { client, messages } = serve(t, {
      async onMessage(turn) {
        told.tell(turn);
        const { history, journal, text } = turn;
        if (text === 'One?') await journal.runTools(LOOK, () => ({ run: async () => '"seen"' }));
        assert.throws(() => (history as unknown[]).push('x'), TypeError);
        for (const message of history)
          assert.throws(() => Object.assign(message, { content: 'masked' }), TypeError);
        return 'Yes.';
      },
    });
    for (const text of ['One?', 'Two?'])
      assert.equal(await (await client.say(text)).text(), 'Yes.');
    assert.doesNotMatch(JSON.stringify(await messages()), /masked/);
    assert.deepEqual((await told.next()).history.map(({ content }) => content), ['One?']);
  });

  it("of a session's start also says whether the caller has returned", async (t) => {
    const told = new Told<StartTurn>();
    const { client } = serve(t, { onSessionStart: (turn) => told.tell(turn) });
    await (await client.start()).text();
    await (await client.say('Hello?')).text();
    await (await client.start()).text();
    await (await client.start({ turn_id: null })).text();
    const turns = [await told.next(), await told.next(), await told.next()];
    assert.deepEqual(turns.map(({ isResumed }) => isResumed), [false, true, true]);
    assert.deepEqual(turns[2]?.history, [], 'a turn beside the conversation stands alone');
    const fields = [...FIELDS.filter((name) => name !== 'text'), 'isResumed'].sort();
    assert.deepEqual(Object.keys(turns[0] ?? {}).sort(), fields);
  });
});

describe('turn.caller', () => {
  it("is remembered for the rest of the call, and missing in a browser's turn", async (t) => {
    const { client } = serve(t, {
      onMessage: (turn) => ('caller' in turn ? JSON.stringify(turn.caller) : 'nobody'),
    });
    const CALLER = '{"from":"+15550100","to":"+15550199"}';
    const says = async (fields = {}): Promise<string> => (await client.say('Hi', fields)).text();
    assert.deepEqual([await says(), await says(NUMBERS), await says()], ['nobody', CALLER, CALLER]);
    assert.equal(await says({ session_id: 'browser' }), 'nobody');
  });
});
