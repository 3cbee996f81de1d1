import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, describe, it, type TestContext } from 'node:test';

import { createLogger } from '../../src/log.ts';
import type { ChatMessage, ChatModel, ModelDelta, ModelError } from '../../src/models/model.ts';
import {
  dripping,
  droppedAfter,
  empty,
  fails,
  malformed,
  mute,
  openStream,
  overloaded,
  pausing,
  rateLimits,
  refuses,
  says,
  silentAfter,
  startModelServer,
  stream,
  type Answer,
  type ModelServer,
} from '../faults/model-server.ts';
import {
  chunk,
  DONE,
  event,
  GOOGLE_REFUSED,
  googleFinish,
  googleToolCall,
  KEEP_ALIVE,
  OPENAI_NO_QUOTA,
  OPENROUTER_ERROR,
  parallelToolCalls,
  textReply,
  usageChunk,
  VLLM_ERROR,
} from '../faults/wire-shapes.ts';
import { deferred } from '../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';
import { collectGarbage } from '../fixtures/garbage.ts';
import { HELLO, KEY, modelAt, read, type Reading } from './reading.ts';

const servers: ModelServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

async function serve(...script: [Answer, ...Answer[]]): Promise<ModelServer> {
  const server = await startModelServer(script);
  servers.push(server);
  return server;
}

async function errorOf(
  answer: Answer,
  options: Parameters<typeof modelAt>[1] = {},
): Promise<ModelError> {
  const { error } = await read(modelAt((await serve(answer)).url, options));
  assert.ok(error);
  assert.ok(!error.message.includes(KEY) && !/[\r\n]/.test(error.message), error.message);
  return error;
}

/** A fetch whose answer comes in exactly these chunks of bytes. */
function fetchOf(...chunks: Uint8Array[]): typeof fetch {
  return () =>
    Promise.resolve(
      new Response(
        new ReadableStream({
          start: (controller) => (
            chunks.forEach((bytes) => controller.enqueue(bytes)),
            controller.close()
          ),
        }),
      ),
    );
}

