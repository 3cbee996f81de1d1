// Turns over a store that answers with promises, as a database does: the same life as over the one in memory.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { afterEach, describe, it } from 'node:test';

import type { Agent, InterruptedTurn } from '../../src/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import type { App } from '../../src/app/app.ts';
import { createApp } from '../../src/app/create-app.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { signPayload } from '../../src/layercode/signature.ts';
import { createLogger } from '../../src/log.ts';
import { parseSettings } from '../../src/settings/settings.ts';
import { createTestClient, type TestClient, type TestEvent, type TestReply } from '../../src/test-client.ts';
import { PromisedStore } from './promised-store.ts';
import { storeContract } from './store-contract.ts';

const SECRET = 'whsec_promised_store';
/** A turn that nobody ends would hold the suite. */
const LIMIT = { timeout: 3_000 };

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 1_000 });
}

storeContract('PromisedStore', () => new PromisedStore(memory()));

interface Bench {
  readonly app: App;
  readonly client: TestClient;
  readonly store: PromisedStore;
  /** The caller's words of the runs that began. */
  readonly runs: string[];
  readonly aborted: string[];
  readonly interrupted: InterruptedTurn[];
  readonly errors: string[];
  /** Lets the turn go on whose words these are. */
  go(words: string): void;
}

const apps: App[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

function bench(definition: Partial<Agent> = {}, wrap: (store: PromisedStore) => ConversationStore = (store) => store): Bench {
  const store = new PromisedStore(memory());
  const gates = new EventEmitter();
  const runs: string[] = [];
  const aborted: string[] = [];
  const interrupted: InterruptedTurn[] = [];
  const errors: string[] = [];
  const agent = defineAgent({
    name: 'test',
    welcome: 'Welcome.',
    async *onMessage({ text, signal }) {
      runs.push(text);
      signal.addEventListener('abort', () => aborted.push(text));
      yield `${text}?`;
      if (!text.startsWith('hold')) return;
      await once(gates, text, { signal });
      yield ' Done.';
    },
    onInterrupted(turn) {
      interrupted.push(turn);
    },
    ...definition,
  });
  const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET, SHUTDOWN_TIMEOUT_SECONDS: '0', TURN_TIMEOUT_SECONDS: '4' }, []);
  const log = createLogger({
    level: 'warn',
    write: (lines) => {
      for (const line of lines.trim().split('\n')) errors.push((JSON.parse(line) as { msg: string }).msg);
    },
  });
  const app = createApp(settings, agent, { store: wrap(store), log });
  apps.push(app);
  return { app, client: createTestClient(app, { secret: SECRET }), store, runs, aborted, interrupted, errors, go: (words) => gates.emit(words) };
}

/** What was spoken, and that the stream ended properly. */
async function spoken(reply: TestReply | Promise<TestReply>): Promise<string> {
  const events = await (await reply).events();
  assert.equal(events.at(-1)?.type, 'response.end');
  assert.equal(events.filter(({ type }) => type === 'response.end').length, 1);
  return events.map(({ type, content }) => (type === 'response.tts' ? String(content) : '')).join('');
}

class Stream {
  readonly reply: TestReply;
  readonly #events: AsyncIterator<TestEvent>;

  constructor(reply: TestReply) {
    this.reply = reply;
    this.#events = reply[Symbol.asyncIterator]();
  }

  async next(): Promise<unknown> {
    const { value, done } = await this.#events.next();
    if (done === true) return 'the end of the stream';
    return value.type === 'response.tts' ? value.content : value.type;
  }

  async rest(): Promise<unknown[]> {
    const rest: unknown[] = [];
    for (let event = await this.next(); event !== 'the end of the stream'; event = await this.next()) rest.push(event);
    return rest;
  }
}

/** A turn that has said its first piece and waits. */
async function streaming(client: TestClient, words: string, turnId = words): Promise<Stream> {
  const stream = new Stream(await client.say(words, { turn_id: turnId }));
  assert.equal(await stream.next(), `${words}?`);
  return stream;
}

