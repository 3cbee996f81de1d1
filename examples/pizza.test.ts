// How to test an agent with a model and tools, without the model: node --import tsx --test …
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createApp, parseSettings } from 'layercode-microserver';
import {
  createTestClient, scriptedModel, withModel, type ScriptedAnswer,
} from 'layercode-microserver/testing';

import pizza from './pizza.ts';

const secret = 'any-secret-will-do';
const ADA = { from_phone_number: '+15550100', to_phone_number: '+15550199' };

/** A call in which the model follows the script. */
function call(t: TestContext, ...script: readonly ScriptedAnswer[]) {
  const model = scriptedModel(script);
  const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: secret }, []);
  const caller = createTestClient(createApp(settings, withModel(pizza, model)), { secret });
  t.after(() => caller.close());
  return { model, caller };
}

const funghi: ScriptedAnswer = { call: 'add_pizza', args: { kind: 'funghi', count: 2 } };
const diavola: ScriptedAnswer = { call: 'add_pizza', args: { kind: 'diavola' } };

describe('pizza', () => {
  it('knows its regulars by their numbers', async (t) => {
    const { caller } = call(t);
    assert.equal(await (await caller.start(ADA)).text(), 'Hello Ada, this is the pizza shop!');
  });

  it('keeps the cart from turn to turn', async (t) => {
    const { caller, model } = call(t, funghi, 'Two Funghi.', diavola, 'And a Diavola.');
    await (await caller.say('Two Funghi, please.')).text();
    assert.equal(await (await caller.say('And a Diavola.')).text(), 'And a Diavola.');
    const result = model.requests.at(-1)?.messages.findLast(({ role }) => role === 'tool');
    assert.deepEqual(JSON.parse(result?.content ?? ''), {
      cart: [{ kind: 'funghi', count: 2 }, { kind: 'diavola', count: 1 }],
      totalCents: 3_250,
    });
  });

  it('does not change an order that has been placed', async (t) => {
    const place: ScriptedAnswer = { call: 'place_order', args: { name: 'Ada' } };
    const { caller } = call(t, funghi, place, 'Done.', diavola, 'It is too late for that.');
    await (await caller.say('Two Funghi for Ada.')).text();
    const reply = await caller.say('And a Diavola.');
    assert.equal(await reply.text(), 'It is too late for that.');
    const [refused] = await reply.toolCalls();
    assert.deepEqual(refused?.result, { error: 'the order has been placed and cannot be changed' });
  });

  it('places the order only once, even if the caller confirms it twice', async (t) => {
    const place: ScriptedAnswer = { call: 'place_order', args: { name: 'Ada' } };
    const again: ScriptedAnswer = { call: 'place_order', args: { name: 'Bea' } };
    const { caller } = call(t, place, 'Of what?', funghi, place, 'Done.', again, 'It is coming.');
    const early = await caller.say('For Ada.');
    await early.text();
    assert.deepEqual((await early.toolCalls())[0]?.result, { error: 'the cart is empty' });
    await (await caller.say('Two Funghi.')).text();
    const reply = await caller.say('Yes, place it.');
    assert.equal(await reply.text(), 'It is coming.');
    assert.deepEqual((await reply.toolCalls())[0]?.result, {
      status: 'done before', result: { placedFor: 'Ada', minutes: 20, totalCents: 2_100 },
    });
  });

  it('tells the model that a kind of pizza is unknown', async (t) => {
    const hawaii: ScriptedAnswer = { call: 'add_pizza', args: { kind: 'hawaii' } };
    const { caller, model } = call(t, hawaii, 'We have no Hawaii.');
    await (await caller.say('A Hawaii.')).text();
    assert.match(model.requests[1]?.messages.at(-1)?.content ?? '', /"error":"arguments\.kind: /);
  });

  it('has a prompt for each caller', async (t) => {
    const { caller, model } = call(t, 'Hello.', 'Hello.');
    await (await caller.say('Hi.', ADA)).text();
    await (await caller.say('Hi.', { session_id: 'a-browser' })).text();
    const [known, unknown] = model.requests.map(({ messages: [system] }) => system?.content ?? '');
    assert.match(known ?? '', /number is \+15550100\.$/);
    assert.match(unknown ?? '', /number is unknown: ask for one\.$/);
  });
});
