// A bank that is slow, declines, or breaks off, and a model that calls tools carelessly.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { createApp, createLogger, NotDone, parseSettings } from 'layercode-microserver';
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