async function history({ app, client }: Bench): Promise<string[]> {
  return (await app.conversations.getHistory(client.conversationId)).map((message) => `${message.role}${message.role === 'assistant' ? `(${message.state})` : ''}: ${message.content}`);
}

/** How often each outcome of a turn was counted. */
function outcomes(app: App): Record<string, number> {
  const lines = app.metrics.text().matchAll(/^layercode_turns_total\{.*outcome="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]));
}

/** Resolves once a line of the metrics says so. */
async function counted(app: App, line: RegExp): Promise<void> {
  while (!line.test(app.metrics.text())) await new Promise((resolve) => setImmediate(resolve));
}

describe('turns over a store that answers with promises', () => {
  it('answer, and remember', LIMIT, async () => {
    const b = bench({ onMessage: ({ text, history }) => `${history.length}: ${text}` });
    assert.equal(await spoken(b.client.start()), 'Welcome.');
    assert.equal(await spoken(b.client.say('One')), '2: One');
    assert.equal(await spoken(b.client.say('Two')), '4: Two');
    assert.equal(await spoken(b.client.start()), 'Welcome back.');
    assert.deepEqual((await history(b)).slice(1, 5), ['user: One', 'assistant(completed): 2: One', 'user: Two', 'assistant(completed): 4: Two']);
  });

  it('do not ask the agent before the caller\'s words are stored', LIMIT, async () => {
    const b = bench();
    b.store.hold();
    const reply = b.client.say('One');
    await b.store.called(1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(b.runs, []);
    b.store.release();
    assert.equal(await spoken(reply), 'One?');
  });

  it('keep what was sent when the caller drops, and fire the signal', LIMIT, async () => {
    const b = bench();
    const stream = await streaming(b.client, 'hold');
    const calls = b.store.calls.length;
    stream.reply.drop();
    await b.store.called(calls + 1);
    assert.deepEqual(await history(b), ['user: hold', 'assistant(interrupted): hold?']);
    assert.deepEqual(b.aborted, ['hold']);
    assert.deepEqual(b.interrupted.map(({ text }) => text), ['hold?']);
  });

  it('end the turn that runs when a newer one begins, and keep both in order', LIMIT, async () => {
    const b = bench();
    const first = await streaming(b.client, 'hold 1');
    const second = spoken(b.client.say('Two'));
    assert.deepEqual(await first.rest(), ['response.end']);
    assert.equal(await second, 'Two?');
    assert.deepEqual(b.aborted, ['hold 1']);
    assert.deepEqual(await history(b), ['user: hold 1', 'assistant(interrupted): hold 1?', 'user: Two', 'assistant(completed): Two?']);
    assert.deepEqual(outcomes(b.app), { interrupted: 1, completed: 1 });
  });

  it('cut the turn before to what was heard', LIMIT, async () => {
    const b = bench();
    assert.equal(await spoken(b.client.say('One')), 'One?');
    await spoken(b.client.say('Two', { interruption_context: { previous_turn_interrupted: true, words_heard: 1, text_heard: 'On' } }));
    assert.deepEqual(await history(b), ['user: One', 'assistant(interrupted): On', 'user: Two', 'assistant(completed): Two?']);
    assert.deepEqual(b.interrupted.map(({ text }) => text), ['On']);
  });

  it('send a completed turn again without asking the agent', LIMIT, async () => {
    const b = bench();
    assert.equal(await spoken(b.client.say('One', { turn_id: 't1' })), 'One?');
    assert.equal(await spoken(b.client.say('One', { turn_id: 't1' })), 'One?');
    assert.deepEqual(b.runs, ['One']);
    assert.deepEqual(await history(b), ['user: One', 'assistant(completed): One?']);
    assert.deepEqual(outcomes(b.app), { completed: 1, replayed: 1 });
  });

  it('run an interrupted turn anew', LIMIT, async () => {
    const b = bench();
    (await streaming(b.client, 'hold', 't1')).reply.drop();
    await b.store.called(2);
    const stream = await streaming(b.client, 'hold', 't1');
    b.go('hold');
    assert.deepEqual(await stream.rest(), [' Done.', 'response.end']);
    assert.deepEqual(await history(b), ['user: hold', 'assistant(completed): hold? Done.']);
  });

  it('hand a stream over to a newer delivery of its turn', LIMIT, async () => {
    const b = bench();
    const older = await streaming(b.client, 'hold', 't1');
    const newer = await streaming(b.client, 'hold', 't1'); // it is told what was said so far
    assert.deepEqual(await older.rest(), ['response.end']);
    b.go('hold');
    assert.deepEqual(await newer.rest(), [' Done.', 'response.end']);
    assert.deepEqual(b.runs, ['hold']);
    assert.deepEqual(outcomes(b.app), { taken_over: 1, completed: 1 });
  });

  it('hand a stream over while the store still opens the turn', LIMIT, async () => {
    const b = bench();
    b.store.hold();
    const older = spoken(b.client.say('One', { turn_id: 't1' }));
    await b.store.called(1);
    const newer = spoken(b.client.say('One', { turn_id: 't1' }));
    assert.equal(await older, '');
    b.store.release();
    assert.equal(await newer, 'One?');
    assert.deepEqual(b.runs, ['One']);
    assert.deepEqual(await history(b), ['user: One', 'assistant(completed): One?']);
  });

  it('end a turn that the store was still opening when a newer one came', LIMIT, async () => {
    const b = bench();
    b.store.hold();
    const first = spoken(b.client.say('hold 1'));
    await b.store.called(1);
    const second = spoken(b.client.say('Two'));
    await b.store.called(2);
    b.store.release();
    assert.match(await first, /^(hold 1\?)?$/);
    assert.equal(await second, 'Two?');
    const kept = await history(b);
    assert.deepEqual(kept.filter((message) => message !== 'assistant(interrupted): hold 1?'), ['user: hold 1', 'user: Two', 'assistant(completed): Two?']);
    assert.equal(b.app.runningTurns, 0);
  });

  it('give up a turn that the store was still opening when the caller dropped', LIMIT, async () => {
    const b = bench();
    b.store.hold();
    const controller = new AbortController();
    const dropped = post(b, { turn_id: 't1', text: 'One' }, controller.signal);
    await b.store.called(1);
    controller.abort();
    await assert.rejects(dropped);
    await counted(b.app, /^http_requests_total\{method="POST",status="none"\} 1$/m);
    b.store.release();
    while (b.store.calls.filter((name) => name === 'update').length < 2) await b.store.called(b.store.calls.length + 1); // its settlement
    assert.deepEqual(await history(b), ['user: One']);
    assert.deepEqual(b.runs, []);
  });

  it('end one that was begun a moment before a newer one: two barge-ins while the store is asked about the first', LIMIT, async () => {
    // Was: both were begun, and the older went on unknown to anybody, out of reach of every later interruption.
    const b = bench();
    await streaming(b.client, 'hold 1');
    const calls = b.store.calls.length;
    b.store.hold();
    const second = b.client.say('hold 2');
    await b.store.called(calls + 1);
    const third = b.client.say('hold 3');
    await b.store.called(calls + 2);
    b.store.release();
    const stream = new Stream(await third);
    assert.equal(await stream.next(), 'hold 3?');
    assert.equal(b.app.runningTurns, 1);
    assert.match(await spoken(second), /^(hold 2\?)?$/);
    b.go('hold 3');
    assert.deepEqual(await stream.rest(), [' Done.', 'response.end']);
    const kept = await history(b);
    assert.deepEqual(kept.filter((message) => message.startsWith('user')), ['user: hold 1', 'user: hold 2', 'user: hold 3']);
    assert.equal(kept.at(-1), 'assistant(completed): hold 3? Done.');
  });

  it('ask the agent once for a barge-in that is delivered twice while the store is asked about it', LIMIT, async () => {
    const b = bench();
    await streaming(b.client, 'hold 1');
    const calls = b.store.calls.length;
    b.store.hold();
    const older = b.client.say('Two', { turn_id: 't2' });
    await b.store.called(calls + 1);
    const newer = b.client.say('Two', { turn_id: 't2' });
    await counted(b.app, /^layercode_events_total\{event="message"\} 3$/m);
    b.store.release();
    const texts = await Promise.all([spoken(older), spoken(newer)]);
    assert.equal(texts[1], 'Two?');
    assert.deepEqual(b.runs, ['hold 1', 'Two']);
  });

  it('count a request once, and interrupt nothing, when a completed turn was delivered again and its session ended before the store answered', LIMIT, async () => {
    const b = bench();
    await spoken(b.client.say('One', { turn_id: 't1' }));
    await history(b); // behind its settlement
    const calls = b.store.calls.length;
    b.store.hold();
    const again = b.client.say('One', { turn_id: 't1' });
    await b.store.called(calls + 1);
    await b.client.post({ type: 'session.end', session_id: 'test-session', conversation_id: b.client.conversationId });
    b.store.release();
    await spoken(again);
    assert.deepEqual(await history(b), ['user: One', 'assistant(completed): One?']);
    assert.equal(Object.values(outcomes(b.app)).reduce((sum, count) => sum + count, 0), 2, JSON.stringify(outcomes(b.app)));
    assert.deepEqual(b.interrupted, []); // it had completed, and nobody cut it
  });

  it('say a completed turn again beside a newer one, and nothing of an unfinished one', LIMIT, async () => {
    const b = bench();
    await spoken(b.client.say('One', { turn_id: 't1' }));
    (await streaming(b.client, 'hold 2', 't2')).reply.drop();
    await b.store.called(4);
    const third = await streaming(b.client, 'hold 3');
    assert.equal(await spoken(b.client.say('One', { turn_id: 't1' })), 'One?');
    assert.equal(await spoken(b.client.say('hold 2', { turn_id: 't2' })), '');
    b.go('hold 3');
    assert.deepEqual(await third.rest(), [' Done.', 'response.end']);
    assert.deepEqual(b.runs, ['One', 'hold 2', 'hold 3']);
  });

  it('end with their session', LIMIT, async () => {
    const b = bench();
    const stream = await streaming(b.client, 'hold');
    const ended = await b.client.post({ type: 'session.end', session_id: 'test-session', conversation_id: b.client.conversationId });
    assert.deepEqual(await ended.json(), { status: 'ok' });
    assert.deepEqual(await stream.rest(), ['response.end']);
    assert.deepEqual(await history(b), ['user: hold', 'assistant(interrupted): hold?']);
  });

  it('are marked when the call dialect says that a completed one was spoken over', LIMIT, async () => {
    const b = bench();
    const call = { call_id: b.client.conversationId };
    assert.equal(await (await b.client.post({ type: 'transcript', transcript: 'One', ...call })).text(), 'One?');
    await (await b.client.post({ type: 'user_interrupted', ...call })).events();
    assert.deepEqual(await history(b), ['user: One', 'assistant(interrupted): One?']);
    assert.deepEqual(b.interrupted.map(({ text }) => text), ['One?']);
  });

  it('are written down before the store is closed', LIMIT, async () => {
    const b = bench();
    const stream = await streaming(b.client, 'hold');
    await b.app.close();
    assert.deepEqual(await stream.rest(), ['response.end']);
    assert.deepEqual(b.store.calls, ['update', 'update', 'close']);
    assert.deepEqual(b.errors, []);
  });
});

function post(b: Bench, fields: object, signal: AbortSignal): Promise<Response> {
  const body = JSON.stringify({ type: 'message', session_id: 'test-session', conversation_id: b.client.conversationId, ...fields });
  return b.client.origin().then((origin) =>
    fetch(`${origin}/api/agent`, { method: 'POST', headers: { 'content-type': 'application/json', 'layercode-signature': signPayload(body, SECRET) }, body, signal }));
}

describe('turns over a store that fails', () => {
  it('end in the apology, and the next one is well when the store is', LIMIT, async () => {
    const b = bench();
    b.store.failWith = new Error('connection refused');
    assert.equal(await spoken(b.client.say('One')), DEFAULT_APOLOGY);
    assert.deepEqual(b.runs, []);
    b.store.failWith = undefined;
    assert.equal(await spoken(b.client.say('Two')), 'Two?');
    assert.equal(b.errors[0], 'turn failed');
    assert.deepEqual(await history(b), ['user: Two', 'assistant(completed): Two?']);
    assert.deepEqual(outcomes(b.app), { failed: 1, completed: 1 });
  });

  it('end in the apology and the error event of the call dialect', LIMIT, async () => {
    const b = bench();
    b.store.failWith = new Error('connection refused');
    const reply = await b.client.post({ type: 'transcript', transcript: 'One', call_id: 'k' });
    assert.deepEqual((await reply.events()).map(({ type }) => type), ['message', 'error', 'done']);
  });

  it('answer user_interrupted all the same', LIMIT, async () => {
    const b = bench();
    b.store.failWith = new Error('connection refused');
    const reply = await b.client.post({ type: 'user_interrupted', call_id: 'k' });
    assert.deepEqual((await reply.events()).map(({ type }) => type), ['error', 'done']);
  });

  it('are spoken to their end when only their history cannot be written', LIMIT, async () => {
    const b = bench();
    const stream = await streaming(b.client, 'hold');
    b.store.failWith = new Error('disk full');
    b.go('hold');
    assert.deepEqual(await stream.rest(), [' Done.', 'response.end']);
    while (b.errors.length === 0) await new Promise((resolve) => setImmediate(resolve)); // it is tried again, and nothing tells of that
    assert.equal(b.store.calls.length, 5);
    b.store.failWith = undefined;
    await history(b);
    assert.deepEqual(b.errors, ['history not written']);
  });

  it('go on when it cannot be told whether a newer turn is known: it is taken for new', LIMIT, async () => {
    const b = bench();
    const first = await streaming(b.client, 'hold 1');
    b.store.failWith = new Error('connection refused');
    const second = spoken(b.client.say('Two'));
    assert.deepEqual(await first.rest(), ['response.end']);
    assert.equal(await second, DEFAULT_APOLOGY);
    assert.deepEqual(b.aborted, ['hold 1']);
    assert.equal(b.app.runningTurns, 0);
  });

  it('are not begun for a caller that left while it could not be told whether they are known', LIMIT, async () => {
    // Was: the turn was begun, with nobody to tell it that its caller had gone.
    const b = bench();
    const first = await streaming(b.client, 'hold 1');
    const calls = b.store.calls.length;
    b.store.hold();
    const controller = new AbortController();
    const left = post(b, { turn_id: 't2', text: 'hold 2' }, controller.signal);
    await b.store.called(calls + 1);
    controller.abort();
    await assert.rejects(left);
    await counted(b.app, /^http_requests_total\{method="POST",status="none"\} 1$/m);
    b.store.failWith = new Error('connection refused');
    b.store.release();
    await first.rest();
    b.store.failWith = undefined;
    await history(b); // behind all that was asked of the store
    await history(b);
    assert.deepEqual(b.runs, ['hold 1']);
    assert.equal(b.app.runningTurns, 0);
  });

  it('are answered with the apology by a store that throws instead of rejecting', LIMIT, async () => {
    let fails = false;
    const thrower = (name: string): void => {
      if (fails) throw new Error(`${name} failed at once`);
    };
    const b = bench({}, (store) => ({
      read: (id) => (thrower('read'), store.read(id)),
      update: (id, change) => (thrower('update'), store.update(id, change)),
      count: () => store.count(),
      close: () => store.close(),
    }));
    fails = true;
    assert.equal(await spoken(b.client.say('One')), DEFAULT_APOLOGY);
    fails = false;
    const first = await streaming(b.client, 'hold 1');
    fails = true;
    assert.equal(await spoken(b.client.say('Two')), DEFAULT_APOLOGY); // was: the connection was cut, and the caller heard nothing
    assert.deepEqual(await first.rest(), ['response.end']);
    fails = false;
    assert.equal(await spoken(b.client.say('Three')), 'Three?');
  });
});