describe('ChatCompletionsModel', () => {
  it('streams the text token by token and the usage last', async () => {
    const { url } = await serve(says('Hello', ' there', '.'));
    const { deltas, error } = await read(modelAt(url));
    assert.equal(error, undefined);
    assert.deepEqual(
      deltas.slice(0, 3),
      ['Hello', ' there', '.'].map((text) => ({ type: 'text', text })),
    );
    const usage = deltas[3];
    assert.ok(usage?.type === 'usage' && usage.firstDeltaMs > 0);
    assert.ok((usage.durationMs ?? 0) >= usage.firstDeltaMs);
    assert.deepEqual(
      { ...usage, firstDeltaMs: 0, durationMs: 0 },
      {
        type: 'usage',
        model: 'openai:gpt-6-luna',
        inputTokens: 19,
        outputTokens: 10,
        firstDeltaMs: 0,
        durationMs: 0,
      },
    );
    assert.equal(deltas.length, 4);
  });

  it('yields the first token before the second exists', async () => {
    let release = (): void => undefined;
    const { url } = await serve(
      pausing([chunk({ content: 'One' })], new Promise<void>((resolve) => (release = resolve)), [
        chunk({ content: ' two' }, 'stop'),
        DONE,
      ]),
    );
    const reply = modelAt(url).stream(HELLO, { signal: new AbortController().signal });
    assert.deepEqual((await reply.next()).value, { type: 'text', text: 'One' });
    release();
    assert.deepEqual((await reply.next()).value, { type: 'text', text: ' two' });
    await reply.return();
  });

  it('sends the prompt, the key and what makes the model fast', async () => {
    const server = await serve(says('Hi'));
    const tools = [
      {
        name: 'list_menu',
        description: 'The menu',
        parameters: { type: 'object', properties: {} },
      },
    ];
    await read(modelAt(server.url), { tools });
    const request = await server.request(0);
    assert.equal(request.path, '/v1/chat/completions');
    assert.equal(request.headers.authorization, `Bearer ${KEY}`);
    assert.deepEqual(request.body, {
      model: 'gpt-6-luna',
      messages: HELLO,
      stream: true,
      stream_options: { include_usage: true },
      reasoning_effort: 'none',
      tools: [{ type: 'function', function: tools[0] }],
    });
  });

  it('sends no tools, no effort, no stream options and no key where there is none', async () => {
    const server = await serve(says('Hi'));
    await read(modelAt(server.url, { name: 'mistral:mistral-small-latest', key: undefined }));
    const { headers, body } = await server.request(0);
    assert.equal(headers.authorization, undefined);
    assert.deepEqual(Object.keys(body), ['model', 'messages', 'stream']);
  });

  it('reads the same reply however its bytes are split in two', async () => {
    const bytes = Buffer.from(
      `\uFEFF${KEEP_ALIVE}${textReply('Grüß', ' dich 🎈', '!').join('').replaceAll('\n', '\r\n')}`,
    );
    for (let at = 0; at <= bytes.length; at++) {
      const { text, error, deltas } = await read(
        modelAt('http://model.test', { fetch: fetchOf(bytes.subarray(0, at), bytes.subarray(at)) }),
      );
      assert.equal(error, undefined, `split at ${at}`);
      assert.equal(text, 'Grüß dich 🎈!', `split at ${at}`);
      assert.equal(deltas.length, 4);
    }
  });

  it('reads a reply that comes one byte a packet', async () => {
    const { url } = await serve(dripping(...textReply('Grüß dich 🎈')));
    assert.equal((await read(modelAt(url))).text, 'Grüß dich 🎈');
  });

  it('leaves a surrogate pair that the model splits between deltas to the reader', async () => {
    const halves = [
      event('{"choices":[{"delta":{"content":"\\ud83c"}}]}'),
      event('{"choices":[{"delta":{"content":"\\udf88"}}]}'),
    ];
    const { text } = await read(
      modelAt((await serve(stream(...halves, chunk({}, 'stop'), DONE))).url),
    );
    assert.equal(text, '🎈');
  });

  it('replaces a lone surrogate in the history, which vendors refuse', async () => {
    const server = await serve(says('Hi'));
    await read(modelAt(server.url), { messages: [{ role: 'assistant', content: 'cut \ud83c' }] });
    assert.deepEqual((await server.request(0)).body['messages'], [
      { role: 'assistant', content: 'cut \uFFFD' },
    ]);
  });

  it('passes over reasoning, null content, unknown fields and comments', async () => {
    const { url } = await serve(
      stream(
        KEEP_ALIVE,
        chunk({ reasoning_content: 'hmm', content: null, x: 1 }),
        'event: ping\nid: 1\nretry: 5\n\n',
        chunk({ content: 'Yes.' }),
        chunk({ content: null }, 'stop'),
        DONE,
      ),
    );
    assert.equal((await read(modelAt(url))).text, 'Yes.');
  });

  it('takes the text out of content that comes in parts', async () => {
    const content = [
      { type: 'thinking', thinking: [] },
      { type: 'text', text: 'Yes.' },
    ];
    assert.equal(
      (await read(modelAt((await serve(stream(chunk({ content }, 'stop'), DONE))).url))).text,
      'Yes.',
    );
  });

  it('accepts a reply without [DONE] when the model has finished', async () => {
    const { text, error, deltas } = await read(
      modelAt((await serve(stream(chunk({ content: 'Bye.' }), chunk({}, 'stop')))).url),
    );
    assert.deepEqual([text, error], ['Bye.', undefined]);
    const usage = deltas.at(-1);
    assert.ok(
      usage?.type === 'usage' &&
        usage.inputTokens === undefined &&
        usage.outputTokens === undefined,
    );
  });

  it('measures the time to its first text, whatever follows later', async (t) => {
    const jump = jumpingClock(t);
    const [thinks, speaks] = [deferred(), deferred()];
    const { url } = await serve(async (response) => {
      openStream(response);
      response.write(chunk({ reasoning_content: 'hm' }));
      await thinks.promise;
      response.write(chunk({ content: 'One' }));
      await speaks.promise;
      response.end(chunk({ content: ' two' }, 'stop') + DONE);
    });
    const stream = modelAt(url).stream(HELLO, { signal: new AbortController().signal });
    const first = stream.next();
    jump(5_000);
    thinks.resolve();
    assert.deepEqual((await first).value, { type: 'text', text: 'One' });
    jump(7_000);
    speaks.resolve();
    const deltas: ModelDelta[] = [];
    for await (const delta of stream) deltas.push(delta);
    const usage = deltas.at(-1);
    assert.ok(usage?.type === 'usage', JSON.stringify(deltas));
    assert.ok(usage.firstDeltaMs >= 5_000 && usage.firstDeltaMs < 7_000, `${usage.firstDeltaMs}`);
  });

  it('accepts [DONE] without a finish reason', async () => {
    const { text, error } = await read(
      modelAt((await serve(stream(chunk({ content: 'Bye.' }), DONE))).url),
    );
    assert.deepEqual([text, error], ['Bye.', undefined]);
  });

  it('does not wait long for an end that does not come after the model has finished', async () => {
    const { url } = await serve(
      silentAfter(chunk({ content: 'Bye.' }), chunk({}, 'stop'), usageChunk(3, 2)),
    );
    const { text, error, deltas } = await read(modelAt(url, { timeouts: { trailerMs: 20 } }));
    assert.deepEqual([text, error, deltas.length], ['Bye.', undefined, 2]);
  });

  it('keeps a finished reply whose connection breaks afterwards', async () => {
    const { text, error } = await read(
      modelAt((await serve(droppedAfter(chunk({ content: 'Bye.' }), chunk({}, 'stop')))).url),
    );
    assert.deepEqual([text, error], ['Bye.', undefined]);
  });

  it('uses one connection for requests that follow each other', async () => {
    const server = await serve(says('One'), says('Two'));
    const model = modelAt(server.url);
    await read(model);
    // fetch gives a connection back a tick after its end; a tool takes longer
    await new Promise(setImmediate);
    await read(model);
    assert.equal(server.connectionsSeen, 1);
  });

  it('keeps a connection whose stream ends some time after [DONE]', async () => {
    let release = (): void => undefined;
    const server = await serve(
      pausing(textReply('One'), new Promise<void>((resolve) => (release = resolve)), []),
      says('Two'),
    );
    const model = modelAt(server.url);
    assert.equal((await read(model)).text, 'One');
    release();
    assert.equal(await (await server.request(0)).wasCut, false);
    // nothing tells when fetch has read the last chunk
    await new Promise((resolve) => setTimeout(resolve, 20));
    await read(model);
    assert.equal(server.connectionsSeen, 1);
  });

  it('keeps a connection whose reader stops once the reply is over', async () => {
    let release = (): void => undefined;
    const server = await serve(
      pausing(textReply('One'), new Promise<void>((resolve) => (release = resolve)), []),
      says('Two'),
    );
    const model = modelAt(server.url);
    const reply = model.stream(HELLO, { signal: new AbortController().signal });
    for (let isOver = false; !isOver; ) isOver = (await reply.next()).done === true;
    await reply.return();
    release();
    assert.equal(await (await server.request(0)).wasCut, false);
    // nothing tells when fetch has read the last chunk
    await new Promise((resolve) => setTimeout(resolve, 20));
    await read(model);
    assert.equal(server.connectionsSeen, 1);
  });

  it('cuts a connection that stays open after [DONE]', async () => {
    const server = await serve(silentAfter(...textReply('One')));
    await read(modelAt(server.url, { timeouts: { trailerMs: 20 } }));
    assert.equal(await (await server.request(0)).wasCut, true);
  });

  it('opens the connection that the first request uses', async () => {
    const server = await serve(says('Hi'));
    const model = modelAt(server.url);
    await model.warm(new AbortController().signal);
    // fetch gives a connection back in the tick after its body was read
    await new Promise(setImmediate);
    assert.deepEqual([server.warmUps, server.requests.length], [1, 0]);
    await read(model);
    assert.equal(server.connectionsSeen, 1);
    assert.equal((await server.request(0)).headers.authorization, `Bearer ${KEY}`);
  });

  it('never rejects when it cannot warm the connection', async () => {
    await modelAt('http://127.0.0.1:1/v1').warm(new AbortController().signal);
    await modelAt('http://127.0.0.1:1/v1').warm(AbortSignal.abort());
  });
});

