// The model that users test their agents with.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import { hangUp, tool } from '../../src/agents/tool.ts';
import { withModel } from '../../src/agents/with-model.ts';
import type { ModelDelta } from '../../src/models/model.ts';
import {
  scriptedModel, type ScriptedAnswer, type ScriptedModel,
} from '../../src/models/scripted-model.ts';
import { serve, type Served } from '../fixtures/app.ts';

const addPizza = tool({
  name: 'add_pizza',
  description: 'Puts pizzas into the cart.',
  parameters: {
    type: 'object',
    properties: { kind: { type: 'string' }, count: { type: 'integer' } },
    required: ['kind', 'count'],
  },
  run: ({ kind, count }) => ({ added: `${count} ${kind}` }),
});

/** A pizza agent for the length of a test, which speaks with this model. */
function serveWith(t: TestContext, model: ScriptedModel): Served {
  const pizza = defineAgent({ name: 'pizza', prompt: 'You sell.', tools: [addPizza, hangUp] });
  return serve(t, withModel(pizza, model));
}

async function deltasOf(
  model: ScriptedModel, signal = new AbortController().signal,
): Promise<ModelDelta[]> {
  const deltas: ModelDelta[] = [];
  for await (const delta of model.stream([], { signal })) deltas.push(delta);
  return deltas;
}

