// What a model is asked for besides its messages, and what becomes of options that it refuses.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ChatModel, ModelStreamOptions } from '../../../src/core/models/model.ts';
import { openModel } from '../../../src/core/models/open-model.ts';
import { parseModelName } from '../../../src/core/models/providers.ts';
import { fails, says, stream, type Answer, type ModelServer } from '../../faults/model-server.ts';
import { chunk, DONE, event } from '../../faults/wire-shapes.ts';
import { answered, serve } from './chat-completions-server.ts';
import { HELLO, KEY, modelAt, read } from './reading.ts';

const SEED = { providerOptions: { mistral: { seed: 7 } } };
const TOOLS = [{ name: 'look', description: 'Looks', parameters: { type: 'object' } }];
/** Fields that every body has. */
const FIXED = ['model', 'messages', 'stream', 'stream_options'];

/** A model with that name, and the server that answers it. */
async function served(
  name: string, ...script: Parameters<typeof serve>
): Promise<{ readonly server: ModelServer; readonly model: ChatModel }> {
  const server = await serve(...script);
  return { server, model: modelAt(server.url, { name }) };
}

/** What a request has besides its messages. */
async function fieldsOf(
  name: string, options: Partial<ModelStreamOptions>,
): Promise<Record<string, unknown>> {
  const { server, model } = await served(name, says('Hi'));
  await read(model, options);
  const { body } = await server.request(0);
  return Object.fromEntries(Object.entries(body).filter(([field]) => !FIXED.includes(field)));
}

describe('the options of a request', () => {
  for (const [name, options, fields] of [
    ['groq:llama', {}, {}],
    ['groq:llama', { temperature: 0 }, { temperature: 0 }],
    ['groq:llama', { maxOutputTokens: 50 }, { max_tokens: 50 }],
    ['openai:gpt-4o', { maxOutputTokens: 50 }, { max_completion_tokens: 50 }],
    ['openai:gpt-6-luna', {}, { reasoning_effort: 'none' }],
    ['openai:gpt-6-luna', { reasoningEffort: 'high' }, { reasoning_effort: 'high' }],
    ['groq:llama', { toolChoice: 'required' }, {}],
    ['groq:llama', { providerOptions: { groq: { seed: 7 } } }, { seed: 7 }],
    ['groq:llama', { providerOptions: { openai: { seed: 7 } } }, {}],
    [
      'groq:llama',
      { temperature: 0.3, providerOptions: { groq: { temperature: 1 } } },
      { temperature: 1 },
    ],
  ] as const) {
    it(
      `become ${JSON.stringify(fields)} for ${name} if given as ${JSON.stringify(options)}`,
      async () => {
        assert.deepEqual(await fieldsOf(name, options), fields);
      },
    );
  }

  for (const [name, toolChoice, sent, isOffered] of [
    ['groq:llama', 'auto', undefined, true],
    ['groq:llama', 'none', 'none', true],
    ['groq:llama', 'required', 'required', true],
    ['ollama:llama3.2', 'required', undefined, true],
    ['ollama:llama3.2', 'none', undefined, false],
  ] as const) {
    const what = isOffered ? 'with its tools' : 'without tools, as it may not call one';
    it(`ask ${name} for tool_choice ${sent} when it is ${toolChoice}, ${what}`, async () => {
      const fields = await fieldsOf(name, { tools: TOOLS, toolChoice });
      assert.deepEqual([fields['tool_choice'], fields['tools'] !== undefined], [sent, isOffered]);
    });
  }

  it('cannot replace the model, its messages, tools or streaming', async () => {
    const server = await serve(says('Hi'));
    const groq = { model: 'other', messages: [], tools: [], stream: false, seed: 7 };
    await read(modelAt(server.url, { name: 'groq:llama' }), { providerOptions: { groq } });
    const { model, messages, tools, stream: isStreamed, seed } = (await server.request(0)).body;
    assert.deepEqual([model, messages, tools], ['llama', HELLO, undefined]);
    assert.deepEqual([isStreamed, seed], [true, 7]);
  });

  it('are those in the settings if the request has none', async () => {
    const server = await serve(says('Hi'));
    const { model } = openModel({
      names: ['groq:llama'],
      environment: { GROQ_API_KEY: KEY, GROQ_BASE_URL: server.url },
      defaults: { temperature: 0.2, maxOutputTokens: 90 },
    });
    await read(model);
    await read(model, { temperature: 1, maxOutputTokens: 5 });
    assert.deepEqual(
      server.requests.map(({ body }) => [body['temperature'], body['max_tokens']]),
      [[0.2, 90], [1, 5]],
    );
  });
});