describe('tool calls', () => {
  it('come whole, parallel ones in their order, with text before them', async () => {
    const { url } = await serve(stream(chunk({ content: 'One moment.' }), ...parallelToolCalls()));
    const { deltas } = await read(modelAt(url));
    assert.deepEqual(deltas.slice(0, 3), [
      { type: 'text', text: 'One moment.' },
      {
        type: 'toolCall',
        call: {
          id: 'call_DdmO9pD3xa9XTPNJ32zg2hcA',
          name: 'get_weather',
          args: '{"location":"Paris"}',
        },
      },
      { type: 'toolCall', call: { id: 'call_1A2b3C', name: 'list_menu', args: '{}' } },
    ]);
    assert.equal(deltas[3]?.type, 'usage');
  });

  it('are told apart by id where Google leaves out the index', async () => {
    const { url } = await serve(
      stream(
        googleToolCall('call_1', 'a', '{"x":1}'),
        googleToolCall('call_2', 'b', '{}'),
        googleFinish(),
        DONE,
      ),
    );
    const { deltas } = await read(modelAt(url, { name: 'google:gemini-3.5-flash-lite' }));
    assert.deepEqual(
      deltas.flatMap((delta) => (delta.type === 'toolCall' ? delta.call : [])),
      [
        { id: 'call_1', name: 'a', args: '{"x":1}' },
        { id: 'call_2', name: 'b', args: '{}' },
      ],
    );
  });

  it('are told apart by id where every call has index 0', async () => {
    const call = (id: string): string =>
      chunk({ tool_calls: [{ index: 0, id, function: { name: id, arguments: '{}' } }] });
    const { deltas } = await read(
      modelAt((await serve(stream(call('a'), call('b'), chunk({}, 'tool_calls'), DONE))).url),
    );
    assert.deepEqual(
      deltas.flatMap((delta) => (delta.type === 'toolCall' ? delta.call.id : [])),
      ['a', 'b'],
    );
  });

  it('get an id where neither id nor index was sent, also when arguments follow without either', async () => {
    const { deltas } = await read(
      modelAt(
        (
          await serve(
            stream(
              chunk({ tool_calls: [{ function: { name: 'a', arguments: '{' } }] }),
              chunk({ tool_calls: [{ id: '', function: { arguments: '}' } }] }),
              chunk({}, 'stop'),
              DONE,
            ),
          )
        ).url,
      ),
    );
    const [delta] = deltas;
    assert.ok(delta?.type === 'toolCall');
    assert.match(delta.call.id, /^call_.+/);
    assert.deepEqual([delta.call.name, delta.call.args], ['a', '{}']);
  });

  it('go back to Google with the signature they came with, calls of other models with the stand-in', async () => {
    const server = await serve(
      stream(
        googleToolCall('call_1', 'a', '{}', 'c2ln'),
        googleToolCall('call_2', 'b', '{}'),
        googleFinish(),
        DONE,
      ),
      says('Done.'),
    );
    const model = modelAt(server.url, { name: 'google:gemini-3.5-flash-lite' });
    const toolCalls = (await read(model)).deltas.flatMap((delta) =>
      delta.type === 'toolCall' ? delta.call : [],
    );
    const foreign = [{ id: 'call_9', name: 'c', args: '{}' }];
    await read(model, {
      messages: [
        { role: 'assistant', content: '', toolCalls: foreign },
        { role: 'tool', content: '1', toolCallId: 'call_9' },
        { role: 'assistant', content: '', toolCalls },
      ],
    });
    const wireCall = (id: string, name: string, signature?: string): object => ({
      id,
      type: 'function',
      function: { name, arguments: '{}' },
      ...(signature === undefined
        ? {}
        : { extra_content: { google: { thought_signature: signature } } }),
    });
    assert.deepEqual((await server.request(1)).body['messages'], [
      {
        role: 'assistant',
        content: null,
        tool_calls: [wireCall('call_9', 'c', 'skip_thought_signature_validator')],
      },
      { role: 'tool', tool_call_id: 'call_9', content: '1' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [wireCall('call_1', 'a', 'c2ln'), wireCall('call_2', 'b')],
      },
    ]);
  });

  it('go to Mistral with ids it takes, the same for call and result', async () => {
    const server = await serve(says('Done.'));
    await read(modelAt(server.url, { name: 'mistral:mistral-small-latest' }), {
      messages: [
        { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'a', args: '{}' }] },
        { role: 'tool', content: '1', toolCallId: 'call_1' },
      ],
    });
    const text = JSON.stringify((await server.request(0)).body['messages']);
    const ids = [...text.matchAll(/"(?:id|tool_call_id)":"(\w+)"/g)].map(([, id]) => id ?? '');
    assert.equal(ids.length, 2);
    assert.equal(ids[0], ids[1]);
    assert.match(ids[0] ?? '', /^[a-z0-9]{9}$/);
  });

  it('are accepted up to 64 and refused beyond', async () => {
    const calls = (count: number): string[] =>
      Array.from({ length: count }, (_, index) =>
        chunk({
          tool_calls: [{ index, id: `c${index}`, function: { name: 'a', arguments: '{}' } }],
        }),
      );
    const { deltas } = await read(
      modelAt((await serve(stream(...calls(64), chunk({}, 'tool_calls'), DONE))).url),
    );
    assert.equal(deltas.length, 65);
    assert.equal(
      (await errorOf(stream(...calls(65), chunk({}, 'tool_calls'), DONE))).code,
      'reply_too_large',
    );
  });

  for (const [where, index] of [['one call', 0], ['two calls', 1]] as const) {
    it(`have at most 262,144 characters of arguments together, in ${where}`, async () => {
      const call = (at: number, length: number): string => {
        const written = { name: 'a', arguments: ' '.repeat(length) };
        return chunk({ tool_calls: [{ index: at, id: `c${at}`, function: written }] });
      };
      const reply = (length: number): Answer =>
        stream(call(0, 262_143), call(index, length), chunk({}, 'tool_calls'), DONE);
      assert.equal((await read(modelAt((await serve(reply(1))).url))).error, undefined);
      assert.equal((await errorOf(reply(2))).code, 'reply_too_large');
    });
  }
});

