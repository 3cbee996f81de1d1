// A turn goes to another process and back, while its run still goes on in the first one, or runs in
// two processes of which one has no store.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, MessageTurn, ToolCallContext } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { Channel } from '../../src/base/channel.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { TurnFollower } from '../../src/turns/report/turn-trace.ts';
import { Turns } from '../../src/turns/turns.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import {
  deferred, serve, Told, until, type Deferred, type Served,
} from '../fixtures/app.ts';
import { Post } from '../fixtures/post.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { callerMessage } from '../fixtures/turns.ts';

const BOOK = { id: 'call-1', name: 'book', args: '{"table":4}' };
const EVENT = { turn_id: 't1', conversation_id: 'c' } as const;

/** A process whose agent says a word, and books when the test lets it. It ends on `end`. */
interface Machine extends Served {
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly begun: Told<string>;
  readonly booked: Told<string>;
  readonly mayBook: Deferred<void>;
  readonly end: Deferred<void>;
  /** What the agent has been told of its booking. */
  readonly results: Told<string>;
}

function machine(
  t: TestContext,
  name: string,
  shared: SharedParts,
  channel?: Channel,
): Machine {
  const [begun, booked, results] = [new Told<string>(), new Told<string>(), new Told<string>()];
  const [mayBook, end] = [deferred(), deferred()];
  const book = (): Promise<string> => {
    booked.tell(name);
    return Promise.resolve(JSON.stringify(`booked by ${name}`));
  };
  const onMessage = async function* ({ journal }: MessageTurn): AsyncGenerator<string> {
    begun.tell(name);
    yield 'Let me see. ';
    await mayBook.promise;
    const [outcome] = await journal.runTools([BOOK], () => ({ run: book }));
    results.tell(outcome?.content ?? '');
    await end.promise;
    yield 'Done.';
  };
  const parts = new PartsInMemory(shared, { isSlow: true });
  const store = sharing(parts);
  const served = serve(t, { onMessage }, { store, ...(channel && { channel }) });
  return { ...served, parts, store, begun, booked, results, mayBook, end };
}

/** Both use one database, and no messages go between them. */
function two(t: TestContext): readonly [Machine, Machine] {
  const shared: SharedParts = new Map();
  return [machine(t, 'a', shared), machine(t, 'b', shared)];
}

describe('a turn that comes back to a process', () => {
  it('has the results of the calls that the other process made meanwhile', async (t) => {
    const [a, b] = two(t);
    const first = await a.client.say('Book', EVENT);
    const second = await b.client.say('Book', EVENT);
    b.mayBook.resolve();
    assert.equal(await b.results.next('the booking'), '"booked by b"');
    const third = await a.client.say('Book', EVENT);
    a.mayBook.resolve();
    assert.equal(await a.results.next('the booking'), '"booked by b"');
    assert.equal(a.booked.all.length, 0);
    for (const { end } of [a, b]) end.resolve();
    await Promise.all([first, second, third].map((reply) => reply.text()));
  });
});

describe('a run that has taken its turn back', () => {
  it('goes on when the message that another run had it arrives late', async (t) => {
    const shared: SharedParts = new Map();
    const post = new Post();
    const [a, b] = ['a', 'b'].map((name) => machine(t, name, shared, post.channel(name)));
    assert.ok(a && b);
    post.delays = (message) => message.includes('"isTakenOver"');
    const first = await a.client.say('Book', EVENT);
    const second = await b.client.say('Book', EVENT);
    const third = await a.client.say('Book', EVENT); // its headers come once it has the record
    post.deliver();
    for (const { mayBook, end } of [a, b]) {
      mayBook.resolve();
      end.resolve();
    }
    assert.equal(await third.text(), 'Let me see. Done.');
    await Promise.all([first, second].map((reply) => reply.text()));
    const [, ...replies] = await a.app.conversations.getHistory('c');
    assert.equal(replies.at(-1)?.content, 'Done.');
  });
});

