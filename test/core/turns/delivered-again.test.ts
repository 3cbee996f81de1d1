// A turn that is delivered again while it is running, in processes that share its conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { TurnFollower } from '../../../src/core/turns/report/turn-trace.ts';
import { deferred } from '../../fixtures/app.ts';
import { Client, CONVERSATION, idle, memory, Process } from './plain-deliveries.ts';

/** Waits for the end of the delivery. */
async function end(client: Client, outcome: string, said?: string): Promise<void> {
  assert.equal(await client.outcome, outcome);
  if (said !== undefined) assert.equal(client.said, said);
}

describe('a turn that is delivered again to the process running it', () => {
  it('goes on for the older delivery if the newer one has already gone', async (t) => {
    const gate = deferred();
    const process = new Process(t, { onMessage: () => gate.promise.then(() => 'Done.') });
    const [older, newer] = [process.deliver('t1'), new Client('t1')];
    newer.isOpen = false;
    process.start(newer);
    await end(newer, 'interrupted', '');
    gate.resolve();
    await end(older, 'completed', 'Done.');
  });

  it('ends the older delivery without a word if the store cannot be read', async (t) => {
    const gate = deferred();
    const process = new Process(t, { onMessage: () => gate.promise.then(() => 'One.') });
    const [older, newer] = [process.deliver('t1'), process.deliver('t1')];
    t.mock.method(process.conversations, 'read', () => Promise.reject(new Error('it is away')));
    const { mock: ends } = t.mock.method(older, 'end');
    gate.resolve();
    await end(newer, 'completed', 'One.');
    await idle();
    assert.deepEqual([older.said, ends.calls.at(-1)?.arguments], ['', ['cut short']]);
  });
});

// Otherwise the turn could not be told from one that was erased while it was running.
describe('a turn after the erasure of its conversation', () => {
  it('says which erasure it has seen when it stores its reply', async (t) => {
    const mayEnd = deferred();
    const a = new Process(t, { onMessage: () => mayEnd.promise.then(() => 'Done.') });
    await a.conversations.addMessage(CONVERSATION, { role: 'user', content: 'A note.' });
    await a.store.update(CONVERSATION, (conversation) => {
      conversation.erasedAt = 7;
    });
    const settled = t.mock.method(a.conversations, 'settleTurn');
    const client = a.deliver('t1');
    mayEnd.resolve();
    await end(client, 'completed');
    assert.deepEqual(settled.mock.calls.map(({ arguments: [, { erasedAt }] }) => erasedAt), [7]);
  });
});

// Where processes share conversations, a failure is stored before the stream ends.
describe('a failed turn that is delivered again while its end is being stored', () => {
  it('tells the newer stream that it has failed, just like the older stream', async (t) => {
    const [store, gate] = [memory(), deferred()];
    const agent = defineAgent({
      name: 'failing',
      onMessage(_turn, { say }) {
        void say('One.');
        const update = store.update.bind(store);
        t.mock.method(store, 'update').mock.mockImplementationOnce((async (id, change) => {
          await gate.promise; // only the next write is slow
          return update(id, change);
        }) as typeof store.update);
        throw new Error('no more');
      },
      apology: 'Sorry.',
    });
    const process = new Process(t, agent, {
      store, process: 'a', settings: { storeTimeoutMs: 3_000 },
    });
    const [older, newer] = [process.deliver('t1'), process.deliver('t1')];
    await end(older, 'taken over');
    gate.resolve();
    await end(newer, 'failed', 'One. Sorry.');
    assert.deepEqual(older.sent.at(-1), { type: 'error' });
    assert.deepEqual(newer.sent, older.sent);
  });
});

describe('a run that takes its turn back with its reply', () => {
  it('stores its place in the traces again', async (t) => {
    const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const follower: TurnFollower = {
      place, link: () => undefined, note: () => undefined,
      run: (step) => step(), runRequest: (_request, step) => step(),
      runTool: (_toolCallId, step) => step(),
    };
    const tracer = { start: () => follower, flush: () => Promise.resolve() };
    const [begun, end] = [deferred(), deferred()];
    const store = memory();
    const process = new Process(t, {
      async onMessage() {
        begun.resolve();
        await end.promise;
        return 'Done.';
      },
    }, {
      store, process: 'a', tracing: { tracer, hasWords: false },
      settings: { storeTimeoutMs: 3_000 },
    });
    const client = process.deliver('t1');
    await begun.promise;
    // As if stored by another process, which does not know of this run.
    store.update(CONVERSATION, ({ turns: [record = assert.fail()] }) => {
      Object.assign(record, { runId: 0, process: 'b' });
      delete record.trace;
    });
    end.resolve();
    await client.outcome;
    const [record = assert.fail()] = store.read(CONVERSATION)?.turns ?? [];
    assert.deepEqual([record.reply, record.trace], ['Done.', { ...place, sessionId: 's-1' }]);
  });
});
