// Bytes as vendors send them, each with its public source. Ids and texts are ours.

/** An event of a stream: the object as JSON in one `data:` field, as all vendors send it. */
export function event(data: object | string): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

export const DONE = event('[DONE]');

/**
 * https://platform.openai.com/docs/api-reference/chat-streaming/streaming, with the fields of its
 * example.
 */
const CHUNK = {
  id: 'chatcmpl-123', object: 'chat.completion.chunk', created: 1694268190, model: 'gpt-6-luna',
};

export function chunk(delta: object, finishReason: string | null = null): string {
  return event({
    ...CHUNK,
    system_fingerprint: 'fp_44709d6fcb',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
  });
}

/** Same page, `stream_options.include_usage`: before `[DONE]`, with no choices. */
export function usageChunk(promptTokens: number, completionTokens: number): string {
  return event({
    ...CHUNK,
    choices: [],
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      completion_tokens_details: { reasoning_tokens: 0 },
    },
  });
}

/** A whole reply with these texts, as OpenAI streams it: the role first, then a chunk per token. */
export function textReply(...texts: string[]): string[] {
  return [
    chunk({ role: 'assistant', content: '', refusal: null }),
    ...texts.map((content) => chunk({ content })),
    chunk({}, 'stop'),
    usageChunk(19, 10),
    DONE,
  ];
}

/**
 * https://platform.openai.com/docs/guides/function-calling#streaming: id and name once, then
 * arguments piece by piece, by index.
 */
export function parallelToolCalls(): string[] {
  const part = (index: number, args: string): string =>
    chunk({ tool_calls: [{ index, function: { arguments: args } }] });
  const start = (index: number, id: string, name: string): string =>
    chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] });
  return [
    chunk({ role: 'assistant', content: null }),
    start(0, 'call_DdmO9pD3xa9XTPNJ32zg2hcA', 'get_weather'),
    part(0, '{"loca'),
    part(0, 'tion":"Paris"}'),
    start(1, 'call_1A2b3C', 'list_menu'),
    part(1, '{}'),
    chunk({}, 'tool_calls'),
    usageChunk(50, 20),
    DONE,
  ];
}

/**
 * https://github.com/THU-MAIC/OpenMAIC/issues/1556: no index, arguments whole, a signature to send
 * back; and `stop` (googleapis/python-genai#2868).
 */
export function googleToolCall(id: string, name: string, args: string, signature?: string): string {
  const extra =
    signature === undefined ? {} : { extra_content: { google: { thought_signature: signature } } };
  const call = { ...extra, function: { arguments: args, name }, id, type: 'function' };
  return event({
    choices: [{ delta: { role: 'assistant', tool_calls: [call] }, index: 0 }],
    model: 'gemini-3.8-flash',
    object: 'chat.completion.chunk',
  });
}

export function googleFinish(): string {
  return event({
    choices: [{ delta: { role: 'assistant' }, finish_reason: 'stop', index: 0 }],
    model: 'gemini-3.8-flash',
    object: 'chat.completion.chunk',
    usage: { completion_tokens: 12, prompt_tokens: 40, total_tokens: 52 },
  });
}

/** https://openrouter.ai/docs/api-reference/streaming: sent while it waits for a provider. */
export const KEEP_ALIVE = ': OPENROUTER PROCESSING\n\n';

/**
 * Same page, "Handling errors during streaming": the error beside choices that finish with `error`.
 */
export const OPENROUTER_ERROR = event({
  id: 'cmpl-abc123',
  object: 'chat.completion.chunk',
  created: 1234567890,
  model: 'openai/gpt-6-luna',
  provider: 'openai',
  error: { code: 'server_error', message: 'Provider disconnected unexpectedly' },
  choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
});

/** https://github.com/block/goose/pull/8031: what vLLM sends in mid-stream. */
export const VLLM_ERROR = event({
  object: 'error',
  message: 'EngineCore encountered an issue',
  type: 'InternalServerError',
  param: null,
  code: 500,
});

/** https://platform.openai.com/docs/guides/error-codes; the vendor quotes the ends of the key. */
export const OPENAI_REFUSED = JSON.stringify({
  error: {
    message:
      'Incorrect API key provided: sk-se**************7890. You can find your API key at https://platform.openai.com/account/api-keys.',
    type: 'invalid_request_error',
    param: null,
    code: 'invalid_api_key',
  },
});

/**
 * https://github.com/google-gemini/gemini-cli/issues/25198, in a list as on the OpenAI endpoint
 * (discuss.ai.google.dev/t/117875).
 */
export const GOOGLE_REFUSED = JSON.stringify([
  {
    error: {
      code: 400,
      message: 'API key not valid. Please pass a valid API key.',
      status: 'INVALID_ARGUMENT',
    },
  },
]);

/** https://platform.openai.com/docs/guides/rate-limits */
export const OPENAI_RATE_LIMITED = JSON.stringify({
  error: {
    message: 'Rate limit reached for gpt-6-luna on requests per min.',
    type: 'requests',
    param: null,
    code: 'rate_limit_exceeded',
  },
});

/** https://platform.openai.com/docs/guides/error-codes: a 429 that waiting does not heal. */
export const OPENAI_NO_QUOTA = JSON.stringify({
  error: {
    message: 'You exceeded your current quota, please check your plan.',
    type: 'insufficient_quota',
    param: null,
    code: 'insufficient_quota',
  },
});