describe('a failing model', () => {
  const cases: readonly [string, Answer, Partial<ModelError>, Parameters<typeof modelAt>[1]?][] = [
    ['sends broken JSON', malformed, { code: 'malformed_stream', retryable: true }],
    ['sends JSON that is no object', stream(event('7')), { code: 'malformed_stream' }],
    [
      'sends JSON where a stream was asked for',
      fails(200, '{"choices":[]}'),
      { code: 'malformed_stream' },
    ],
    [
      'sends an error with status 200',
      fails(200, '{"error":{"message":"overloaded","code":503}}'),
      { code: 'error_in_stream', status: 503, retryable: true },
    ],
    [
      'breaks off with an error beside its choices',
      stream(chunk({ content: 'Hel' }), OPENROUTER_ERROR),
      { code: 'error_in_stream', retryable: true },
    ],
    [
      'breaks off with an error of vLLM',
      stream(VLLM_ERROR),
      { code: 'error_in_stream', status: 500, retryable: true },
    ],
    [
      'breaks off with an error that no retry heals',
      stream(event({ error: { message: 'too long', type: 'invalid_request_error' } })),
      { code: 'error_in_stream', retryable: false },
    ],
    [
      'breaks off with a bare error',
      stream(chunk({ content: 'Hel' }), event({ message: 'overloaded', code: 503 })),
      { code: 'error_in_stream', status: 503, retryable: true },
    ],
    [
      'breaks off with a bare error that no retry heals',
      stream(event({ message: 'too long', code: 400 })),
      { code: 'error_in_stream', status: 400, retryable: false },
    ],
    [
      'breaks off with a detail',
      stream(chunk({ content: 'Hel' }), event({ detail: 'overloaded' })),
      { code: 'error_in_stream', retryable: true },
    ],
    [
      'breaks off with an event named error',
      stream(chunk({ content: 'Hel' }), `event: error\n${event({ code: 502, details: 'gone' })}`),
      { code: 'error_in_stream', status: 502, retryable: true },
    ],
    [
      'breaks off with an event named error that is no JSON',
      stream(`event: error\n${event('gone')}`),
      { code: 'error_in_stream', retryable: true },
    ],
    [
      'breaks off with an event named error that is empty',
      stream('event: error\ndata:\n\n'),
      { code: 'error_in_stream', retryable: true },
    ],
    [
      'breaks off after a finish reason that was none',
      stream(chunk({ content: 'Hel' }, 'stop'), chunk({ content: 'lo' }, 'stop'), VLLM_ERROR),
      { code: 'error_in_stream' },
    ],
    [
      'breaks off after a finish reason before the first word',
      stream(chunk({ content: '' }, 'stop'), VLLM_ERROR),
      { code: 'error_in_stream' },
    ],
    [
      'breaks the connection after a finish reason before the first word',
      droppedAfter(chunk({ content: '' }, 'stop')),
      { code: 'connection_dropped', retryable: true },
    ],
    [
      'finishes with an error',
      stream(chunk({ content: 'Hel' }), chunk({}, 'error'), DONE),
      { code: 'error_in_stream', retryable: true, status: undefined },
    ],
    [
      'breaks the connection in mid-reply',
      droppedAfter(chunk({ content: 'Hel' })),
      { code: 'connection_dropped', retryable: true },
    ],
    [
      'ends in mid-reply',
      stream(chunk({ content: 'Hel' })),
      { code: 'connection_dropped', retryable: true },
    ],
    ['answers with nothing at all', stream(), { code: 'connection_dropped' }],
    ['answers with an empty reply', empty, { code: 'empty_reply', retryable: false }],
    [
      'answers with blanks only',
      stream(chunk({ content: ' \n' }), chunk({}, 'stop'), DONE),
      { code: 'empty_reply' },
    ],
    [
      'never ends its thought',
      stream(chunk({ content: '<think>hm' }), chunk({}, 'length'), DONE),
      { code: 'unclosed_thought', retryable: false },
    ],
    [
      'never ends a thought in mid-reply',
      stream(...textReply('Yes. ', '<think>hm')),
      { code: 'unclosed_thought' },
    ],
    [
      'never ends the thought it is said to begin with',
      stream(...textReply('hm')),
      { code: 'unclosed_thought' },
      { beginsAsThought: true },
    ],
    [
      'thinks and says no more',
      stream(...textReply('<think>hm</think>\n')),
      { code: 'empty_reply' },
    ],
    ['says only control tokens', stream(...textReply('<|im_end|>')), { code: 'empty_reply' }],
    [
      'calls nothing by no name',
      stream(
        chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: '', arguments: '' } }] }),
        chunk({}, 'tool_calls'),
        DONE,
      ),
      { code: 'empty_reply' },
    ],
    [
      'thinks until it has no tokens left',
      stream(chunk({ reasoning_content: 'hmm' }), chunk({}, 'length'), DONE),
      { code: 'empty_reply' },
    ],
    [
      'withholds its reply',
      stream(chunk({}, 'content_filter'), DONE),
      { code: 'content_filter', retryable: false },
    ],
    ['refuses the key', refuses, { code: 'key_refused', status: 401, retryable: false }],
    ['refuses the key with 403', fails(403, '{}'), { code: 'key_refused', status: 403 }],
    [
      'refuses the key with 400, as Google does',
      fails(400, GOOGLE_REFUSED),
      { code: 'key_refused', status: 400 },
    ],
    [
      'limits the rate',
      rateLimits({ 'retry-after': '2' }),
      { code: 'rate_limited', status: 429, retryable: true, retryAfterMs: 2_000 },
    ],
    [
      'limits the rate in milliseconds',
      rateLimits({ 'retry-after-ms': '250', 'retry-after': '1' }),
      { code: 'rate_limited', retryAfterMs: 250 },
    ],
    [
      'limits the rate in milliseconds that are no number, and in seconds',
      rateLimits({ 'retry-after-ms': 'soon', 'retry-after': '2' }),
      { code: 'rate_limited', retryAfterMs: 2_000 },
    ],
    [
      'limits the rate for a time that is no number',
      rateLimits({ 'retry-after-ms': '-5', 'retry-after': 'soon' }),
      { code: 'rate_limited', retryable: true, retryAfterMs: undefined },
    ],
    [
      'limits the rate until a date that is over',
      rateLimits({ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }),
      { code: 'rate_limited', retryAfterMs: 0 },
    ],
    [
      'limits the rate in the body, as Google does',
      fails(429, '[{"error":{"details":[{"retryDelay":"13s"}]}}]'),
      { code: 'rate_limited', retryAfterMs: 13_000 },
    ],
    ['has no quota left', fails(429, OPENAI_NO_QUOTA), { code: 'rate_limited', retryable: false }],
    ['is overloaded', overloaded, { code: 'http_error', status: 500, retryable: true }],
    [
      'is unknown',
      fails(404, '{"error":{"message":"The model does not exist"}}'),
      { code: 'http_error', status: 404, retryable: false },
    ],
    [
      'sends no headers',
      mute,
      { code: 'connect_timeout', retryable: false },
      { timeouts: { connectMs: 20 } },
    ],
    [
      'opens a stream and says nothing',
      silentAfter(),
      { code: 'first_delta_timeout', retryable: false },
      { timeouts: { firstDeltaMs: 300 } },
    ],
    [
      'opens a stream and only thinks',
      silentAfter(chunk({ role: 'assistant', content: '' }), chunk({ reasoning_content: 'hm' })),
      { code: 'first_delta_timeout' },
      { timeouts: { firstDeltaMs: 300 } },
    ],
    [
      'opens a stream and only thinks aloud',
      silentAfter(chunk({ content: '<think>' }), chunk({ content: 'hm' })),
      { code: 'first_delta_timeout' },
      { timeouts: { firstDeltaMs: 300 } },
    ],
    [
      'opens a stream and only finishes',
      silentAfter(chunk({ content: '' }, 'stop')),
      { code: 'first_delta_timeout' },
      { timeouts: { firstDeltaMs: 300, trailerMs: 1 } },
    ],
    [
      'falls silent in mid-reply',
      silentAfter(chunk({ content: 'Hel' })),
      { code: 'idle_timeout' },
      { timeouts: { idleMs: 20 } },
    ],
    [
      'falls silent in mid-call',
      silentAfter(chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'a' } }] })),
      { code: 'idle_timeout' },
      { timeouts: { firstDeltaMs: 5_000, idleMs: 20 } },
    ],
    [
      'is not done in time',
      silentAfter(chunk({ content: 'Hel' })),
      { code: 'total_timeout' },
      { timeouts: { totalMs: 40 } },
    ],
  ];
  for (const [what, answer, expected, options] of cases) {
    it(`${what}: ${expected.code}`, async () => {
      const error = await errorOf(answer, options);
      for (const [field, value] of Object.entries(expected))
        assert.equal(error[field as keyof ModelError], value, `${field} of ${error.message}`);
      assert.match(error.message, /^openai:gpt-6-luna /);
    });
  }

  it('that cannot be reached is named with its host and the reason', async () => {
    const { error } = await read(modelAt('http://127.0.0.1:1/v1'));
    assert.deepEqual([error?.code, error?.retryable], ['connection_failed', true]);
    assert.match(error?.message ?? '', /http:\/\/127\.0\.0\.1:1: \S+/);
  });

  it('that redirects is not followed: the key would go along', async () => {
    const server = await serve(
      (response) => void response.writeHead(307, { location: '/elsewhere' }).end(),
      says('Hi'),
    );
    const { error } = await read(modelAt(server.url));
    assert.deepEqual([error?.code, server.requests.length], ['connection_failed', 1]);
    assert.match(error?.message ?? '', /unexpected redirect/);
  });

  it('that refuses the key is reported with the variable, until it answers again', async () => {
    const model = modelAt((await serve(refuses, refuses, says('Hi'), refuses)).url);
    const told = async (): Promise<string[]> => {
      const problems: string[] = [];
      await read(model, { onProblem: (problem) => problems.push(problem) });
      return problems;
    };
    const sentence = 'openai:gpt-6-luna refused the key of OPENAI_API_KEY (HTTP 401)';
    assert.deepEqual([await told(), model.problems()], [[sentence], [sentence]]);
    assert.deepEqual([await told(), model.problems(), model.isUsable()], [[], [sentence], true]);
    assert.deepEqual([await told(), model.problems()], [[], []]);
    assert.deepEqual(await told(), [sentence]);
  });

  it('that quotes the key is not quoted', async () => {
    const error = await errorOf(
      fails(422, JSON.stringify({ detail: [{ input: `Bearer ${KEY}` }] })),
    );
    assert.match(error.message, /answered HTTP 422$/);
  });

  it('that sends an endless error is read up to 64 KiB and then cut', async () => {
    const server = await serve((response) => {
      response.writeHead(500, { 'content-type': 'text/plain' });
      const more = (): void =>
        void response.write('x'.repeat(16_384), () => !response.destroyed && setImmediate(more));
      more();
    });
    const { error } = await read(modelAt(server.url));
    assert.equal(error?.code, 'http_error');
    assert.ok(error.message.length < 400);
    assert.equal(await (await server.request(0)).wasCut, true);
  });

  it('that sends an endless event is cut', async () => {
    const error = await errorOf((response) => {
      openStream(response);
      response.write(`data: ${'x'.repeat(1_048_577)}`);
    });
    assert.equal(error.code, 'reply_too_large');
  });

  it('may be read slowly: the time between deltas is the model’s, not the reader’s', async (t) => {
    let release = (): void => undefined;
    const blocks = textReply('One', ' two');
    const { url } = await serve(
      pausing(
        blocks.slice(0, 3),
        new Promise<void>((resolve) => (release = resolve)),
        blocks.slice(3),
      ),
    );
    const clock = mockTimers(t, ['setTimeout']);
    const reply = modelAt(url).stream(HELLO, { signal: new AbortController().signal });
    await reply.next();
    clock.tick(100_000); // longer than the clocks that must not run
    release();
    assert.deepEqual((await reply.next()).value, { type: 'text', text: ' two' });
    // not cut: the end was still to be read
    assert.equal((await reply.next()).value?.type, 'usage');
    assert.equal((await reply.next()).done, true);
  });
});

