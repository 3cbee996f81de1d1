// A bank that is slow, declines, or breaks off, and a model that calls tools carelessly.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import {
  createApp, createLogger, emptyConversation, NotDone, parseSettings, type Conversation,
  type ConversationStore,
} from 'layercode-microserver';
import {
  createTestClient, scriptedModel, withModel, type ScriptedAnswer,
} from 'layercode-microserver/testing';

import { cashier } from './cashier.ts';

const secret = 'whsec_test';
const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: secret, FILLER_AFTER_MS: '50' }, []);

const args = { invoice: '4711' };
const quote = { call: 'quote', args };
const pay = { call: 'pay', args };
const refund = { call: 'refund', args };
const paid = { receipt: 'r1' };

/** A call to a cashier whose bank charges like this, and whose model follows this script. */
function call(
  t: TestContext,
  charge: () => Promise<{ receipt: string }>,
  script: readonly ScriptedAnswer[],
) {
  const keys: string[] = []; // given to the bank
  const lines: string[] = [];
  const log = createLogger({
    level: 'error',
    format: 'json',
    write: (text) => void lines.push(text),
  });
  const agent = cashier({
    charge: ({ key }) => (keys.push(key), charge()),
    refund: async ({ key }) => (keys.push(key), { receipt: 'r2' }),
  });
  const app = createApp(settings, withModel(agent, scriptedModel(script)), { log });
  const caller = createTestClient(app, { secret });
  t.after(() => caller.close());
  /** What the tools returned in a turn with these words. */
  const results = async (words: string): Promise<unknown[]> => {
    const calls = await (await caller.say(words)).toolCalls();
    return calls.map(({ result }) => result);
  };
  return { app, caller, keys, lines, results };
}

test('nothing is paid in the turn that quotes the price', async (t) => {
  const script = [quote, pay, 'That is 42 euros. Shall I pay?', pay, 'Paid.'];
  const { keys, results } = call(t, async () => paid, script);
  const [, refused] = await results('Invoice 4711, please.');
  assert.deepEqual(refused, { error: 'tell the price, and wait for the answer' });
  assert.deepEqual(keys, []);
  assert.deepEqual(await results('Yes.'), [paid]);
});

test('an invoice is paid once, and refunded once', async (t) => {
  const script = [quote, '42 euros?', pay, 'Paid.', pay, 'It is paid.', refund, refund, 'Done.'];
  const { keys, results } = call(t, async () => paid, script);
  await results('Invoice 4711, please.');
  assert.deepEqual(await results('Yes.'), [paid]);
  assert.deepEqual(await results('Did you pay?'), [{ status: 'done before', result: paid }]);
  const back = { receipt: 'r2' };
  assert.deepEqual(await results('I want my money back.'), [back, back]);
  assert.equal(new Set(keys).size, 2); // one for the payment, and one for the refund
  assert.equal(keys.length, 2);
});

test('a caller who goes on talking while the bank is slow pays only once', async (t) => {
  let answer = (_receipt: { receipt: string }): void => undefined;
  const answered = new Promise<{ receipt: string }>((resolve) => (answer = resolve));
  const script = [quote, '42 euros?', pay, pay, 'Paid.'];
  const { caller, keys, results } = call(t, () => answered, script);
  await results('Invoice 4711, please.');

  for await (const { type, content } of await caller.say('Yes.')) {
    if (type !== 'response.tts') continue; // the browser is told that the tool is running
    assert.match(String(content), /^One moment, please\./); // the filler
    break; // the caller speaks over it
  }
  const reply = await caller.say('Are you still there?'); // the model calls pay again
  answer(paid);
  assert.deepEqual((await reply.toolCalls()).map(({ result }) => result), [paid]);
  assert.equal(keys.length, 1);
});

