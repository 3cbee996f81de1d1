// Tool calls of a turn through a socket: what the agent may rely on, and what history says of it.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn, ToolRun } from '../../src/agents/agent.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ToolMessage } from '../../src/conversations/message.ts';
import { deferred, errorsIn, fired, Listener, serve, Told, until, within, type Served } from '../fixtures/app.ts';

const PAY = { id: 'c1', name: 'pay', args: '{"sum":1,"to":"x"}' };

async function results({ messages }: Served): Promise<ToolMessage[]> {
  return (await messages()).filter((message) => message.role === 'tool');
}

/** Says One., then runs the call with this tool, and says what it returned. */
function paying(run: ToolRun['run'], rest: Partial<ToolRun> = {}, calls = [PAY]) {
  return async ({ journal }: MessageTurn, { say }: { say: (text: string) => unknown }): Promise<void> => {
    say('One.');
    for (const { content } of await journal.runTools(calls, () => ({ run, ...rest }))) say(` ${content}`);
  };
}

async function said(served: Served, fields = {}): Promise<unknown[]> {
  const reply = await served.client.say('Pay!', fields);
  return (await within(reply.events(), 'the end of the stream')).map(({ content }) => content);
}

describe('a tool that is to finish', () => {
  it('hears nothing of a barge-in, and its result is kept', async (t) => {
    const signals = new Told<AbortSignal>();
    const paid = deferred<string>();
    const served = serve(t, { onMessage: (turn, reply) => (turn.text === 'Pay!' ? paying(({ signal }) => (signals.tell(signal), paid.promise), { whenInterrupted: 'finish' })(turn, reply) : 'Yes.') });
    await new Listener(await served.client.say('Pay!')).next();
    const signal = await signals.next();
    await within((await served.client.say('Hm?')).events(), 'the next turn');
    assert.equal(signal.aborted, false);
    assert.equal((await results(served))[0]?.content, '{"status":"still running"}');
    paid.resolve('{"paid":1}');
    await until(() => signals.all.length === 1, 'the tool');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual((await results(served)).map(({ content, state }) => [content, state]), [['{"paid":1}', 'completed']]);
  });

  it('is aborted at TURN_TIMEOUT_SECONDS, counted from the turn\'s beginning', async (t) => {
    const signals = new Told<AbortSignal>();
    const served = serve(t, {
      onMessage: paying(({ signal }) => (signals.tell(signal), new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))), { whenInterrupted: 'finish' }),
    }, { environment: { TURN_TIMEOUT_SECONDS: '0.2' } });
    const reply = await served.client.say('Pay!');
    await new Listener(reply).next();
    const signal = await signals.next();
    reply.drop();
    await served.interrupted.next('the drop to be noticed');
    assert.equal(signal.aborted, false);
    await within(fired(signal), 'the time-out');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual((await results(served)).map(({ state }) => state), ['interrupted']);
  });
});

describe('a tool that obeys its signal', () => {
  it('is interrupted in history, and the next prompt says so', async (t) => {
    const seen = new Told<readonly string[]>();
    const started = new Told<void>();
    const served = serve(t, {
      onMessage(turn, reply) {
        if (turn.text === 'Pay!') return paying(({ signal }) => (started.tell(), new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('gone', { cause: signal.reason }))))))(turn, reply);
        seen.tell(turn.history.filter(({ role }) => role === 'tool').map(({ content }) => content));
        return 'Yes.';
      },
    });
    await new Listener(await served.client.say('Pay!')).next();
    await started.next();
    await within((await served.client.say('Hm?')).events(), 'the next turn');
    assert.deepEqual(await seen.next(), ['{"error":"interrupted"}']);
  });

  it('is told the truth of where it failed for another reason', async (t) => {
    const started = new Told<AbortSignal>();
    const served = serve(t, { onMessage: paying(({ signal }) => (started.tell(signal), new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('charged twice')))))) });
    const reply = await served.client.say('Pay!');
    await new Listener(reply).next();
    await started.next();
    reply.drop();
    await served.interrupted.next();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual((await results(served)).map(({ content, state }) => [content, state]), [['{"error":"charged twice"}', 'completed']]);
  });
});