describe('a model that thinks in its text', () => {
  const texts = ['<think>', '\nIs', ' it?\n', '</think>', '\n\n', 'Yes', '.<|im_end|>'];

  it('is heard without its thoughts and control tokens', async () => {
    const { url } = await serve(says(...texts), says(...texts.join('')), says(texts.join('')));
    for (let round = 0; round < 3; round++) assert.equal((await read(modelAt(url))).text, 'Yes.');
  });

  it('is heard from its answer on where every reply begins as thought', async () => {
    const { url } = await serve(says('Is', ' it?', '</think>', 'Yes.'));
    assert.equal((await read(modelAt(url, { beginsAsThought: true }))).text, 'Yes.');
  });

  it('may call a tool where every reply begins as thought and this one has none', async () => {
    const { deltas, error } = await read(
      modelAt((await serve(stream(...parallelToolCalls()))).url, { beginsAsThought: true }),
    );
    assert.deepEqual([error, deltas.length], [undefined, 3]);
  });

  it('is reported once when a thought was spoken whose beginning nothing marked', async () => {
    const told: string[] = [];
    const { url } = await serve(says('Is', ' it?', '</think>', 'Yes.'));
    const model = modelAt(url);
    const onProblem = (problem: string): number => told.push(problem);
    assert.equal((await read(model, { onProblem })).text, 'Is it? Yes.');
    await read(model, { onProblem });
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /^openai:gpt-6-luna sent <\/think> without <think>.*THINKING=open/);
  });

  it('is not heard where its thoughts come in fields of their own', async () => {
    const { url } = await serve(
      stream(
        chunk({ reasoning_content: 'hm', content: '' }),
        chunk({ reasoning: 'hm', reasoning_details: [{ text: 'hm' }] }),
        ...textReply('Yes.'),
      ),
    );
    assert.equal((await read(modelAt(url))).text, 'Yes.');
  });
});

