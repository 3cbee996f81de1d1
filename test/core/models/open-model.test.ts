import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ModelError } from '../../../src/core/models/model.ts';
import { openModel } from '../../../src/core/models/open-model.ts';
import { overloaded, refuses, says } from '../../faults/model-server.ts';
import { textReply } from '../../faults/wire-shapes.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { serve } from './chat-completions-server.ts';
import { KEY, read } from './reading.ts';

describe('openModel', () => {
  it('asks the base URL in the environment, and names the answering model in the usage', async () => {
    const server = await serve(says('Hi'));
    const { model, problems } = openModel({
      names: ['ollama:llama3.2:3b'],
      environment: { OLLAMA_BASE_URL: `${server.url}//`, OLLAMA_API_KEY: KEY },
    });
    const { text, deltas } = await read(model);
    const usage = deltas.at(-1);
    assert.deepEqual([text, problems, model.name], ['Hi', [], 'ollama:llama3.2:3b']);
    assert.ok(usage?.type === 'usage' && usage.model === 'ollama:llama3.2:3b');
    const request = await server.request(0);
    assert.deepEqual(
      [request.path, request.headers.authorization, request.body['model']],
      ['/v1/chat/completions', `Bearer ${KEY}`, 'llama3.2:3b'],
    );
  });

  // A caller waits ten seconds for the first word: a fallback that starts after that is useless.
  for (const [stage, silentMs, next] of [
    ['sends no headers', 4_000, 'asks the next model'],
    ['sends no word', 4_000, 'asks the next model'],
    ['sends no word', 8_000, 'fails, without a next model,'],
  ] as const) {
    const names = silentMs === 4_000 ? ['openai:a', 'openai:b'] : ['openai:a'];
    it(`${next} after ${silentMs / 1_000} seconds when one ${stage}`, async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const asked: string[] = [];
      const told: string[] = [];
      const { model } = openModel({
        names,
        environment: { OPENAI_API_KEY: KEY },
        onProblem: (message) => told.push(message),
        fetch: async (_url, init) => {
          asked.push(JSON.parse(String(init?.body)).model);
          if (asked.length === 2) return new Response(textReply('Hi').join(''));
          if (stage === 'sends no word') return new Response(new ReadableStream());
          return new Promise((_, reject) => {
            init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
          });
        },
      });
      const reading = read(model);
      await new Promise(setImmediate);
      clock.tick(silentMs - 1);
      await new Promise(setImmediate);
      assert.deepEqual(asked, ['a']);
      clock.tick(1);
      const { text, error } = await reading;
      if (names.length === 1) {
        assert.match(error?.message ?? '', /said nothing within 8000 ms$/);
        return;
      }
      assert.deepEqual([text, asked], ['Hi', ['a', 'b']]);
      assert.match(told.join(), /within 4000 ms; asking openai:b$/);
    });
  }

  it('expects a thought first with THINKING=open, except from vendors’ own models', async () => {
    const reply = textReply('hm', '</think>', 'Yes.').join('');
    const textOf = async (name: string, given: Record<string, string>): Promise<string> => {
      const environment = { OPENAI_API_KEY: KEY, ...given };
      const fetched = async (): Promise<Response> => new Response(reply);
      const { model } = openModel({ names: [name], environment, fetch: fetched });
      return (await read(model)).text;
    };
    assert.equal(await textOf('ollama:x', {}), 'hm Yes.');
    assert.equal(await textOf('ollama:x', { THINKING: 'closed' }), 'hm Yes.');
    assert.equal(await textOf('ollama:x', { THINKING: 'open' }), 'Yes.');
    assert.equal(await textOf('openai:x', { THINKING: 'open' }), 'hm Yes.');
    const elsewhere = { THINKING: 'open', OPENAI_BASE_URL: 'http://localhost:1/v1' };
    assert.equal(await textOf('openai:x', elsewhere), 'Yes.');
  });

  it("asks again, then the next model, and reports that to the request's onProblem", async () => {
    const [first, second] = [await serve(overloaded, refuses), await serve(says('Hi'))];
    const told: string[] = [];
    const { model } = openModel({
      names: ['openai:gpt-6-luna', 'google:gemini-3.5-flash-lite'],
      environment: {
        OPENAI_API_KEY: KEY, OPENAI_BASE_URL: first.url,
        GEMINI_API_KEY: 'other', GOOGLE_BASE_URL: `${second.url}/`,
      },
      onProblem: (message) => told.push(message),
      retry: { sleep: () => Promise.resolve() },
    });
    const problems: string[] = [];
    const { text, deltas } = await read(model, { onProblem: (problem) => problems.push(problem) });
    const usage = deltas.at(-1);
    assert.equal(usage?.type === 'usage' && usage.model, 'google:gemini-3.5-flash-lite');
    const refusal = 'openai:gpt-6-luna refused the key in OPENAI_API_KEY (HTTP 401)';
    const again = 'openai:gpt-6-luna answered HTTP 500 (server_error); asking again';
    const next = `${refusal}; asking google:gemini-3.5-flash-lite`;
    assert.deepEqual([text, problems, told], ['Hi', [again, refusal, next], []]);
    assert.deepEqual([model.problems(), model.isUsable()], [[refusal], true]);
  });

  it('leaves out a model without a key while others remain, and says so', async () => {
    const server = await serve(says('Hi'));
    const told: string[] = [];
    const { model, problems } = openModel({
      names: ['openai:gpt-6-luna', 'google:gemini-3.5-flash-lite', 'ollama:llama3.2'],
      environment: { OPENAI_API_KEY: '', OLLAMA_BASE_URL: server.url },
      onProblem: (message) => told.push(message),
    });
    assert.equal((await read(model)).text, 'Hi');
    assert.deepEqual(
      [problems, model.problems(), model.isUsable(), model.name],
      [told, told, true, 'ollama:llama3.2'],
    );
    assert.deepEqual(told, [
      'OPENAI_API_KEY is not set, but model openai:gpt-6-luna needs it',
      'GOOGLE_GENERATIVEAI_API_KEY is not set (nor GOOGLE_GENERATIVE_AI_API_KEY or GEMINI_API_KEY), but model google:gemini-3.5-flash-lite needs it',
    ]);
  });

  it('opens without any key, and fails every stream with key_missing', async () => {
    const { model, problems } = openModel({
      names: ['openai:gpt-6-luna', 'groq:x'],
      environment: {},
    });
    assert.deepEqual(
      [model.isUsable(), model.problems(), model.name],
      [false, problems, 'openai:gpt-6-luna,groq:x'],
    );
    await model.warm(new AbortController().signal);
    const { error } = await read(model);
    assert.deepEqual([error?.code, error?.message], ['key_missing', problems.join('; ')]);
  });

  for (const [what, name, environment, sentence] of [
    ['vLLM without a base URL, whose default port is ours', 'vllm:x', {},
      'VLLM_BASE_URL is not set'],
    ['a base URL without http', 'ollama:x', { OLLAMA_BASE_URL: 'localhost:11434' },
      'OLLAMA_BASE_URL must be an http(s) URL'],
    ['a base URL with a password', 'ollama:x', { OLLAMA_BASE_URL: `http://me:${KEY}@host/v1` },
      'OLLAMA_BASE_URL must be an http(s) URL'],
    ['a key with a line break in it', 'openai:x', { OPENAI_API_KEY: `${KEY}\nx` },
      'OPENAI_API_KEY contains blanks'],
  ] as const) {
    it(`reports ${what}, without the value`, async () => {
      const { model, problems } = openModel({ names: [name], environment });
      assert.ok(problems[0]?.startsWith(sentence), problems[0]);
      assert.ok(!problems.join().includes(KEY));
      assert.equal(model.isUsable(), false);
      assert.match((await read(model)).error?.code ?? '', /^(?:bad_base_url|key_missing)$/);
    });
  }

  it('refuses an unknown provider and an empty list', () => {
    assert.throws(() => openModel({ names: ['opnai:gpt-5'], environment: {} }), ModelError);
    assert.throws(() => openModel({ names: [], environment: {} }), RangeError);
  });
});
