// Which turn a delivery belongs to, and what stands beside the turns of a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { contentsOf, deferred, Listener, serve, Told, within } from '../fixtures/app.ts';

describe('turn.history', () => {
  it('is what it was at the first look', async (t) => {
    const turns = new Told<MessageTurn>();
    const { client } = serve(t, { onMessage: (turn) => (turns.tell(turn), turn.history.length === 1 ? 'One.' : 'Two.') });
    await (await client.say('One?')).events();
    const { history } = await turns.next();
    await (await client.say('Two?')).events();
    assert.deepEqual(history.map(({ content }) => content), ['One?']);
  });
});

describe('an id that comes with other words', () => {
  it('begins a turn of its own, is answered under the id, and is known again, also after a restart', async (t) => {
    const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    const asked: string[] = [];
    const onMessage = ({ text }: MessageTurn): string => (asked.push(text), `To ${text}`);
    const fields = { turn_id: 't-1', conversation_id: 'c-9' };
    const first = serve(t, { onMessage }, { store: Object.assign(Object.create(store) as MemoryStore, { close: () => undefined, read: store.read.bind(store), update: store.update.bind(store), count: store.count.bind(store) }) });
    for (const text of ['A', 'B', 'B', 'A']) {
      const events = await (await first.client.say(text, fields)).events();
      assert.deepEqual(contentsOf(events), [`To ${text}`]);
      assert.deepEqual([...new Set(events.map(({ turn_id }) => turn_id))], ['t-1']);
    }
    await first.client.close();
    const second = serve(t, { onMessage }, { store });
    for (const text of ['B', 'A']) assert.deepEqual(contentsOf(await (await second.client.say(text, fields)).events()), [`To ${text}`]);
    assert.deepEqual(asked, ['A', 'B']);
    assert.deepEqual(await second.history('c-9'), [['user', 'A'], ['assistant', 'To A', 'completed'], ['user', 'B'], ['assistant', 'To B', 'completed']]);
    assert.equal(first.logLines.filter((line) => line.includes('came with other words')).length, 1);
  });

  it('ends a turn that runs, like any newer turn', async (t) => {
    const gate = deferred();
    const { client, interrupted } = serve(t, { async *onMessage({ text }) { yield text; if (text === 'A') await gate.promise; } });
    await new Listener(await client.say('A', { turn_id: 't-1' })).next();
    assert.deepEqual(contentsOf(await (await client.say('B', { turn_id: 't-1' })).events()), ['B']);
    assert.equal((await interrupted.next()).turnId, 't-1');
    gate.resolve();
  });
});

describe('a session.start without turn_id', () => {
  it('is answered beside a turn that runs, and leaves nothing in history', async (t) => {
    const gate = deferred();
    const { client, history, interrupted } = serve(t, { onSessionStart: () => 'Welcome.', async *onMessage() { yield 'One.'; await gate.promise; yield ' Two.'; } });
    const listener = new Listener(await client.say('Hello?'));
    await listener.next();
    assert.deepEqual(contentsOf(await (await client.start({ turn_id: undefined })).events()), ['Welcome.']);
    gate.resolve();
    assert.deepEqual(contentsOf(await listener.rest()), [' Two.']);
    assert.deepEqual(await history(), [['user', 'Hello?'], ['assistant', 'One. Two.', 'completed']]);
    assert.deepEqual(interrupted.all, []);
  });
});

describe('an agent that never says a word', () => {
  it('but yields empty texts for ever is timed out, and others are served meanwhile', async (t) => {
    const { client, app } = serve(t, { async *onMessage({ text }) { if (text !== 'Stuck') yield 'Yes.'; else for (;;) yield ''; } }, { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.2' } });
    const stuck = await client.say('Stuck');
    assert.deepEqual(contentsOf(await (await client.say('Hello?', { conversation_id: 'other' })).events()), ['Yes.']);
    assert.deepEqual(contentsOf(await within(stuck.events(), 'the apology')), [DEFAULT_APOLOGY]);
    assert.equal(app.runningTurns, 0);
  });
});
