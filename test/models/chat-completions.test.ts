import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, describe, it } from 'node:test';

import type { ChatModel, ModelError } from '../../src/models/model.ts';
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
import { HELLO, KEY, modelAt, read } from './reading.ts';

const servers: ModelServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

async function serve(...script: [Answer, ...Answer[]]): Promise<ModelServer> {
  const server = await startModelServer(script);
  servers.push(server);
  return server;
}

async function errorOf(answer: Answer, options: Parameters<typeof modelAt>[1] = {}): Promise<ModelError> {
  const { error } = await read(modelAt((await serve(answer)).url, options));
  assert.ok(error);
  assert.ok(!error.message.includes(KEY) && !/[\r\n]/.test(error.message), error.message);
  return error;
}

/** A fetch whose answer comes in exactly these chunks of bytes. */
function fetchOf(...chunks: Uint8Array[]): typeof fetch {
  return () => Promise.resolve(new Response(new ReadableStream({ start: (controller) => (chunks.forEach((bytes) => controller.enqueue(bytes)), controller.close()) })));
}

describe('ChatCompletionsModel', () => {
  it('streams the text token by token and the usage last', async () => {
    const { url } = await serve(says('Hello', ' there', '.'));
    const { deltas, error } = await read(modelAt(url));
    assert.equal(error, undefined);
    assert.deepEqual(deltas.slice(0, 3), ['Hello', ' there', '.'].map((text) => ({ type: 'text', text })));
    const usage = deltas[3];
    assert.ok(usage?.type === 'usage' && usage.firstDeltaMs > 0);
    assert.deepEqual({ ...usage, firstDeltaMs: 0 }, { type: 'usage', model: 'openai:gpt-5-nano', inputTokens: 19, outputTokens: 10, firstDeltaMs: 0 });
    assert.equal(deltas.length, 4);
  });

  it('yields the first token before the second exists', async () => {
    let release = (): void => undefined;
    const { url } = await serve(pausing([chunk({ content: 'One' })], new Promise<void>((resolve) => (release = resolve)), [chunk({ content: ' two' }, 'stop'), DONE]));
    const reply = modelAt(url).stream(HELLO, { signal: new AbortController().signal });
    assert.deepEqual((await reply.next()).value, { type: 'text', text: 'One' });
    release();
    assert.deepEqual((await reply.next()).value, { type: 'text', text: ' two' });
    await reply.return();
  });

  it('sends the prompt, the key and what makes the model fast', async () => {
    const server = await serve(says('Hi'));
    const tools = [{ name: 'list_menu', description: 'The menu', parameters: { type: 'object', properties: {} } }];
    await read(modelAt(server.url), { tools });
    const request = await server.request(0);
    assert.equal(request.path, '/v1/chat/completions');
    assert.equal(request.headers.authorization, `Bearer ${KEY}`);
    assert.deepEqual(request.body, {
      model: 'gpt-5-nano',
      messages: HELLO,
      stream: true,
      stream_options: { include_usage: true },
      reasoning_effort: 'minimal',
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
    const bytes = Buffer.from(`\uFEFF${KEEP_ALIVE}${textReply('Grüß', ' dich 🎈', '!').join('').replaceAll('\n', '\r\n')}`);
    for (let at = 0; at <= bytes.length; at++) {
      const { text, error, deltas } = await read(modelAt('http://model.test', { fetch: fetchOf(bytes.subarray(0, at), bytes.subarray(at)) }));
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
    const halves = [event('{"choices":[{"delta":{"content":"\\ud83c"}}]}'), event('{"choices":[{"delta":{"content":"\\udf88"}}]}')];
    const { text } = await read(modelAt((await serve(stream(...halves, chunk({}, 'stop'), DONE))).url));
    assert.equal(text, '🎈');
  });

  it('replaces a lone surrogate in the history, which vendors refuse', async () => {
    const server = await serve(says('Hi'));
    await read(modelAt(server.url), { messages: [{ role: 'assistant', content: 'cut \ud83c' }] });
    assert.deepEqual((await server.request(0)).body['messages'], [{ role: 'assistant', content: 'cut \uFFFD' }]);
  });

  it('passes over reasoning, null content, unknown fields and comments', async () => {
    const { url } = await serve(
      stream(KEEP_ALIVE, chunk({ reasoning_content: 'hmm', content: null, x: 1 }), 'event: ping\nid: 1\nretry: 5\n\n', chunk({ content: 'Yes.' }), chunk({ content: null }, 'stop'), DONE),
    );
    assert.equal((await read(modelAt(url))).text, 'Yes.');
  });

  it('takes the text out of content that comes in parts', async () => {
    const content = [{ type: 'thinking', thinking: [] }, { type: 'text', text: 'Yes.' }];
    assert.equal((await read(modelAt((await serve(stream(chunk({ content }, 'stop'), DONE))).url))).text, 'Yes.');
  });

  it('accepts a reply without [DONE] when the model has finished', async () => {
    const { text, error, deltas } = await read(modelAt((await serve(stream(chunk({ content: 'Bye.' }), chunk({}, 'stop')))).url));
    assert.deepEqual([text, error], ['Bye.', undefined]);
    const usage = deltas.at(-1);
    assert.ok(usage?.type === 'usage' && usage.inputTokens === undefined && usage.outputTokens === undefined);
  });

  it('accepts [DONE] without a finish reason', async () => {
    const { text, error } = await read(modelAt((await serve(stream(chunk({ content: 'Bye.' }), DONE))).url));
    assert.deepEqual([text, error], ['Bye.', undefined]);
  });

  it('does not wait long for an end that does not come after the model has finished', async () => {
    const { url } = await serve(silentAfter(chunk({ content: 'Bye.' }), chunk({}, 'stop'), usageChunk(3, 2)));
    const { text, error, deltas } = await read(modelAt(url, { timeOuts: { trailerMs: 20 } }));
    assert.deepEqual([text, error, deltas.length], ['Bye.', undefined, 2]);
  });

  it('keeps a finished reply whose connection breaks afterwards', async () => {
    const { text, error } = await read(modelAt((await serve(droppedAfter(chunk({ content: 'Bye.' }), chunk({}, 'stop')))).url));
    assert.deepEqual([text, error], ['Bye.', undefined]);
  });

  it('uses one connection for requests that follow each other', async () => {
    const server = await serve(says('One'), says('Two'));
    const model = modelAt(server.url);
    await read(model);
    await new Promise(setImmediate); // fetch gives a connection back a tick after its end; a tool takes longer
    await read(model);
    assert.equal(server.connectionsSeen, 1);
  });

  it('keeps a connection whose stream ends some time after [DONE]', async () => {
    let release = (): void => undefined;
    const server = await serve(pausing(textReply('One'), new Promise<void>((resolve) => (release = resolve)), []), says('Two'));
    const model = modelAt(server.url);
    assert.equal((await read(model)).text, 'One');
    release();
    assert.equal(await (await server.request(0)).wasCut, false);
    await new Promise((resolve) => setTimeout(resolve, 20)); // nothing tells when fetch has read the last chunk
    await read(model);
    assert.equal(server.connectionsSeen, 1);
  });

  it('cuts a connection that stays open after [DONE]', async () => {
    const server = await serve(silentAfter(...textReply('One')));
    await read(modelAt(server.url, { timeOuts: { trailerMs: 20 } }));
    assert.equal(await (await server.request(0)).wasCut, true);
  });

  it('opens the connection that the first request uses', async () => {
    const server = await serve(says('Hi'));
    const model = modelAt(server.url);
    await model.warm(new AbortController().signal);
    await new Promise(setImmediate); // fetch gives a connection back in the tick after its body was read
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
      { type: 'toolCall', call: { id: 'call_DdmO9pD3xa9XTPNJ32zg2hcA', name: 'get_weather', args: '{"location":"Paris"}' } },
      { type: 'toolCall', call: { id: 'call_1A2b3C', name: 'list_menu', args: '{}' } },
    ]);
    assert.equal(deltas[3]?.type, 'usage');
  });

  it('are told apart by id where Google leaves out the index', async () => {
    const { url } = await serve(stream(googleToolCall('call_1', 'a', '{"x":1}'), googleToolCall('call_2', 'b', '{}'), googleFinish(), DONE));
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
    const call = (id: string): string => chunk({ tool_calls: [{ index: 0, id, function: { name: id, arguments: '{}' } }] });
    const { deltas } = await read(modelAt((await serve(stream(call('a'), call('b'), chunk({}, 'tool_calls'), DONE))).url));
    assert.deepEqual(deltas.flatMap((delta) => (delta.type === 'toolCall' ? delta.call.id : [])), ['a', 'b']);
  });

  it('get an id where neither id nor index was sent, also when arguments follow without either', async () => {
    const { deltas } = await read(
      modelAt((await serve(stream(chunk({ tool_calls: [{ function: { name: 'a', arguments: '{' } }] }), chunk({ tool_calls: [{ id: '', function: { arguments: '}' } }] }), chunk({}, 'stop'), DONE))).url),
    );
    const [delta] = deltas;
    assert.ok(delta?.type === 'toolCall');
    assert.match(delta.call.id, /^call_.+/);
    assert.deepEqual([delta.call.name, delta.call.args], ['a', '{}']);
  });

  it('go back to Google with the signature they came with, calls of other models with the stand-in', async () => {
    const server = await serve(stream(googleToolCall('call_1', 'a', '{}', 'c2ln'), googleToolCall('call_2', 'b', '{}'), googleFinish(), DONE), says('Done.'));
    const model = modelAt(server.url, { name: 'google:gemini-3.5-flash-lite' });
    const toolCalls = (await read(model)).deltas.flatMap((delta) => (delta.type === 'toolCall' ? delta.call : []));
    const foreign = [{ id: 'call_9', name: 'c', args: '{}' }];
    await read(model, { messages: [{ role: 'assistant', content: '', toolCalls: foreign }, { role: 'tool', content: '1', toolCallId: 'call_9' }, { role: 'assistant', content: '', toolCalls }] });
    const wireCall = (id: string, name: string, signature?: string): object => ({
      id,
      type: 'function',
      function: { name, arguments: '{}' },
      ...(signature === undefined ? {} : { extra_content: { google: { thought_signature: signature } } }),
    });
    assert.deepEqual((await server.request(1)).body['messages'], [
      { role: 'assistant', content: null, tool_calls: [wireCall('call_9', 'c', 'skip_thought_signature_validator')] },
      { role: 'tool', tool_call_id: 'call_9', content: '1' },
      { role: 'assistant', content: null, tool_calls: [wireCall('call_1', 'a', 'c2ln'), wireCall('call_2', 'b')] },
    ]);
  });

  it('go to Mistral with ids it takes, the same for call and result', async () => {
    const server = await serve(says('Done.'));
    await read(modelAt(server.url, { name: 'mistral:mistral-small-latest' }), {
      messages: [{ role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'a', args: '{}' }] }, { role: 'tool', content: '1', toolCallId: 'call_1' }],
    });
    const text = JSON.stringify((await server.request(0)).body['messages']);
    const ids = [...text.matchAll(/"(?:id|tool_call_id)":"(\w+)"/g)].map(([, id]) => id ?? '');
    assert.equal(ids.length, 2);
    assert.equal(ids[0], ids[1]);
    assert.match(ids[0] ?? '', /^[a-z0-9]{9}$/);
  });

  it('are accepted up to 64 and refused beyond', async () => {
    const calls = (count: number): string[] => Array.from({ length: count }, (_, index) => chunk({ tool_calls: [{ index, id: `c${index}`, function: { name: 'a', arguments: '{}' } }] }));
    const { deltas } = await read(modelAt((await serve(stream(...calls(64), chunk({}, 'tool_calls'), DONE))).url));
    assert.equal(deltas.length, 65);
    assert.equal((await errorOf(stream(...calls(65), chunk({}, 'tool_calls'), DONE))).code, 'reply_too_large');
  });

  it('have at most 262,144 characters of arguments', async () => {
    const call = (length: number): string => chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'a', arguments: ' '.repeat(length) } }] });
    const { error } = await read(modelAt((await serve(stream(call(262_144), chunk({}, 'tool_calls'), DONE))).url));
    assert.equal(error, undefined);
    assert.equal((await errorOf(stream(call(262_144), call(1), chunk({}, 'tool_calls'), DONE))).code, 'reply_too_large');
  });
});

