// A reply that the model's limit has cut, which used to be reported as complete everywhere.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent, type AgentDefinition } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { stream, type Answer } from '../../faults/model-server.ts';
import { chunk, DONE, usageChunk } from '../../faults/wire-shapes.ts';
import { serve } from '../../fixtures/app.ts';
import { serveModel, spoken, type ModelApp } from './model-app.ts';
import { looking } from './weather-tool.ts';

/** A reply that ends with this finish reason of the vendor. */
function ended(reason: string, ...texts: readonly string[]): Answer {
  const said = texts.map((content) => chunk({ content }));
  return stream(chunk({ content: '' }), ...said, chunk({}, reason), usageChunk(5, 9), DONE);
}

const TEXTS = ['We open', ' at nine.', ' On Sun', 'days we'];
const part: AgentDefinition = { name: 'shop', prompt: 'Be brief.' };

function finishReasonsOf({ logLines }: Pick<ModelApp, 'logLines'>): unknown[] {
  const lines = logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return lines.filter(({ msg }) => msg === 'request').map((line) => line['finishReason']);
}

describe('a reply that is cut at the model\'s limit', () => {
  // Reasons of OpenAI, Mistral, and gateways that pass on those of Anthropic, Google and OpenAI's
  // other API.
  const reasons = [
    'length', 'model_length', 'max_tokens', 'MAX_TOKENS', 'max_output_tokens',
    'model_context_window_exceeded',
  ];
  const others = ['stop', 'tool_calls', 'eos', 'overlength'];

  it('is reported in the log and in a metric, whatever the vendor calls it', async (t) => {
    const script = [...reasons, ...others].map((reason) => ended(reason, ...TEXTS));
    const served = await serveModel(t, defineAgent(part), script as [Answer, ...Answer[]]);
    for (const _ of script) assert.equal(await spoken(served.client.say('When?')), TEXTS.join(''));
    assert.deepEqual(finishReasonsOf(served), [
      ...reasons.map(() => 'length'), ...others.map(() => undefined),
    ]);
    const model = 'layercode_model_requests_total{model="openai:gpt-6-luna"';
    const text = served.app.metrics.text();
    assert.ok(text.includes(`${model},outcome="length"} ${reasons.length}\n`), text);
    assert.ok(text.includes(`${model},outcome="completed"} ${others.length}\n`), text);
  });
});

describe('wholeSentences', () => {
  const whole = defineAgent({ ...part, wholeSentences: true });

  it('leaves out what follows the last whole sentence of a cut reply', async (t) => {
    const { client, messages } = await serveModel(t, whole, [ended('length', ...TEXTS)]);
    assert.equal(await spoken(client.say('When?')), 'We open at nine.');
    assert.equal((await messages()).at(-1)?.content, 'We open at nine.');
  });

  it('keeps what precedes a call in whose arguments the reply was cut', async (t) => {
    const asks = ['One. Let me look', { call: 'look' }, { cut: true }] as const;
    const script = scriptedModel([asks, 'It rains.']);
    const agent = defineAgent({ ...part, tools: [looking()], wholeSentences: true });
    const { client } = serve(t, withModel(agent, script));
    assert.equal(await (await client.say('When?')).text(), 'One. Let me look It rains.');
  });

  it('keeps all of a reply that is not cut', async (t) => {
    const { client } = await serveModel(t, whole, [ended('stop', ...TEXTS)]);
    assert.equal(await spoken(client.say('When?')), TEXTS.join(''));
  });
});
