// The options of an agent that speaks through a model, from its definition to the vendor.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { getAgent } from '../../../src/core/agents/built-in/registry.ts';
import { defineAgent, type AgentDefinition } from '../../../src/core/agents/define-agent.ts';
import { says } from '../../faults/model-server.ts';
import { calls, modelServer, serveAgent, serveModel, spoken } from './model-app.ts';
import { looking } from './weather-tool.ts';

const part = { name: 'shop', prompt: 'Be brief.', model: 'groq:llama' };

describe('the options of an agent', () => {
  it('reach the vendor', async (t) => {
    const groq = await modelServer(t, says('Yes.'));
    const agent = defineAgent({
      ...part,
      temperature: 0.3,
      maxOutputTokens: 80,
      reasoningEffort: 'low',
      providerOptions: { groq: { service_tier: 'flex' } },
    });
    const { client } = serveAgent(t, agent, { groq }, { TEMPERATURE: '1', MAX_OUTPUT_TOKENS: '9' });
    await spoken(client.say('Hi'));
    const { temperature, max_tokens: most, reasoning_effort: effort, service_tier: tier } =
      groq.requests[0]?.body ?? {};
    assert.deepEqual([temperature, most, effort, tier], [0.3, 80, 'low', 'flex']);
  });

  it('require a tool call in the first request of a turn only', async (t) => {
    const groq = await modelServer(t, calls([['1', 'look', '{}']]), says('Yes.'));
    const agent = defineAgent({ ...part, tools: [looking()], toolChoice: 'required' });
    const { client } = serveAgent(t, agent, { groq });
    for (const text of ['one', 'two']) await spoken(client.say(text));
    const choices = groq.requests.map(({ body }) => body['tool_choice']);
    assert.deepEqual(choices, ['required', undefined, 'required']);
  });

  for (const name of ['starter', 'relay']) {
    it(`are those in the settings for the built-in agent ${name}`, async (t) => {
      const environment = {
        DEFAULT_MODEL: 'openai:gpt-4o', TEMPERATURE: '0.4', MAX_OUTPUT_TOKENS: '70',
      };
      const { client, server } = await serveModel(t, getAgent(name), [says('Yes.')], environment);
      await spoken(client.say('Hi'));
      assert.ok(server.requests.length > 0);
      for (const { body } of server.requests)
        assert.deepEqual([body['temperature'], body['max_completion_tokens']], [0.4, 70]);
    });
  }

  for (const [options, message] of [
    [{ temperature: 2.1 }, 'temperature must be a number from 0 to 2, got 2.1'],
    [{ temperature: NaN }, 'temperature must be a number from 0 to 2, got NaN'],
    [{ maxOutputTokens: 0 }, 'maxOutputTokens must be a whole number of at least 1, got 0'],
    [{ maxOutputTokens: 1.5 }, 'maxOutputTokens must be a whole number of at least 1, got 1.5'],
    [{ reasoningEffort: 'a lot' }, 'reasoningEffort must be a word like low, got a lot'],
    [{ toolChoice: 'any' }, "toolChoice must be 'auto', 'none' or 'required', got any"],
    [{ providerOptions: [] }, 'providerOptions must be an object keyed by provider'],
    [{ providerOptions: { opnai: {} } }, 'providerOptions: unknown provider "opnai"; known providers:'],
    [{ providerOptions: { openai: 1 } }, 'providerOptions.openai must be an object'],
    [{ providerOptions: { openai: { model: 'x' } } }, 'providerOptions.openai cannot set model'],
    [{ providerOptions: { openai: { stream: false } } }, 'providerOptions.openai cannot set stream'],
    [{ providerOptions: { openai: { a: [() => 1] } } }, 'providerOptions: openai.a[0] is a function'],
  ] as const) {
    it(`are refused with ${message}`, () => {
      assert.throws(
        () => defineAgent({ ...part, ...options } as AgentDefinition),
        ({ name, message: text }: Error) =>
          name === 'TypeError' && text.startsWith(`agent "shop": ${message}`),
      );
    });
  }
});

describe('an option that the model refuses', () => {
  it('is logged once', async (t) => {
    const agent = defineAgent({ ...part, model: 'openai:gpt-6-astra', temperature: 0.3 });
    const { client, logLines } = await serveModel(t, agent, [says('Yes.')]);
    for (const text of ['one', 'two']) await spoken(client.say(text));
    const warnings = logLines.filter((line) => line.includes('takes no temperature'));
    assert.equal(warnings.length, 1);
    assert.match(String(warnings[0]), /"level":"warn","msg":"model"/);
  });
});