test('after a declined card, another may be tried, with a new key', async (t) => {
  const script = [quote, '42 euros?', pay, 'Declined.', pay, 'Paid.'];
  const answers = [() => Promise.reject(new NotDone('the bank declined it')), async () => paid];
  const { keys, results } = call(t, () => answers.shift()?.() ?? assert.fail(), script);
  await results('Invoice 4711, please.');
  assert.deepEqual(await results('Yes.'), [{ error: 'the bank declined it' }]);
  assert.deepEqual(await results('Try my other card.'), [paid]);
  assert.equal(new Set(keys).size, 2);
});

test('a payment of unknown outcome is logged, counted, and not tried again', async (t) => {
  const script = [quote, '42 euros?', pay, 'A colleague will call.', pay, 'He will call.'];
  const broken = () => Promise.reject(new Error('socket hang up'));
  const { app, keys, lines, results } = call(t, broken, script);
  await results('Invoice 4711, please.');
  assert.deepEqual(await results('Yes.'), [{ error: 'outcome unknown' }]);
  assert.deepEqual(await results('Try again.'), [{ error: 'outcome unknown' }]);

  assert.equal(keys.length, 1);
  const [line, ...others] = lines.map((text) => JSON.parse(text));
  assert.equal(line.msg, 'the outcome of a tool call is unknown');
  assert.ok(keys[0]?.startsWith(line.idempotencyKey));
  assert.deepEqual(others, []);
  assert.match(app.metrics.text(), /^layercode_tool_outcomes_unknown_total\{tool="pay"\} 1$/m);
});

/** A store of two processes. It is slow to write the first quote; `isAsked` says that it has it. */
class StallingStore implements ConversationStore {
  readonly isShared = true;
  readonly isAsked: Promise<void>;
  goOn = (): void => undefined;
  #asked = (): void => undefined;
  readonly #goesOn: Promise<void>;
  readonly #texts = new Map<string, string>();

  constructor() {
    this.isAsked = new Promise((resolve) => (this.#asked = resolve));
    this.#goesOn = new Promise((resolve) => (this.goOn = resolve));
  }

  read(id: string): Conversation | undefined {
    const text = this.#texts.get(id);
    return text === undefined ? undefined : (JSON.parse(text) as Conversation);
  }

  async update<T>(id: string, change: (conversation: Conversation) => T): Promise<T> {
    const tried = this.read(id) ?? emptyConversation(id);
    change(tried);
    if (tried.state?.includes('"quote":')) {
      this.#asked();
      await this.#goesOn;
    }
    const conversation = this.read(id) ?? emptyConversation(id);
    const result = change(conversation);
    this.#texts.set(id, JSON.stringify(conversation));
    return result;
  }

  count(): number {
    return this.#texts.size;
  }

  close(): void {}
}

test('a price that was told while the order changed in another process is not paid', async (t) => {
  const store = new StallingStore();
  const charged: number[] = [];
  const agent = cashier({
    charge: async ({ cents }) => (charged.push(cents), paid),
    refund: () => assert.fail(),
  });
  const [a, b] = [
    [{ call: 'express', args }, 'By express, then.'],
    [quote, '42 euros?', pay, 'The price has changed.', quote, '51 euros?', pay, 'Paid.'],
  ].map((script) => {
    const app = createApp(settings, withModel(agent, scriptedModel(script)), { store });
    const caller = createTestClient(app, { secret, conversationId: 'call-1' });
    t.after(() => caller.close());
    return async (words: string): Promise<unknown[]> =>
      (await (await caller.say(words)).toolCalls()).map(({ result }) => result);
  });
  assert.ok(a && b);

  const told = b('What does 4711 cost?');
  await store.isAsked;
  await a('And by express, please.');
  store.goOn();
  assert.deepEqual(await told, [{ cents: 4_200 }]);
  const error = 'the price has changed: call quote, and tell the new one';
  assert.deepEqual(await b('Yes.'), [{ error }]);
  assert.deepEqual(charged, []);
  assert.deepEqual(await b('What is it now?'), [{ cents: 5_100 }]);
  assert.deepEqual(await b('Yes.'), [paid]);
  assert.deepEqual(charged, [5_100]);
});