describe('the clocks of a stream', () => {
  /** A reply that is sent by hand, and a clock that is moved by hand. */
  function byHand(t: TestContext): {
    send: (...blocks: string[]) => Promise<void>;
    pass: (ms: number) => Promise<void>;
    reading: Promise<Reading>;
  } {
    const clock = mockTimers(t, ['setTimeout']);
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    const timeouts = { firstDeltaMs: 400, idleMs: 100, trailerMs: 10, totalMs: 1_000 };
    const model = modelAt('http://model.test', { fetch: async () => new Response(body), timeouts });
    const reading = read(model);
    const settle = async (): Promise<void> => {
      for (let round = 0; round < 5; round++) await new Promise(setImmediate);
    };
    return {
      send: (...blocks) => (controller?.enqueue(Buffer.from(blocks.join(''))), settle()),
      pass: (ms) => (clock.tick(ms), settle()),
      reading,
    };
  }

  it('run on while a model thinks before its first word', async (t) => {
    const { send, pass, reading } = byHand(t);
    await send(chunk({ content: '<think>hm' }));
    await pass(399);
    await send(chunk({ content: ' hm' }));
    await pass(1);
    assert.equal((await reading).error?.code, 'first_delta_timeout');
  });

  for (const thought of [{ content: '<think>hm' }, { reasoning_content: 'hm' }]) {
    it(`start anew while it thinks after it (${Object.keys(thought).join()})`, async (t) => {
      const { send, pass, reading } = byHand(t);
      await send(chunk({ content: 'Yes. ' }));
      await pass(99);
      await send(chunk(thought));
      await pass(99);
      await send(chunk({ content: '</think>No.' }, 'stop'), DONE);
      assert.equal((await reading).error, undefined);
    });
  }

  for (const keepAlive of [': keepalive', 'data:', 'data: : keepalive', 'data: {}']) {
    it(`are not stopped by "${keepAlive}"`, async (t) => {
      const { send, pass, reading } = byHand(t);
      await send(chunk({ content: 'Yes.' }));
      await pass(99);
      await send(`${keepAlive}\n\n`);
      await pass(1);
      assert.equal((await reading).error?.code, 'idle_timeout');
    });
  }

  it('end a reply that has finished soon, whatever keeps coming', async (t) => {
    const { send, pass, reading } = byHand(t);
    await send(chunk({ content: 'Yes.' }), chunk({}, 'stop'));
    await pass(9);
    await send('data:\n\n', usageChunk(1, 1), chunk({}, 'stop'));
    await pass(1);
    const { text, error } = await reading;
    assert.deepEqual([text, error], ['Yes.', undefined]);
  });

  it('wait for a reply whose every chunk has a finish reason', async (t) => {
    const { send, pass, reading } = byHand(t);
    await send(chunk({ content: 'One' }, 'stop'), chunk({ content: ' two' }, 'stop'));
    await pass(99);
    await send(chunk({ content: ' three' }, 'stop'));
    await pass(100);
    const { text, error } = await reading;
    assert.deepEqual([text, error], ['One two three', undefined]);
  });

  for (const [what, blocks] of [
    ['one chunk', [chunk({ content: 'Yes.' }, 'stop')]],
    [
      'chunks that all have a finish reason, the last of them empty',
      [chunk({ content: 'Ye' }, 'stop'), chunk({ content: 's.' }, 'stop'), chunk({}, 'stop')],
    ],
  ] as const) {
    it(`end a reply soon that has come in ${what}`, async (t) => {
      const { send, pass, reading } = byHand(t);
      let text: string | undefined;
      void reading.then((there) => (text = there.text));
      await send(...blocks);
      await pass(9);
      assert.equal(text, undefined);
      await pass(1);
      assert.equal(text, 'Yes.');
    });
  }

  for (const field of ['reasoning_content', 'reasoning']) {
    it(`start anew while it thinks in ${field} behind a finish that was none`, async (t) => {
      const { send, pass, reading } = byHand(t);
      await send(chunk({ content: 'Yes. ' }, 'stop'));
      await pass(9);
      await send(chunk({ [field]: 'hm' }));
      await pass(99);
      await send(chunk({ content: 'No.' }), DONE);
      assert.equal((await reading).text, 'Yes. No.');
    });
  }

  it('stand still while the reader takes its time, at the end of a reply too', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    let signal: AbortSignal | null | undefined;
    const bytes = parallelToolCalls().join('');
    const model = modelAt('http://model.test', {
      fetch: async (_url, init) => ((signal = init?.signal), new Response(bytes)),
      timeouts: { firstDeltaMs: 100, idleMs: 100, trailerMs: 10 },
    });
    const reply = model.stream(HELLO, { signal: new AbortController().signal });
    assert.equal((await reply.next()).value?.type, 'toolCall');
    clock.tick(100);
    assert.equal(signal?.aborted, false);
    await reply.return();
  });

  it('fire after a garbage collection, before the headers and behind them', async () => {
    for (const answer of [mute, silentAfter()]) {
      const server = await serve(answer);
      const timeouts = { connectMs: 200, firstDeltaMs: 200 };
      const reading = read(modelAt(server.url, { timeouts }));
      const request = await server.request(0);
      await collectGarbage();
      assert.match((await reading).error?.code ?? '', /^(?:connect|first_delta)_timeout$/);
      assert.equal(await request.wasCut, true);
    }
  });
});