describe('prompt_cache_key', () => {
  /** The body that the vendor's own address gets. */
  async function bodyAt(environment: Record<string, string>, name: string): Promise<string> {
    let sent = '';
    const { model } = openModel({
      names: [name],
      environment: { OPENAI_API_KEY: KEY, GROQ_API_KEY: KEY, ...environment },
      fetch: async (_url, init) => {
        sent = String(init?.body);
        return new Response(chunk({ content: 'Hi' }, 'stop'));
      },
    });
    await read(model, { cacheKey: 'conversation-1' });
    return sent;
  }

  it('goes to OpenAI as 32 meaningless characters', async () => {
    const body = JSON.parse(await bodyAt({}, 'openai:gpt-6-luna')) as Record<string, unknown>;
    assert.match(String(body['prompt_cache_key']), /^[0-9a-f]{32}$/);
  });

  it('goes neither to another server that speaks the same API nor to other vendors', async () => {
    for (const body of [
      await bodyAt({ OPENAI_BASE_URL: 'http://localhost:1/v1' }, 'openai:gpt-6-luna'),
      await bodyAt({}, 'groq:llama'),
    ])
      assert.equal(body.includes('prompt_cache_key'), false);
  });
});

describe('what a model refuses', () => {
  const openaiRefusal = (param: string): Answer =>
    fails(
      400,
      JSON.stringify({
        error: {
          message: `Unsupported value: '${param}' does not support 0.3 with this model.`,
          type: 'invalid_request_error', param, code: 'unsupported_value',
        },
      }),
    );
  const mistralRefusal = (field: string): Answer =>
    fails(
      422,
      JSON.stringify({
        object: 'error',
        message: { detail: [{ type: 'extra_forbidden', loc: ['body', field], input: 50 }] },
        type: 'invalid_request_error', param: null, code: null,
      }),
    );

  it('is left out from the start if the table says so, with one warning', async () => {
    const told: string[] = [];
    const onProblem = (problem: string): number => told.push(problem);
    const { server, model } = await served('openai:gpt-6-astra', says('Hi'));
    for (const _ of [1, 2]) await read(model, { temperature: 0.3, onProblem });
    assert.deepEqual(server.requests.map(({ body }) => 'temperature' in body), [false, false]);
    assert.deepEqual(told, ['openai:gpt-6-astra takes no temperature: it is left out']);
  });

  for (const [model, isTaken] of [
    ['gpt-5', false], ['gpt-5-mini', false], ['gpt-5-nano-2025-08-07', false], ['o3', false],
    ['o4-mini', false], ['gpt-5-chat-latest', true], ['gpt-5.1', true], ['gpt-5.4-mini', true],
    ['gpt-4o', true], ['gpt-4.1', true], ['gpt-6-luna', true], ['gpt-6-sol', true],
    ['gpt-6-astra', false], ['gpt-6.1-sol', false],
  ] as const) {
    it(`${isTaken ? 'does not include' : 'includes'} a temperature with ${model}`, () => {
      const { provider } = parseModelName(`openai:${model}`);
      assert.equal(provider.takesTemperature?.(model), isTaken);
    });
  }

  for (const [vendor, name, field, options, refusal] of [
    ['OpenAI', 'openai:gpt-5.9', 'temperature', { temperature: 0.3 }, openaiRefusal],
    ['OpenAI', 'openai:gpt-9', 'reasoning_effort', {}, openaiRefusal],
    ['Mistral', 'mistral:small', 'seed', SEED, mistralRefusal],
  ] as const) {
    it(`is left out once an answer from ${vendor} has named ${field}`, async () => {
      const told: string[] = [];
      const { server, model } = await served(name, refusal(field), says('Hi'));
      const asked = { ...options, onProblem: (problem: string) => told.push(problem) };
      const texts = [(await read(model, asked)).text, (await read(model, asked)).text];
      assert.deepEqual(texts, ['Hi', 'Hi']);
      assert.deepEqual(server.requests.map(({ body }) => field in body), [true, false, false]);
      assert.deepEqual(told, [`${name} refuses ${field}: it is left out`]);
    });
  }

  for (const [param, left] of [
    ['response_format.type', { response_format_version: 1 }],
    ['response_format_version', { response_format: { type: 'json_schema' } }],
  ] as const) {
    it(`is left out whole, and nothing else with it, if the answer names ${param}`, async () => {
      const { server, model } = await served('groq:llama', openaiRefusal(param), says('Hi'));
      const groq = { response_format: { type: 'json_schema' }, response_format_version: 1 };
      assert.equal((await read(model, { providerOptions: { groq } })).text, 'Hi');
      const { response_format, response_format_version } = (await server.request(1)).body;
      const sent = { response_format, response_format_version };
      assert.deepEqual(JSON.parse(JSON.stringify(sent)), left);
    });
  }

  it('is left out one field at a time', async () => {
    const refusals = [mistralRefusal('temperature'), mistralRefusal('max_tokens')] as const;
    const { server, model } = await served('mistral:small', ...refusals, says('Hi'));
    const { text } = await read(model, { temperature: 0.3, maxOutputTokens: 50 });
    assert.deepEqual([text, server.requests.length], ['Hi', 3]);
  });

  // A refusal may quote the caller, who asked for the temperature.
  it('is sent again later if leaving it out did not help', async () => {
    const quoting = fails(
      400, '{"error":{"message":"Invalid message: what is the temperature in Rome"}}',
    );
    const told: string[] = [];
    const { server, model } = await served('mistral:small', quoting, quoting, says('Hi'));
    const options = { temperature: 0.3, onProblem: (problem: string) => told.push(problem) };
    assert.ok((await read(model, options)).error);
    assert.equal((await read(model, options)).text, 'Hi');
    assert.deepEqual(
      server.requests.map(({ body }) => 'temperature' in body), [true, false, true],
    );
    assert.deepEqual(told, []);
  });

  it('is left out with the tools if it is tool_choice and none may be called', async () => {
    const { server, model } = await served('groq:llama', openaiRefusal('tool_choice'), says('Hi'));
    assert.equal((await read(model, { tools: TOOLS, toolChoice: 'none' })).text, 'Hi');
    const { body } = await server.request(1);
    assert.deepEqual([body['tools'], body['tool_choice']], [undefined, undefined]);
  });

  for (const [what, answer] of [
    ['names another field', openaiRefusal('messages[1].content')],
    ['names a field that was not sent', mistralRefusal('top_p')],
    ['has another status', fails(403, '{"error":{"param":"temperature","message":"invalid"}}')],
    ['only quotes the word', fails(400, '{"error":{"message":"the temperature is 20 degrees"}}')],
    ['is not JSON', fails(400, 'Bad request')],
  ] as const) {
    it(`is not left out if the answer ${what}: the model has failed`, async () => {
      const { server, model } = await served('mistral:small', answer, says('Hi'));
      const { error } = await read(model, { temperature: 0.3 });
      assert.ok(error);
      assert.equal(server.requests.length, 1);
    });
  }
});

describe('tokens that a vendor had cached', () => {
  for (const [vendor, usage, cachedTokens] of [
    ['OpenAI', { prompt_tokens_details: { cached_tokens: 1_024 } }, 1_024],
    ['DeepSeek', { prompt_cache_hit_tokens: 64, prompt_cache_miss_tokens: 3 }, 64],
    ['a vendor that does not say', {}, undefined],
    ['a vendor that says nonsense', { prompt_tokens_details: { cached_tokens: '9' } }, undefined],
  ] as const) {
    it(`are read from the usage of ${vendor}: ${cachedTokens}`, async () => {
      const counts = { prompt_tokens: 2_000, completion_tokens: 5, ...usage };
      const { deltas } = await answered(
        stream(chunk({ content: 'Hi' }, 'stop'), event({ choices: [], usage: counts }), DONE),
      );
      const delta = deltas.at(-1);
      assert.ok(delta?.type === 'usage');
      assert.deepEqual([delta.inputTokens, delta.cachedTokens], [2_000, cachedTokens]);
    });
  }
});
