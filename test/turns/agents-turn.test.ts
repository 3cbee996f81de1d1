// The turn and the reply as an agent holds them: what they show, and what may be done to them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn, Reply } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/agent.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { contentsOf, deferred, Listener, serve, Told, within } from '../fixtures/app.ts';

describe('the turn that an agent is handed', () => {
  it('shows the facts of the turn and no method of the engine', async (t) => {
    const turns = new Told<MessageTurn>();
    const replies = new Told<Reply>();
    const { client } = serve(t, { onMessage: (turn, reply) => (turns.tell(turn), replies.tell(reply), 'Yes.') });
    await (await client.say('Hello?')).events();
    const turn = await turns.next();
    assert.deepEqual(Object.keys(turn).sort(), ['conversationId', 'event', 'headers', 'history', 'journal', 'log', 'metadata', 'signal', 'text', 'turnId']);
    const methods = (value: object): string[] => Object.getOwnPropertyNames(Object.getPrototypeOf(value)).filter((name) => name !== 'constructor').sort();
    assert.deepEqual(methods(turn), []);
    assert.deepEqual(methods(turn.journal), ['noteToolCalls', 'noteToolResult', 'noteUsage', 'runTools', 'sayFiller']);
    assert.deepEqual(Object.keys(turn.journal), []);
    const reply = await replies.next();
    assert.deepEqual(Object.keys(reply), []);
    assert.deepEqual(methods(reply), ['data', 'end', 'hangup', 'isOver', 'say', 'signal']);
  });

  it('may be copied and handed to another agent\'s hook', async (t) => {
    const seen = new Told<readonly unknown[]>();
    const other = (turn: MessageTurn): string => {
      seen.tell([turn.text, turn.history.length, turn.signal.aborted, typeof turn.log.info, turn.journal === undefined]);
      return 'Other.';
    };
    const { client } = serve(t, { onMessage: (turn) => other({ ...turn, text: 'changed' }) });
    assert.deepEqual(contentsOf(await (await client.say('Hello?')).events()), ['Other.']);
    assert.deepEqual(await seen.next(), ['changed', 1, false, 'function', false]);
  });

  it('has verbs that may be taken out of the reply', async (t) => {
    const { client } = serve(t, { onMessage: ({ text }, { say, data, hangup }) => { say(text); data({ a: 1 }); hangup({ say: 'Bye.' }); } });
    assert.deepEqual(contentsOf(await (await client.say('Hello?')).events()), ['Hello?', ' Bye.']);
  });
});

describe('turn.history', () => {
  for (const kind of ['memory', 'tools'] as const) {
    it(`cannot be changed (${kind})`, async (t) => {
      const tried = new Told<string[]>();
      const { client, history } = serve(t, {
        async onMessage({ history: seen, journal, text }) {
          if (text === 'One?') {
            if (kind === 'tools') await journal.runTools([{ id: 'c1', name: 'look', args: '{}' }], () => ({ run: async () => '"seen"' }));
            return 'One.';
          }
          const errors: string[] = [];
          const attempt = (change: () => void): void => {
            try {
              change();
              errors.push('none');
            } catch (error) {
              errors.push((error as Error).name);
            }
          };
          attempt(() => (seen as unknown[]).push('x'));
          attempt(() => Object.assign(seen[0] as object, { content: 'masked' }));
          attempt(() => Object.assign(seen.at(-1) as object, { content: 'masked' }));
          tried.tell(errors);
          return 'Two.';
        },
      });
      await (await client.say('One?')).events();
      await (await client.say('Two?')).events();
      assert.deepEqual(await tried.next(), ['TypeError', 'TypeError', 'TypeError']);
      assert.ok(!JSON.stringify(await history()).includes('masked'));
    });
  }

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