describe('a stream', () => {
  it('may keep its connection alive with events', async () => {
    const { url } = await serve(stream('data:\n\n', 'data: : keepalive\n\n', ...textReply('Yes.')));
    const { text, error } = await read(modelAt(url));
    assert.deepEqual([text, error], ['Yes.', undefined]);
  });

  it('may say more in an event than its choices', async () => {
    const extra = { message: 'ok', detail: 'ok', error: null };
    const first = event({ choices: [{ delta: { content: 'Yes.' } }], ...extra });
    const { text, error } = await read(modelAt((await serve(stream(first, DONE))).url));
    assert.deepEqual([text, error], ['Yes.', undefined]);
  });

  it('may leave out the blank line behind its last event', async () => {
    const last = chunk({ content: ' two' }, 'stop').trimEnd();
    for (const block of [last, `${last}\n`]) {
      const { url } = await serve(stream(chunk({ content: 'One' }), block));
      const { text, error } = await read(modelAt(url));
      assert.deepEqual([text, error], ['One two', undefined]);
    }
  });

  it('is read to its end where the first chunk has a finish reason, or every one', async () => {
    const call = { tool_calls: [{ index: 0, id: 'c', function: { name: 'a', arguments: '{}' } }] };
    for (const blocks of [
      [chunk({ content: '' }, 'stop'), chunk({ content: 'Yes.' }), chunk(call), chunk({}, 'stop')],
      [chunk({ content: 'Y' }, 'stop'), chunk({ content: 'es.' }, 'stop'), chunk(call, 'stop')],
    ]) {
      for (const end of [[DONE], []]) {
        const { url } = await serve(stream(...blocks, ...end));
        const { deltas, text, error } = await read(modelAt(url));
        assert.deepEqual([text, error], ['Yes.', undefined]);
        const expected = { id: 'c', name: 'a', args: '{}' };
        assert.deepEqual(deltas.at(-2), { type: 'toolCall', call: expected });
      }
    }
  });

  it('gives out a tool call that is finished but not followed by an end', async () => {
    const blocks = parallelToolCalls().slice(0, -1);
    const { url } = await serve(silentAfter(...blocks));
    const { deltas, error } = await read(modelAt(url, { timeouts: { trailerMs: 20 } }));
    assert.equal(error, undefined);
    assert.deepEqual(
      deltas.map(({ type }) => type),
      ['toolCall', 'toolCall', 'usage'],
    );
  });

  it('loses nothing to what follows its finish reason, broken or an error', async () => {
    for (const block of ['data: {"usage":\n\n', VLLM_ERROR]) {
      const finished = [chunk({ content: 'Bye.' }), chunk({}, 'stop')];
      const { url } = await serve(stream(...finished, block, DONE));
      const { text, error } = await read(modelAt(url));
      assert.deepEqual([text, error], ['Bye.', undefined]);
    }
  });
});

describe('what is sent back', () => {
  const broken = [
    { id: '1', name: 'a', args: '{"n":' },
    { id: '2', name: '', args: '{}{}' },
    { id: '3', name: 'get weather', args: '' },
  ];
  const messages: ChatMessage[] = [
    { role: 'assistant', content: 'Hi!' },
    { role: 'user', content: 'Rain?' },
    { role: 'assistant', content: '', toolCalls: broken },
    ...broken.map(({ id }) => ({ role: 'tool' as const, content: '1', toolCallId: id })),
    { role: 'user', content: 'Stop.' },
  ];

  it('has no broken call in it', async () => {
    const server = await serve(says('Done.'));
    await read(modelAt(server.url), { messages });
    const { body } = await server.request(0);
    const sent = body['messages'] as { tool_calls?: { function: object }[] }[];
    assert.deepEqual(
      sent[2]?.tool_calls?.map((call) => call.function),
      [
        { name: 'a', arguments: '{}' },
        { name: 'invalid_call', arguments: '{}' },
        { name: 'invalid_call', arguments: '{}' },
      ],
    );
  });

  for (const [name, roles] of [
    ['openai:gpt-6-luna', 'assistant user assistant tool tool tool user'],
    ['mistral:mistral-small-latest', 'assistant user assistant tool tool tool user'],
    ['vllm:x', 'user assistant user assistant tool tool tool assistant user'],
    ['ollama:x', 'user assistant user assistant tool tool tool assistant user'],
    ['openrouter:x', 'user assistant user assistant tool tool tool assistant user'],
  ] as const) {
    it(`has the order of roles that ${name} takes`, async () => {
      const server = await serve(says('Done.'));
      await read(modelAt(server.url, { name }), { messages });
      const sent = (await server.request(0)).body['messages'] as { role: string }[];
      assert.equal(sent.map(({ role }) => role).join(' '), roles);
    });
  }

  it('has ids that OpenAI and Anthropic take, the same for call and result', async () => {
    for (const name of ['openai:gpt-6-luna', 'anthropic:claude-haiku-4-5']) {
      for (const id of ['functions.a:0', 'x'.repeat(41)]) {
        const server = await serve(says('Done.'));
        await read(modelAt(server.url, { name }), {
          messages: [
            { role: 'assistant', content: '', toolCalls: [{ id, name: 'a', args: '{}' }] },
            { role: 'tool', content: '1', toolCallId: id },
          ],
        });
        const text = JSON.stringify((await server.request(0)).body['messages']);
        const [call, result] = [...text.matchAll(/"(?:id|tool_call_id)":"([^"]*)"/g)];
        assert.equal(call?.[1], result?.[1]);
        assert.match(call?.[1] ?? '', /^[\w-]{1,40}$/);
      }
    }
  });
});