describe('scriptedModel', () => {
  it('says what its script says, one answer per request', async (t) => {
    const { client } = serveWith(t, scriptedModel(['Hello there.', 'Goodbye.']));
    assert.equal(await (await client.say('Hi.')).text(), 'Hello there.');
    assert.equal(await (await client.say('Bye.')).text(), 'Goodbye.');
  });

  it('calls a tool, and is asked again with the result', async (t) => {
    const args = { kind: 'funghi', count: 2 };
    const model = scriptedModel([{ call: 'add_pizza', args }, 'Two Funghi.']);
    const { client } = serveWith(t, model);
    assert.equal(await (await client.say('Two Funghi, please.')).text(), 'Two Funghi.');
    assert.deepEqual(model.requests[1]?.messages.slice(2), [
      {
        role: 'assistant',
        content: '',
        toolCalls: [{ id: 'call_1', name: 'add_pizza', args: JSON.stringify(args) }],
      },
      { role: 'tool', toolCallId: 'call_1', content: '{"added":"2 funghi"}' },
    ]);
  });

  it('speaks and calls several tools in one answer', async (t) => {
    const model = scriptedModel([
      [
        'Let me see. ',
        { call: 'add_pizza', args: { kind: 'funghi', count: 1 } },
        { call: 'add_pizza', args: { kind: 'margherita', count: 1 } },
      ],
      'Done.',
    ]);
    const { client } = serveWith(t, model);
    assert.equal(await (await client.say('One of each.')).text(), 'Let me see. Done.');
    const results = model.requests[1]?.messages.filter(({ role }) => role === 'tool');
    assert.deepEqual(results?.map(({ content }) => content), [
      '{"added":"1 funghi"}', '{"added":"1 margherita"}',
    ]);
  });

  it('calls a tool without arguments', async () => {
    const [delta] = await deltasOf(scriptedModel([{ call: 'look' }]));
    assert.deepEqual(delta, { type: 'toolCall', call: { id: 'call_1', name: 'look', args: '{}' } });
  });

  it('gives its calls ids that are unique in the script', async () => {
    const model = scriptedModel([[{ call: 'a' }, { call: 'b' }], { call: 'a' }]);
    const deltas = [...(await deltasOf(model)), ...(await deltasOf(model))];
    const ids = deltas.flatMap((delta) => (delta.type === 'toolCall' ? [delta.call.id] : []));
    assert.deepEqual(ids, ['call_1', 'call_2', 'call_3']);
  });

  it('streams its texts word by word, and loses no blank', async () => {
    const deltas = await deltasOf(scriptedModel(['  Two Funghi,\nplease. ']));
    const texts = deltas.flatMap((delta) => (delta.type === 'text' ? [delta.text] : []));
    assert.deepEqual(texts, ['  Two', ' Funghi,', '\nplease.', ' ']);
  });

  it('keeps what it was shown, as it was then', async (t) => {
    const model = scriptedModel([
      { call: 'add_pizza', args: { kind: 'funghi', count: 2 } }, 'Two Funghi.',
    ]);
    const { client } = serveWith(t, model);
    await (await client.say('Two Funghi, please.')).text();
    const { name, description, parameters } = addPizza;
    assert.equal(model.requests.length, 2);
    assert.deepEqual(model.requests[0]?.messages, [
      { role: 'system', content: 'You sell.' },
      { role: 'user', content: 'Two Funghi, please.' },
    ]);
    assert.deepEqual(model.requests[0]?.tools[0], { name, description, parameters });
    assert.deepEqual(model.requests[0]?.tools.map((shown) => shown.name), ['add_pizza', 'hang_up']);
  });

  it('was shown no tools if none were offered', async () => {
    const model = scriptedModel(['Hi.']);
    await deltasOf(model);
    assert.deepEqual(model.requests, [{ messages: [], tools: [] }]);
  });

  it('reports one request without tokens to the log line', async (t) => {
    const { client, logLines } = serveWith(t, scriptedModel(['Hi.']));
    await (await client.say('Hi.')).text();
    await client.close();
    const line = logLines.find((text) => text.includes('"msg":"request"'));
    assert.match(line ?? '', /"model":"scripted:model","modelRequests":1/);
  });

  it('ends quietly once its signal has fired', async () => {
    assert.deepEqual(await deltasOf(scriptedModel(['Hi.']), AbortSignal.abort()), []);
  });

  it('fails the turn when the script runs out after a tool, and says so', async (t) => {
    const args = { kind: 'funghi', count: 2 };
    const { client, logLines } = serveWith(t, scriptedModel([{ call: 'add_pizza', args }]));
    assert.match(await (await client.say('Two.')).text(), /^Sorry, something went wrong/);
    const said = 'the script of scriptedModel has 1 answer, and the model was asked once more, '
      + "after a tool's result";
    assert.ok(logLines.some((line) => line.includes(said)), logLines.join(''));
  });

  it('fails the turn when the script runs out after what the caller said', async (t) => {
    const { client, logLines } = serveWith(t, scriptedModel([]));
    await (await client.say('Two.')).text();
    const said = "has 0 answers, and the model was asked once more, after the caller's words";
    assert.ok(logLines.some((line) => line.includes(said)), logLines.join(''));
  });

  const wrong: readonly (readonly [script: unknown, message: RegExp])[] = [
    ['Hi.', /^scriptedModel takes a list of answers, got string$/],
    [['Hi.', 7], /^answer 2 of scriptedModel must be a text, \{ call, args \} or a list of these$/],
    [[null], /^answer 1 of scriptedModel must be a text/],
    [[[['Hi.']]], /^answer 1 of scriptedModel must be a text/],
    [[{ call: 7 }], /^answer 1 of scriptedModel must be a text/],
    [[{ call: 'a', arguments: {} }], /^answer 1 of scriptedModel has a field "arguments"; a call/],
    [[{ call: 'a', args: [1] }], /^answer 1 of scriptedModel: args must be an object$/],
    [[{ call: 'a', args: '{}' }], /^answer 1 of scriptedModel: args must be an object$/],
    [[{ call: 'a', args: null }], /^answer 1 of scriptedModel: args must be an object$/],
  ];
  for (const [script, message] of wrong) {
    it(`refuses ${JSON.stringify(script)}`, () => {
      const make = (): ScriptedModel => scriptedModel(script as readonly ScriptedAnswer[]);
      assert.throws(make, { name: 'TypeError', message });
    });
  }
});