describe('a turn that is delivered again', () => {
  /** What a process leaves that died while its call ran. */
  async function crashed(t: Parameters<typeof serve>[0]): Promise<{ kept: MemoryStore; key: string }> {
    const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    const keys = new Told<string>();
    const dying = serve(t, { onMessage: paying(({ idempotencyKey }) => (keys.tell(idempotencyKey), new Promise(() => undefined))) }, { store });
    const { conversationId } = dying.client;
    await new Listener(await dying.client.say('Pay!', { turn_id: 't-1', conversation_id: 'c-9' })).next();
    const key = await keys.next();
    const kept = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    const conversation = structuredClone(store.read('c-9'));
    assert.ok(conversation, conversationId);
    kept.update('c-9', (draft) => void Object.assign(draft, conversation));
    return { kept, key };
  }

  it('after a crash does not start the call again: its outcome is unknown', async (t) => {
    const { kept } = await crashed(t);
    let runs = 0;
    const served = serve(t, { onMessage: paying(async () => `"run ${++runs}"`) }, { store: kept });
    assert.deepEqual(await said(served, { turn_id: 't-1', conversation_id: 'c-9' }), ['One.', ' {"error":"outcome unknown"}', undefined]);
    assert.equal(runs, 0);
  });

  it('after a crash starts a repeatable call again, with the key it had in the other process', async (t) => {
    const { kept, key } = await crashed(t);
    const keys = new Told<string>();
    const served = serve(t, { onMessage: paying(async ({ idempotencyKey }) => (keys.tell(idempotencyKey), '"done"'), { repeatable: true }) }, { store: kept });
    assert.deepEqual(await said(served, { turn_id: 't-1', conversation_id: 'c-9' }), ['One.', ' "done"', undefined]);
    assert.equal(await keys.next(), key);
  });

  it('takes the result of a call that completed, whatever the order of its arguments', async (t) => {
    let runs = 0;
    const gate = deferred();
    const served = serve(t, {
      async onMessage({ journal }, reply) {
        const args = runs === 0 ? '{"sum":1,"to":"x"}' : '{ "to": "x", "sum": 1 }';
        const [outcome] = await journal.runTools([{ ...PAY, args }], () => ({ run: async () => `"paid ${++runs}"` }));
        reply.say(outcome?.content ?? '');
        if (runs === 1 && !reply.isOver) await Promise.race([gate.promise, fired(reply.signal)]);
      },
    });
    const reply = await served.client.say('Pay!', { turn_id: 't-1' });
    await new Listener(reply).next();
    reply.drop();
    await served.interrupted.next();
    gate.resolve();
    assert.deepEqual(await said(served, { turn_id: 't-1' }), ['"paid 1"', undefined]);
    assert.equal(runs, 1);
  });

  it('joins a call that still runs', async (t) => {
    let runs = 0;
    const paid = deferred<string>();
    const started = new Told<void>();
    const served = serve(t, { onMessage: paying(() => (runs += 1, started.tell(), paid.promise)) });
    const reply = await served.client.say('Pay!', { turn_id: 't-1' });
    await new Listener(reply).next();
    await started.next();
    reply.drop();
    await served.interrupted.next();
    const again = said(served, { turn_id: 't-1' });
    await until(() => served.app.runningTurns === 1, 'the second run');
    paid.resolve('"paid"');
    assert.deepEqual(await again, ['One.', ' "paid"', undefined]);
    assert.equal(runs, 1);
  });
});

describe('calls of one reply', () => {
  it('with one id get ids of their own, and their own results', async (t) => {
    const served = serve(t, { onMessage: paying(async ({ toolCallId }) => JSON.stringify(toolCallId), {}, [PAY, { ...PAY, args: '{"sum":2}' }]) });
    assert.deepEqual(await said(served), ['One.', ' "c1"', ' "c1-2"', undefined]);
    assert.deepEqual((await results(served)).map(({ toolCallId, content }) => [toolCallId, content]), [['c1', '"c1"'], ['c1-2', '"c1-2"']]);
  });

  it('that are alike have keys of their own', async (t) => {
    const served = serve(t, { onMessage: paying(async ({ idempotencyKey }) => JSON.stringify(idempotencyKey), {}, [PAY, { ...PAY, id: 'c2' }]) });
    const [, first, second] = await said(served);
    assert.notEqual(first, second);
  });
});

describe('a conversation that is cleared while a turn runs', () => {
  it('lets the turn call its tools, drops their results, and says so in the log', async (t) => {
    const started = new Told<void>();
    const paid = deferred<string>();
    const served = serve(t, { onMessage: paying(() => (started.tell(), paid.promise)) });
    const reply = await served.client.say('Pay!');
    await started.next();
    await served.app.conversations.clear(served.client.conversationId);
    paid.resolve('"paid"');
    assert.deepEqual((await within(reply.events(), 'the end')).map(({ content }) => content), ['One.', ' "paid"', undefined]);
    assert.deepEqual(await served.messages(), []);
    assert.ok(served.logLines.some((line) => line.includes('a tool result came too late to be kept')));
    assert.deepEqual(errorsIn(served.logLines), []);
  });

  it('lets a tool begin that was asked for after it', async (t) => {
    const cleared = deferred();
    const started = new Told<void>();
    const served = serve(t, {
      async onMessage(turn, reply) {
        started.tell();
        await cleared.promise;
        return paying(async () => '"paid"')(turn, reply);
      },
    });
    const answer = said(served);
    await started.next();
    await served.app.conversations.clear(served.client.conversationId);
    cleared.resolve();
    assert.deepEqual(await answer, ['One.', ' "paid"', undefined]);
  });
});