describe('the log of a failing model', () => {
  /** All the ways in which a vendor may quote the caller. */
  const answersQuoting = (words: string): readonly (readonly [string, Answer])[] => {
    const quoting = { message: words, code: words, type: words, param: words };
    const json = JSON.stringify({ error: quoting });
    const tooLong = { name: 'a', arguments: words.repeat(20_000) };
    return [
      ['an error with a body', fails(500, json)],
      ['an error with a body that is no JSON', fails(502, words)],
      ['a refused key', fails(401, json)],
      ['a limited rate', fails(429, json)],
      ['a bare error', fails(422, JSON.stringify({ detail: [{ input: words, type: words }] }))],
      ['an error of status 200', fails(200, json)],
      ['JSON where a stream was asked for', fails(200, JSON.stringify({ choices: words }))],
      ['broken JSON with status 200', fails(200, words)],
      ['an error in mid-stream', stream(event(json))],
      ['a bare error in mid-stream', stream(event({ message: words, code: words }))],
      ['a detail in mid-stream', stream(event({ detail: words }))],
      ['a named error in mid-stream', stream(`event: error\n${event(words)}`)],
      ['an event that is no JSON', stream(event(words))],
      ['an event that is broken JSON', stream(event(`{"choices":"${words}`))],
      ['a finish reason', stream(chunk({}, words), DONE)],
      ['an unclosed thought', stream(chunk({ content: `<think>${words}` }, words), DONE)],
      ['a header', (response) => void response.socket?.end(`HTTP/1.1 200\r\n${words}\r\n\r\n`)],
      ['what is no HTTP', (response) => void response.socket?.end(words)],
      ['a redirect', (response) => void response.writeHead(307, { location: `/${words}` }).end()],
      ['too long an event', stream(event({ x: words.repeat(100_000) }))],
      ['too long arguments', stream(chunk({ tool_calls: [{ function: tooLong }] }))],
    ];
  };
  for (const words of ['my card is 4711', 'Kowalski']) {
    for (const [what, answer] of answersQuoting(words)) {
      it(`quotes nothing of ${what} that says "${words}"`, async () => {
        const { error } = await read(modelAt((await serve(answer)).url, { key: undefined }));
        assert.ok(error);
        let lines = '';
        createLogger({ write: (line) => void (lines += line) }).error('turn failed', { error });
        assert.match(lines, /"ModelError"/);
        assert.ok(!lines.includes(words.slice(-4)), lines);
      });
    }
  }

  it('has the status and the codes', async () => {
    const said = async (answer: Answer): Promise<string> => {
      return (await errorOf(answer)).message.slice('openai:gpt-6-luna '.length);
    };
    const error = { message: 'my card', code: 'queue_full', type: 'overloaded', param: 'stop' };
    assert.equal(
      await said(fails(500, JSON.stringify({ error }))),
      'answered HTTP 500 (queue_full, overloaded)',
    );
    assert.equal(
      await said(stream(VLLM_ERROR)),
      'broke off with an error (status 500, InternalServerError)',
    );
    assert.equal(
      await said(stream(event({ message: 'my card', code: 'queue_full' }))),
      'broke off with an error (queue_full)',
    );
  });

  it('says what to check where the vendor does not know the model', async () => {
    const { message } = await errorOf(fails(404, '{"error":{"code":"model_not_found"}}'));
    assert.equal(message,
      'openai:gpt-6-luna answered HTTP 404 (model_not_found): ' +
      'check the name of the model, and the base URL');
  });

  it('has no code with the key in it', async () => {
    const body = JSON.stringify({ error: { code: `key-${KEY}` } });
    const { message } = await errorOf(fails(500, body));
    assert.equal(message, 'openai:gpt-6-luna answered HTTP 500');
  });
});

describe('ending a stream', () => {
  /** Resolves with the milliseconds until the server saw the request cut. */
  async function msUntilCut(server: ModelServer, from: number): Promise<number> {
    assert.equal(await (await server.request(0)).wasCut, true);
    return performance.now() - from;
  }

  const stages: readonly [string, Answer][] = [
    ['before the headers', mute],
    ['before the first delta', silentAfter()],
    ['in mid-reply', silentAfter(chunk({ content: 'Hel' }))],
  ];
  for (const [when, answer] of stages) {
    it(`by its signal ${when} closes the connection within 200 ms, without an error`, async () => {
      const server = await serve(answer);
      const caller = new AbortController();
      const reading = read(modelAt(server.url), { signal: caller.signal });
      await server.request(0);
      if (when === 'in mid-reply') await new Promise(setImmediate);
      const from = performance.now();
      caller.abort();
      assert.equal((await reading).error, undefined);
      const ms = await msUntilCut(server, from);
      assert.ok(ms < 200, `${ms} ms`);
      assert.equal(getEventListeners(caller.signal, 'abort').length, 0);
    });
  }

  it('by a reader that stops closes the connection within 200 ms', async () => {
    const server = await serve(silentAfter(chunk({ content: 'Hel' })));
    for await (const delta of modelAt(server.url).stream(HELLO, {
      signal: new AbortController().signal,
    })) {
      assert.deepEqual(delta, { type: 'text', text: 'Hel' });
      break;
    }
    assert.ok((await msUntilCut(server, performance.now())) < 200);
  });

  it('by return() while a delta is awaited does not wait for that delta', async () => {
    const server = await serve(silentAfter());
    const reply = modelAt(server.url).stream(HELLO, { signal: new AbortController().signal });
    const pending = reply.next();
    await server.request(0);
    const from = performance.now();
    await reply.return();
    assert.deepEqual(await pending, { done: true, value: undefined });
    assert.ok((await msUntilCut(server, from)) < 200);
  });

  it('yields nothing more after its signal aborted, not even what was received', async () => {
    const { url } = await serve(says('One', ' two'));
    const caller = new AbortController();
    const reply = modelAt(url).stream(HELLO, { signal: caller.signal });
    await reply.next();
    caller.abort();
    assert.deepEqual(await reply.next(), { done: true, value: undefined });
  });

  it('asks nothing when its signal aborted before', async () => {
    const server = await serve(says('Hi'));
    const { deltas, error } = await read(modelAt(server.url), { signal: AbortSignal.abort() });
    assert.deepEqual([deltas, error, server.requests.length], [[], undefined, 0]);
  });

  it('leaves no timer and no listener behind, however it ends', async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const caller = new AbortController();
    const before = timers();
    for (const answer of [
      refuses,
      malformed,
      empty,
      stream(chunk({ content: 'Bye.' }), chunk({}, 'stop')),
    ]) {
      const model: ChatModel = modelAt((await serve(answer)).url, {
        timeouts: { connectMs: 71_000, firstDeltaMs: 72_000, idleMs: 73_000, totalMs: 74_000 },
      });
      await read(model, { signal: caller.signal });
      assert.equal(getEventListeners(caller.signal, 'abort').length, 0);
    }
    // fetch and the server keep timers of their own for idle connections; ours would be seen as one
    // or two more a request.
    assert.ok(timers() - before < 4, `${before} timers before, ${timers()} after`);
  });
});