describe('a failing model', () => {
  const cases: readonly [string, Answer, Partial<ModelError>, Parameters<typeof modelAt>[1]?][] = [
    ['sends broken JSON', malformed, { code: 'malformed_stream', retryable: true }],
    ['sends JSON that is no object', stream(event('7')), { code: 'malformed_stream' }],
    ['sends JSON where a stream was asked for', fails(200, '{"choices":[]}'), { code: 'malformed_stream' }],
    ['sends an error with status 200', fails(200, '{"error":{"message":"overloaded","code":503}}'), { code: 'error_in_stream', status: 503, retryable: true }],
    ['breaks off with an error beside its choices', stream(chunk({ content: 'Hel' }), OPENROUTER_ERROR), { code: 'error_in_stream', retryable: true }],
    ['breaks off with an error of vLLM', stream(VLLM_ERROR), { code: 'error_in_stream', status: 500, retryable: true }],
    ['breaks off with an error that no retry heals', stream(event({ error: { message: 'too long', type: 'invalid_request_error' } })), { code: 'error_in_stream', retryable: false }],
    ['breaks the connection in mid-reply', droppedAfter(chunk({ content: 'Hel' })), { code: 'connection_dropped', retryable: true }],
    ['ends in mid-reply', stream(chunk({ content: 'Hel' })), { code: 'connection_dropped', retryable: true }],
    ['answers with nothing at all', stream(), { code: 'connection_dropped' }],
    ['answers with an empty reply', empty, { code: 'empty_reply', retryable: false }],
    ['answers with blanks only', stream(chunk({ content: ' \n' }), chunk({}, 'stop'), DONE), { code: 'empty_reply' }],
    ['thinks until it has no tokens left', stream(chunk({ reasoning_content: 'hmm' }), chunk({}, 'length'), DONE), { code: 'empty_reply' }],
    ['withholds its reply', stream(chunk({}, 'content_filter'), DONE), { code: 'content_filter', retryable: false }],
    ['refuses the key', refuses, { code: 'key_refused', status: 401, retryable: false }],
    ['refuses the key with 403', fails(403, '{}'), { code: 'key_refused', status: 403 }],
    ['refuses the key with 400, as Google does', fails(400, GOOGLE_REFUSED), { code: 'key_refused', status: 400 }],
    ['limits the rate', rateLimits({ 'retry-after': '2' }), { code: 'rate_limited', status: 429, retryable: true, retryAfterMs: 2_000 }],
    ['limits the rate in milliseconds', rateLimits({ 'retry-after-ms': '250', 'retry-after': '1' }), { code: 'rate_limited', retryAfterMs: 250 }],
    ['limits the rate until a date that is over', rateLimits({ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }), { code: 'rate_limited', retryAfterMs: 0 }],
    ['limits the rate in the body, as Google does', fails(429, '[{"error":{"details":[{"retryDelay":"13s"}]}}]'), { code: 'rate_limited', retryAfterMs: 13_000 }],
    ['has no quota left', fails(429, OPENAI_NO_QUOTA), { code: 'rate_limited', retryable: false }],
    ['is overloaded', overloaded, { code: 'http_error', status: 500, retryable: true }],
    ['is unknown', fails(404, '{"error":{"message":"The model does not exist"}}'), { code: 'http_error', status: 404, retryable: false }],
    ['sends no headers', mute, { code: 'connect_timeout', retryable: false }, { timeOuts: { connectMs: 20 } }],
    ['opens a stream and says nothing', silentAfter(), { code: 'first_delta_timeout', retryable: false }, { timeOuts: { firstDeltaMs: 300 } }],
    ['opens a stream and only thinks', silentAfter(chunk({ role: 'assistant', content: '' }), chunk({ reasoning_content: 'hm' })), { code: 'first_delta_timeout' }, { timeOuts: { firstDeltaMs: 300 } }],
    ['falls silent in mid-reply', silentAfter(chunk({ content: 'Hel' })), { code: 'idle_timeout' }, { timeOuts: { idleMs: 20 } }],
    ['falls silent in mid-call', silentAfter(chunk({ tool_calls: [{ index: 0, id: 'c', function: { name: 'a' } }] })), { code: 'idle_timeout' }, { timeOuts: { firstDeltaMs: 5_000, idleMs: 20 } }],
    ['is not done in time', silentAfter(chunk({ content: 'Hel' })), { code: 'total_timeout' }, { timeOuts: { totalMs: 40 } }],
  ];
  for (const [what, answer, expected, options] of cases) {
    it(`${what}: ${expected.code}`, async () => {
      const error = await errorOf(answer, options);
      for (const [field, value] of Object.entries(expected)) assert.equal(error[field as keyof ModelError], value, `${field} of ${error.message}`);
      assert.match(error.message, /^openai:gpt-5-nano /);
    });
  }

  it('that cannot be reached is named with its host and the reason', async () => {
    const { error } = await read(modelAt('http://127.0.0.1:1/v1'));
    assert.deepEqual([error?.code, error?.retryable], ['connection_failed', true]);
    assert.match(error?.message ?? '', /http:\/\/127\.0\.0\.1:1: \S+/);
  });

  it('that redirects is not followed: the key would go along', async () => {
    const server = await serve((response) => void response.writeHead(307, { location: '/elsewhere' }).end(), says('Hi'));
    const { error } = await read(modelAt(server.url));
    assert.deepEqual([error?.code, server.requests.length], ['connection_failed', 1]);
    assert.match(error?.message ?? '', /unexpected redirect/);
  });

  it('that refuses the key is reported with the variable, until it answers again', async () => {
    const told: string[] = [];
    const model = modelAt((await serve(refuses, refuses, says('Hi'))).url, { onProblem: (message) => told.push(message) });
    await read(model);
    await read(model);
    const sentence = 'openai:gpt-5-nano refused the key of OPENAI_API_KEY (HTTP 401)';
    assert.deepEqual([told, model.problems(), model.isUsable()], [[sentence], [sentence], true]);
    await read(model);
    assert.deepEqual(model.problems(), []);
  });

  it('that quotes the key is not quoted', async () => {
    const error = await errorOf(fails(422, JSON.stringify({ detail: [{ input: `Bearer ${KEY}` }] })));
    assert.match(error.message, /HTTP 422: .*Bearer \[key\]/);
  });

  it('that sends an endless error is read up to 64 KiB and then cut', async () => {
    const server = await serve((response) => {
      response.writeHead(500, { 'content-type': 'text/plain' });
      const more = (): void => void response.write('x'.repeat(16_384), () => !response.destroyed && setImmediate(more));
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

  it('may be read slowly: the time between deltas is the model’s, not the reader’s', async () => {
    let release = (): void => undefined;
    const blocks = textReply('One', ' two');
    const { url } = await serve(pausing(blocks.slice(0, 3), new Promise<void>((resolve) => (release = resolve)), blocks.slice(3)));
    const reply = modelAt(url, { timeOuts: { firstDeltaMs: 150, idleMs: 150 } }).stream(HELLO, { signal: new AbortController().signal });
    await reply.next();
    await new Promise((resolve) => setTimeout(resolve, 300)); // longer than the clocks that must not run
    release();
    assert.deepEqual((await reply.next()).value, { type: 'text', text: ' two' });
    assert.equal((await reply.next()).value?.type, 'usage'); // not cut: the end was still to be read
    assert.equal((await reply.next()).done, true);
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
    for await (const delta of modelAt(server.url).stream(HELLO, { signal: new AbortController().signal })) {
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
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const caller = new AbortController();
    const before = timers();
    for (const answer of [refuses, malformed, empty, stream(chunk({ content: 'Bye.' }), chunk({}, 'stop'))]) {
      const model: ChatModel = modelAt((await serve(answer)).url, { timeOuts: { connectMs: 71_000, firstDeltaMs: 72_000, idleMs: 73_000, totalMs: 74_000 } });
      await read(model, { signal: caller.signal });
      assert.equal(getEventListeners(caller.signal, 'abort').length, 0);
    }
    // fetch and the server keep timers of their own for idle connections; ours would be seen as one or two more a request.
    assert.ok(timers() - before < 4, `${before} timers before, ${timers()} after`);
  });
});