describe('a run that takes its turn back and hands the conversation over', () => {
  // A platform that sends the whole call: there, equal calls of other agents are the same call.
  it('does not repeat a call that the other run made before the hand-over', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    const booked: string[] = [];
    const book = async (agent: string, { journal }: MessageTurn): Promise<string> => {
      const run = (): string => JSON.stringify(booked.push(agent));
      const [outcome] = await journal.runTools([BOOK], () => ({ run }));
      return outcome?.content ?? '';
    };
    const ended = new Told<string>();
    const process = (name: string, onMessage: Agent['onMessage']): ((to: string) => void) => {
      const reception = defineAgent({ name: 'reception', onMessage });
      const billing = defineAgent({ name: 'billing', onMessage: (turn) => book('billing', turn) });
      const turns = new Turns({
        agentWork,
        agent: reception, ownName: 'reception',
        agents: new Map(Object.entries({ reception, billing })),
        conversations: new ConversationManager(store), process: name, settleMs: 0,
        turnTimeoutMs: 3_000, firstWordTimeoutMs: 3_000, storeTimeoutMs: 3_000,
      });
      t.after(() => turns.interruptAll('the test is over'));
      return (to) => turns.start({
        event: { ...callerMessage('t1', 'Book'), transcript: transcriptOf([]) },
        headers: {}, unsent: 0, isOpen: true, turn: undefined,
        log: createLogger({ level: 'silent', write: () => undefined }),
        send: () => true, end: () => true,
        onOutcome: ({ outcome }) => ended.tell(`${to} ${outcome}`),
      });
    };
    const mayHandOver = deferred();
    const a = process('a', async (turn) => {
      await mayHandOver.promise;
      const transfer = { id: 'call-1', name: 'transfer', args: '{}' };
      const run = async ({ toolCallId }: ToolCallContext): Promise<string> => {
        await turn.journal.handOver(toolCallId, 'billing');
        return '{}';
      };
      await turn.journal.runTools([transfer], () => ({ run, isOfTurn: true }));
    });
    const begun = deferred();
    const b = process('b', async (turn) => {
      await book('reception', turn);
      begun.resolve();
      await new Promise(() => undefined);
    });
    a('first');
    b('second');
    await begun.promise;
    a('third');
    mayHandOver.resolve();
    assert.equal(await ended.next('the end'), 'third completed');
    assert.equal(await ended.next('the older delivery'), 'first taken over'); // with its reply
    assert.deepEqual(booked, ['reception']);
  });
});

describe('a run that takes its turn back with its reply', () => {
  it('gives up its place in the traces', async () => {
    const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const follower: TurnFollower = {
      place, link: () => undefined, note: () => undefined,
      run: (step) => step(), runRequest: (_request, step) => step(),
      runTool: (_toolCallId, step) => step(),
    };
    const tracer = { start: () => follower, flush: () => Promise.resolve() };
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    const [begun, end, ended] = [deferred(), deferred(), deferred()];
    const agent = defineAgent({
      name: 'traced',
      async onMessage() {
        begun.resolve();
        await end.promise;
        return 'Done.';
      },
    });
    const turns = new Turns({
      agentWork,
      agent, conversations: new ConversationManager(store), process: 'a',
      tracing: { tracer, hasWords: false },
      turnTimeoutMs: 3_000, firstWordTimeoutMs: 3_000, storeTimeoutMs: 3_000,
    });
    turns.start({
      event: callerMessage('t1', 'Hello'), headers: {}, unsent: 0, isOpen: true, turn: undefined,
      log: createLogger({ level: 'silent', write: () => undefined }),
      send: () => true, end: () => true, onOutcome: () => ended.resolve(),
    });
    await begun.promise;
    // As another process stores it that does not know of this run.
    store.update('c-1', ({ turns: [record = assert.fail()] }) => {
      Object.assign(record, { runId: 0, countedRun: 0, process: 'b' });
      delete record.trace;
    });
    end.resolve();
    await ended.promise;
    const [record = assert.fail()] = store.read('c-1')?.turns ?? [];
    assert.deepEqual([record.reply, record.trace], ['Done.', { ...place, sessionId: 's-1' }]);
  });
});

describe('a turn that began while the store did not answer', () => {
  // Seeds 50000644, 50002789 and 30006428 of the fleet: the calls were made again.
  it('has the results of the other process\'s calls, once the store answers', async (t) => {
    const [a, b] = two(t);
    const first = await a.client.say('Book', EVENT);
    a.mayBook.resolve();
    assert.equal(await a.results.next('the booking'), '"booked by a"');
    b.parts.failWith = new Error('the store does not answer');
    const second = await b.client.say('Book', EVENT);
    await b.begun.next('the run');
    b.parts.failWith = undefined;
    await until(() => b.store.health().turnsWaiting === 0, 'the writes');
    b.mayBook.resolve();
    assert.equal(await b.results.next('the booking'), '"booked by a"');
    assert.equal(b.booked.all.length, 0);
    for (const { end } of [a, b]) end.resolve();
    await Promise.all([first, second].map((reply) => reply.text()));
  });

  // Seeds 30007306 and 30008978: the reply was heard whole, and in no prompt.
  it('has its reply in history, which arrived later', async (t) => {
    const [a, b] = two(t);
    const first = await a.client.say('Book', EVENT);
    await a.begun.next('the run');
    b.parts.failWith = new Error('the store does not answer');
    const second = await b.client.say('Book', EVENT);
    await b.begun.next('the run');
    b.parts.failWith = undefined;
    await until(() => b.store.health().turnsWaiting === 0, 'the writes');
    first.drop();
    await until(() => a.app.runningTurns === 0, 'the interruption');
    for (const gate of [b.mayBook, b.end]) gate.resolve();
    await second.text();
    await until(() => b.app.runningTurns === 0, 'the end');
    const history = await b.app.conversations.getHistory('c');
    const spoken = history.map(({ role, content }) => `${role} ${content}`);
    assert.deepEqual([spoken[0], spoken.at(-1)], ['user Book', 'assistant Done.']);
  });
});
