import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ModelError } from '../../../src/core/models/model.ts';
import {
  baseUrlName,
  defaultModelName,
  findKey,
  parseModelName,
  PROVIDERS,
} from '../../../src/core/models/providers.ts';

describe('parseModelName', () => {
  it('splits at the first colon and leaves the rest to the vendor', () => {
    assert.equal(parseModelName('openai:gpt-6-luna').model, 'gpt-6-luna');
    const { providerName, model } = parseModelName(' ollama:llama3.2:3b ');
    assert.deepEqual([providerName, model], ['ollama', 'llama3.2:3b']);
    assert.equal(
      parseModelName('openrouter:meta-llama/llama-3.3-70b:free').model,
      'meta-llama/llama-3.3-70b:free',
    );
  });

  it('refuses a name without a provider or a model, and lists the providers', () => {
    for (const name of ['gpt-6-luna', 'openai:', ':gpt-5', 'toString:x', '']) {
      assert.throws(
        () => parseModelName(name),
        (error) =>
          error instanceof ModelError &&
          error.code === 'bad_model_name' &&
          error.message.includes('openai, google, anthropic') &&
          error.message.includes(JSON.stringify(name)),
      );
    }
  });
});

describe('defaultModelName', () => {
  it('uses the first provider with a key, in the order OpenAI, Google, Anthropic', () => {
    const keys = { ANTHROPIC_API_KEY: 'c', GEMINI_API_KEY: 'b', OPENAI_API_KEY: 'a' };
    assert.equal(defaultModelName(keys), 'openai:gpt-6-luna');
    assert.equal(
      defaultModelName({ ...keys, OPENAI_API_KEY: ' ' }),
      'google:gemini-3.5-flash-lite',
    );
    assert.equal(defaultModelName({ ANTHROPIC_API_KEY: 'c' }), 'anthropic:claude-haiku-4-5');
  });

  it('is undefined without a key of these three', () => {
    assert.equal(defaultModelName({ GROQ_API_KEY: 'x' }), undefined);
  });
});

describe('PROVIDERS', () => {
  it("has three variables for Google's key, in order", () => {
    const google = parseModelName('google:x').provider;
    assert.equal(
      findKey(google, {
        GEMINI_API_KEY: 'c',
        GOOGLE_GENERATIVE_AI_API_KEY: 'b',
        GOOGLE_GENERATIVEAI_API_KEY: 'a',
      })?.key,
      'a',
    );
    assert.deepEqual(findKey(google, { GEMINI_API_KEY: ' c ' }), {
      keyName: 'GEMINI_API_KEY',
      key: 'c',
    });
  });

  it('gives every provider except vllm a base URL without a trailing slash', () => {
    for (const [name, { baseUrl }] of Object.entries(PROVIDERS)) {
      if (name === 'vllm') assert.equal(baseUrl, undefined);
      else assert.match(baseUrl ?? '', /^https?:\/\/.*[^/]$/, name);
    }
    assert.equal(baseUrlName('llamacpp'), 'LLAMACPP_BASE_URL');
  });

  const hash = /^[a-z0-9]{9}$/;
  const longHash = /^[a-z0-9]{40}$/;
  const ids: readonly (readonly [provider: string, id: string, sent: string | RegExp])[] = [
    ['mistral', 'aB3456789', 'aB3456789'],
    ['mistral', 'aB34567890', hash],
    ['mistral', 'aB345678', hash],
    ['mistral', 'call_5678', hash],
    ['openai', 'call_1-a', 'call_1-a'],
    ['openai', 'c'.repeat(40), 'c'.repeat(40)],
    ['openai', 'c'.repeat(41), longHash],
    ['anthropic', 'functions.look:0', longHash],
  ];
  for (const [name, id, sent] of ids) {
    const what = typeof sent === 'string' ? 'as it is' : 'as a hash';
    it(`gives ${name} the call id ${id} ${what}`, () => {
      const wireId = PROVIDERS[name]?.toolCallId?.(id) ?? '';
      if (typeof sent === 'string') assert.equal(wireId, sent);
      else {
        assert.match(wireId, sent);
        assert.notEqual(wireId, PROVIDERS[name]?.toolCallId?.(`${id}x`));
      }
    });
  }

  const efforts: readonly (readonly [string, string | undefined])[] = [
    ['openai:gpt-5', 'minimal'],
    ['openai:gpt-5-mini-2025-08-07', 'minimal'],
    ['openai:gpt-5.1', 'none'],
    ['openai:gpt-5.6-luna', 'none'],
    ['openai:gpt-6-luna', 'none'],
    ['openai:gpt-6.1-terra', 'none'],
    ['openai:gpt-6-astra', 'low'],
    ['openai:gpt-6.1-sol', 'low'],
    ['openai:gpt-6.2-sol-2026-11-20', 'low'],
    ['openai:gpt-5-pro', undefined],
    ['openai:gpt-5-chat-latest', undefined],
    ['openai:gpt-5.1-codex-max', undefined],
    ['openai:gpt-4.1-mini', undefined],
    ['google:gemini-2.5-flash', 'none'],
    ['google:gemini-3.5-flash-lite', undefined],
    ['google:gemini-3.8-flash', 'low'],
    ['google:gemini-2.5-pro', 'low'],
    ['google:gemini-2.0-flash', undefined],
    ['anthropic:claude-haiku-4-5', undefined],
    ['ollama:gpt-6-luna', undefined],
  ];
  for (const [name, effort] of efforts) {
    it(`gives ${name} ${effort === undefined ? 'no' : `"${effort}"`} reasoning effort`, () => {
      const { provider, model } = parseModelName(name);
      assert.equal(provider.reasoningEffort?.(model), effort);
    });
  }
});
