// What a turn cost, in its log line and in the metrics.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import type { ChatModel, ModelTokens } from '../../../src/core/models/model.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { callOver, modelServer, serveAgent, spoken } from '../../core/agents/model-app.ts';
import { fails, rateLimits, silentAfter, stream } from '../../faults/model-server.ts';
import { chunk, DONE, OPENAI_REFUSED, usageChunk } from '../../faults/wire-shapes.ts';
import { serve } from '../../fixtures/app.ts';
import { requestLines } from '../../fixtures/completions.ts';

const agent = defineAgent({ name: 'plain', prompt: 'Be brief.' });
const PRICES = '{"openai:gpt-6-luna":{"input":1000,"cachedInput":500,"output":10000}}';

function answering(prompt: number, completion: number) {
  return stream(
    chunk({ content: 'Yes.' }), chunk({}, 'stop'), usageChunk(prompt, completion), DONE);
}

function samples(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`${name}{`));
}

/** A custom model that reports using these tokens. */
function using(name: string, tokens: ModelTokens): ChatModel {
  return {
    name,
    async *stream() {
      yield { type: 'text', text: 'Yes.' };
      yield { type: 'usage', model: name, ...tokens, firstDeltaMs: 1 };
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

describe('the cost of a turn', () => {
  it('is in its log line and in the metrics', async (t) => {
    const server = await modelServer(t, answering(100, 20));
    const served = serveAgent(t, agent, { openai: server }, { MODEL_PRICES: PRICES });
    await spoken(served.client.say('one'));
    const [line] = await requestLines(served.logLines);
    assert.deepEqual([line?.['inputTokens'], line?.['outputTokens']], [100, 20]);
    assert.equal(line?.['cost'], 0.3);
    assert.equal(line?.['tokensEstimated'], undefined);
    assert.deepEqual(samples(served.app.metrics.text(), 'layercode_model_cost_total'), [
      'layercode_model_cost_total{model="openai:gpt-6-luna"} 0.3',
    ]);
  });

  it('has a lower price for cached input, by MODEL_PRICES and by the default table', async (t) => {
    const model = using('openai:gpt-6-luna', {
      inputTokens: 100_000, outputTokens: 0, cachedTokens: 40_000,
    });
    for (const [environment, cost] of [[{ MODEL_PRICES: PRICES }, 80], [{}, 0.0064]] as const) {
      const served = serve(t, withModel(agent, model), { environment });
      await spoken(served.client.say('one'));
      assert.equal((await requestLines(served.logLines))[0]?.['cost'], cost);
    }
  });

  it('is left out for a model without a price, which the log says once', async (t) => {
    const model = using('own:model', { inputTokens: 100, outputTokens: 1 });
    const served = serve(t, withModel(agent, model));
    for (const words of ['one', 'two']) await spoken(served.client.say(words));
    const lines = await requestLines(served.logLines, 2);
    assert.deepEqual(lines.map(({ cost }) => cost), [undefined, undefined]);
    const told = served.logLines.filter((line) => line.includes('a model has no price'));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /"model":"own:model","hint":"add it to MODEL_PRICES"/);
    assert.deepEqual(samples(served.app.metrics.text(), 'layercode_model_cost_total'), []);
  });

  it('needs no price if a script speaks, or if a model reports no tokens', async (t) => {
    const silent = using('own:model', { inputTokens: undefined, outputTokens: undefined });
    const models = [[scriptedModel(['One.']), true], [silent, undefined]] as const;
    for (const [model, isEstimated] of models) {
      const served = serve(t, withModel(agent, model));
      await spoken(served.client.say('one'));
      const [line] = await requestLines(served.logLines);
      assert.equal(line?.['tokensEstimated'], isEstimated);
      assert.doesNotMatch(served.logLines.join(''), /no price/);
    }
  });
});

describe('a request whose usage is not reported in full', () => {
  const environment = { MODEL_PRICES: PRICES };

  /** The caller leaves a turn whose model has said this, and no more. */
  async function cutOff(t: TestContext, said: string) {
    const server = await modelServer(t, silentAfter(said));
    const served = serveAgent(t, agent, { openai: server }, environment);
    const caller = await callOver(served);
    await caller.read((text) => text.includes('Hello'));
    caller.socket.destroy();
    const [line] = await requestLines(served.logLines);
    return { server, served, line };
  }

  it('counts with an estimate of what was sent and received if it is cut off', async (t) => {
    const { server, served, line } = await cutOff(t, chunk({ content: 'Hello there' }));
    const sent = JSON.stringify(server.requests[0]?.body).length;
    assert.equal(line?.['outcome'], 'interrupted');
    assert.equal(line?.['inputTokens'], Math.ceil(sent / 4));
    assert.equal(line?.['outputTokens'], 3); // 11 characters
    assert.equal(line?.['tokensEstimated'], true);
    assert.equal(line?.['modelRequests'], 1);
    assert.equal(line?.['model'], 'openai:gpt-6-luna');
    assert.equal(line?.['cost'], Math.ceil(sent / 4) / 1_000 + 3 / 100);
    const text = served.app.metrics.text();
    const counted = 'layercode_model_estimated_tokens_total{model="openai:gpt-6-luna",direction=';
    assert.deepEqual(samples(text, 'layercode_model_estimated_tokens_total'), [
      `${counted}"input"} ${Math.ceil(sent / 4)}`, `${counted}"output"} 3`,
    ]);
    assert.deepEqual(samples(text, 'layercode_model_tokens_total'), []);
  });

  // Previously only the per-call limits counted such answers; elsewhere they showed as 0 tokens.
  it('counts with an estimate if its vendor reports nothing at the end', async (t) => {
    const unreported = stream(chunk({ content: 'Hello there' }), chunk({}, 'stop'), DONE);
    const server = await modelServer(t, unreported);
    const served = serveAgent(t, agent, { openai: server }, environment);
    await spoken(served.client.say('one'));
    const [line] = await requestLines(served.logLines);
    const sent = Math.ceil(JSON.stringify(server.requests[0]?.body).length / 4);
    assert.deepEqual([line?.['inputTokens'], line?.['outputTokens']], [sent, 3]);
    assert.equal(line?.['modelRequests'], 1);
    assert.equal(line?.['tokensEstimated'], true);
    assert.equal(line?.['cost'], sent / 1_000 + 3 / 100);
    const text = served.app.metrics.text();
    assert.deepEqual(samples(text, 'layercode_model_tokens_total'), []);
    assert.equal(samples(text, 'layercode_model_estimated_tokens_total').length, 2);
  });

  it('counts with what the vendor had reported before the cut, not with an estimate', async (t) => {
    const said = chunk({ content: 'Hello' }).replace('"choices"',
      '"usage":{"prompt_tokens":9,"completion_tokens":2},"choices"');
    const { line } = await cutOff(t, said);
    assert.deepEqual([line?.['inputTokens'], line?.['outputTokens']], [9, 2]);
    assert.equal(line?.['tokensEstimated'], undefined);
    assert.equal(line?.['cost'], 0.029);
  });

  it('counts nothing if the vendor has refused it', async (t) => {
    const server = await modelServer(t, fails(401, OPENAI_REFUSED));
    const served = serveAgent(t, agent, { openai: server }, environment);
    await spoken(served.client.say('one'));
    const [line] = await requestLines(served.logLines);
    assert.equal(line?.['outcome'], 'failed');
    assert.deepEqual([line?.['inputTokens'], line?.['cost']], [undefined, undefined]);
  });

  it('adds nothing to an answer that came on the second attempt', async (t) => {
    const server = await modelServer(t, rateLimits({ 'retry-after': '0' }), answering(100, 20));
    const served = serveAgent(t, agent, { openai: server }, environment);
    await spoken(served.client.say('one'));
    const [line] = await requestLines(served.logLines);
    assert.deepEqual([line?.['inputTokens'], line?.['modelRequests']], [100, 1]);
  });
});
