import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../src/log.ts';
import type { ModelError } from '../../src/models/model.ts';
import {
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
  stream,
  type Answer,
} from '../faults/model-server.ts';
import {
  chunk,
  DONE,
  event,
  GOOGLE_REFUSED,
  OPENAI_NO_QUOTA,
  OPENROUTER_ERROR,
  textReply,
  VLLM_ERROR,
} from '../faults/wire-shapes.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { errorOf, serve } from './chat-completions-server.ts';
import { HELLO, KEY, modelAt, read } from './reading.ts';

describe('a failing model', () => {
  const cases: readonly [string, Answer, Partial<ModelError>, Parameters<typeof modelAt>[1]?][] = [
    ['sends broken JSON', malformed, { code: 'malformed_stream', retryable: true }],
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
    ['has no quota left', fails(429, OPENAI_NO_QUOTA), { code: 'no_credit', retryable: false }],
    // continuedev/continue#9942 (DeepSeek), open-assistant-org/open-assistant#80 (OpenRouter)
    ['wants to be paid', fails(402, '{"error":{}}'), { code: 'no_credit', retryable: false }],
    // askimo-ai/askimo#277
    [
      'has no credit left, as Anthropic says it',
      fails(400, '{"error":{"message":"Your credit balance is too low to access the API."}}'),
      { code: 'no_credit', status: 400, retryable: false },
    ],
    [
      'has no credit left, though it calls that forbidden',
      fails(403, '{"error":{"code":"insufficient_quota"}}'),
      { code: 'no_credit', status: 403 },
    ],
    [
      'says so in mid-stream',
      stream(chunk({}), event({ error: { code: 402, message: 'Insufficient credits' } })),
      { code: 'no_credit', retryable: false },
    ],
    [
      'refuses words about a bill',
      fails(400, '{"error":{"message":"bad input: what about billing and my credit balance?"}}'),
      { code: 'http_error' },
    ],
    [
      'limits the rate for a while, with words about billing',
      fails(429, '{"error":{"message":"see billing","details":[{"retryDelay":"13s"}]}}'),
      { code: 'rate_limited', retryable: true, retryAfterMs: 13_000 },
    ],
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

  it('that redirects is not followed: the key would go with it', async () => {
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
  for (const [index, [what]] of answersQuoting('').entries()) {
    it(`quotes nothing of ${what}`, async () => {
      for (const words of ['my card is 4711', 'Kowalski']) {
        const [, answer] = answersQuoting(words)[index] ?? assert.fail();
        const { error } = await read(modelAt((await serve(answer)).url, { key: undefined }));
        assert.ok(error);
        let lines = '';
        createLogger({ write: (line) => void (lines += line) }).error('turn failed', { error });
        assert.match(lines, /"ModelError"/);
        assert.ok(!lines.includes(words.slice(-4)), lines);
      }
    });
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

  it('says what to check if the vendor does not know the model', async () => {
    const { message } = await errorOf(fails(404, '{"error":{"code":"model_not_found"}}'));
    assert.equal(message,
      'openai:gpt-6-luna answered HTTP 404 (model_not_found): ' +
      'check the name of the model, and the base URL');
  });

  it('has no code that contains the key', async () => {
    const body = JSON.stringify({ error: { code: `key-${KEY}` } });
    const { message } = await errorOf(fails(500, body));
    assert.equal(message, 'openai:gpt-6-luna answered HTTP 500');
  });
});
