import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import type { ModelError } from '../../../src/core/models/model.ts';
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
} from '../../faults/model-server.ts';
import {
  chunk,
  DONE,
  event,
  GOOGLE_REFUSED,
  OPENAI_NO_QUOTA,
  OPENROUTER_ERROR,
  textReply,
  VLLM_ERROR,
} from '../../faults/wire-shapes.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { answered, errorOf, serve } from './chat-completions-server.ts';
import { HELLO, KEY, modelAt, read } from './reading.ts';

type Options = Parameters<typeof modelAt>[1];
type Failure = readonly [
  what: string, answer: Answer, error?: Partial<ModelError>, options?: Options,
];

const [AGAIN, NEVER] = [{ retryable: true }, { retryable: false }];
const HEL = chunk({ content: 'Hel' });
const CALL = { index: 0, id: 'c', function: { name: 'a' } };
/** An object as text, nested so deeply that `JSON.stringify` has no stack for it. */
const DEEP = `${'{"a":'.repeat(9_000)}0${'}'.repeat(9_000)}`;
const DEEP_ARGUMENTS =
  `{"choices":[{"delta":{"tool_calls":[{"function":{"name":"a","arguments":${DEEP}}}]}}]}`;
const NO_CALL = { index: 0, id: 'c', function: { name: '', arguments: '' } };

/** What the model does, and what the error says, by the error's code. */
const FAILURES: Readonly<Record<string, readonly Failure[]>> = {
  malformed_stream: [
    ['sends broken JSON', malformed, AGAIN],
    ['sends JSON where a stream was asked for', fails(200, '{"choices":[]}')],
    ['nests arguments too deeply', stream(event(DEEP_ARGUMENTS), chunk({}, 'tool_calls')), AGAIN],
  ],
  error_in_stream: [
    ['sends an error with status 200', fails(200, '{"error":{"message":"overloaded","code":503}}'),
      { ...AGAIN, status: 503 }],
    ['breaks off with an error beside its choices', stream(HEL, OPENROUTER_ERROR), AGAIN],
    ['breaks off with an error of vLLM', stream(VLLM_ERROR), { ...AGAIN, status: 500 }],
    ['breaks off with an error that no retry heals',
      stream(event({ error: { message: 'too long', type: 'invalid_request_error' } })), NEVER],
    ['breaks off with a bare error', stream(HEL, event({ message: 'overloaded', code: 503 })),
      { ...AGAIN, status: 503 }],
    ['breaks off with a bare error that no retry heals',
      stream(event({ message: 'too long', code: 400 })), { ...NEVER, status: 400 }],
    ['breaks off with an error that is nested too deeply',
      stream(HEL, event(`{"error":${DEEP}}`)), AGAIN],
    ['breaks off with an error whose code is no number',
      stream(event({ error: { code: { toString: 1, valueOf: 1 } } })), AGAIN],
    ['breaks off with a detail', stream(HEL, event({ detail: 'overloaded' })), AGAIN],
    ['breaks off with an event named error',
      stream(HEL, `event: error\n${event({ code: 502, details: 'gone' })}`),
      { ...AGAIN, status: 502 }],
    ['breaks off with an event named error that is empty', stream('event: error\ndata:\n\n'),
      AGAIN],
    ['breaks off after a finish reason that was not the end',
      stream(chunk({ content: 'Hel' }, 'stop'), chunk({ content: 'lo' }, 'stop'), VLLM_ERROR)],
    ['finishes with an error', stream(HEL, chunk({}, 'error'), DONE),
      { ...AGAIN, status: undefined }],
  ],
  connection_dropped: [
    ['breaks the connection after a finish reason before the first word',
      droppedAfter(chunk({ content: '' }, 'stop')), AGAIN],
    ['breaks the connection in mid-reply', droppedAfter(HEL), AGAIN],
    ['answers with nothing at all', stream()],
  ],
  empty_reply: [
    ['answers with an empty reply', empty, NEVER],
    ['answers with blanks only', stream(chunk({ content: ' \n' }), chunk({}, 'stop'), DONE)],
    ['thinks and says no more', stream(...textReply('<think>hm</think>\n'))],
    ['makes an empty call without a name',
      stream(chunk({ tool_calls: [NO_CALL] }), chunk({}, 'tool_calls'), DONE)],
  ],
  unclosed_thought: [
    ['never ends its thought', stream(chunk({ content: '<think>hm' }), chunk({}, 'length'), DONE),
      NEVER],
    ['never ends a thought in mid-reply', stream(...textReply('Yes. ', '<think>hm'))],
    ['never ends the thought it is said to begin with', stream(...textReply('hm')), {},
      { beginsAsThought: true }],
  ],
  content_filter: [['withholds its reply', stream(chunk({}, 'content_filter'), DONE), NEVER]],
  key_refused: [
    ['refuses the key', refuses, { ...NEVER, status: 401 }],
    ['refuses the key with 403', fails(403, '{}'), { status: 403 }],
    ['refuses the key with 400, as Google does', fails(400, GOOGLE_REFUSED), { status: 400 }],
  ],
  rate_limited: [
    ['limits the rate', rateLimits({ 'retry-after': '2' }),
      { ...AGAIN, status: 429, retryAfterMs: 2_000 }],
    ['limits the rate in milliseconds', rateLimits({ 'retry-after-ms': '250', 'retry-after': '1' }),
      { retryAfterMs: 250 }],
    ['limits the rate in milliseconds that are not a number, and in seconds',
      rateLimits({ 'retry-after-ms': 'soon', 'retry-after': '2' }), { retryAfterMs: 2_000 }],
    ['limits the rate for a time that is not a number',
      rateLimits({ 'retry-after-ms': '-5', 'retry-after': 'soon' }),
      { ...AGAIN, retryAfterMs: undefined }],
    ['limits the rate until a date that has passed',
      rateLimits({ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }), { retryAfterMs: 0 }],
    ['limits the rate in the body, as Google does',
      fails(429, '[{"error":{"details":[{"retryDelay":"13s"}]}}]'), { retryAfterMs: 13_000 }],
    ['limits the rate for a while, with words about billing',
      fails(429, '{"error":{"message":"see billing","details":[{"retryDelay":"13s"}]}}'),
      { ...AGAIN, retryAfterMs: 13_000 }],
  ],
  no_credit: [
    ['has no quota left', fails(429, OPENAI_NO_QUOTA), NEVER],
    // continuedev/continue#9942 (DeepSeek), open-assistant-org/open-assistant#80 (OpenRouter)
    ['wants to be paid', fails(402, '{"error":{}}'), NEVER],
    // askimo-ai/askimo#277
    ['has no credit left, as Anthropic says it',
      fails(400, '{"error":{"message":"Your credit balance is too low to access the API."}}'),
      { ...NEVER, status: 400 }],
    ['has no credit left, though it calls that forbidden',
      fails(403, '{"error":{"code":"insufficient_quota"}}'), { status: 403 }],
    ['says in mid-stream that it has no credit left',
      stream(chunk({}), event({ error: { code: 402, message: 'Insufficient credits' } })), NEVER],
  ],
  http_error: [
    ['refuses words about a bill',
      fails(400, '{"error":{"message":"bad input: what about billing and my credit balance?"}}')],
    ['is overloaded', overloaded, { ...AGAIN, status: 500 }],
    ['is unknown', fails(404, '{"error":{"message":"The model does not exist"}}'),
      { ...NEVER, status: 404 }],
  ],
  connect_timeout: [['sends no headers', mute, NEVER, { timeouts: { connectMs: 20 } }]],
  first_delta_timeout: [
    ['opens a stream and says nothing', silentAfter(), NEVER, { timeouts: { firstDeltaMs: 300 } }],
    ['opens a stream and only thinks',
      silentAfter(chunk({ role: 'assistant', content: '' }), chunk({ reasoning_content: 'hm' })),
      {}, { timeouts: { firstDeltaMs: 300 } }],
    ['opens a stream and only finishes', silentAfter(chunk({ content: '' }, 'stop')), {},
      { timeouts: { firstDeltaMs: 300, trailerMs: 1 } }],
  ],
  idle_timeout: [
    ['falls silent in mid-reply', silentAfter(HEL), {}, { timeouts: { idleMs: 20 } }],
    ['falls silent in mid-call', silentAfter(chunk({ tool_calls: [CALL] })), {},
      { timeouts: { firstDeltaMs: 5_000, idleMs: 20 } }],
  ],
  total_timeout: [['is not done in time', silentAfter(HEL), {}, { timeouts: { totalMs: 40 } }]],
};

describe('a failing model', () => {
  for (const [code, failures] of Object.entries(FAILURES))
    for (const [what, answer, expected, options] of failures)
      it(`${what}: ${code}`, async () => {
        const error = await errorOf(answer, options);
        for (const [field, value] of Object.entries({ ...expected, code }))
          assert.equal(error[field as keyof ModelError], value, `${field} of ${error.message}`);
        assert.match(error.message, /^openai:gpt-6-luna /);
      });

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
    const sentence = 'openai:gpt-6-luna refused the key in OPENAI_API_KEY (HTTP 401)';
    assert.deepEqual([await told(), model.problems()], [[sentence], [sentence]]);
    assert.deepEqual([await told(), model.problems(), model.isUsable()], [[], [sentence], true]);
    assert.deepEqual([await told(), model.problems()], [[], []]);
    assert.deepEqual(await told(), [sentence]);
  });

  it('that sends an endless error is read up to 64 KiB and then cut off', async () => {
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

  it('that sends an endless event is cut off', async () => {
    const error = await errorOf((response) => {
      openStream(response);
      response.write(`data: ${'x'.repeat(1_048_577)}`);
    });
    assert.equal(error.code, 'reply_too_large');
  });

  it('is not one with a slow reader: the time between deltas is the model’s alone', async (t) => {
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
    clock.tick(100_000); // longer than any timer that must not run
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
      ['an error with a body that is not JSON', fails(502, words)],
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
      ['an event that is not JSON', stream(event(words))],
      ['an event that is broken JSON', stream(event(`{"choices":"${words}`))],
      ['a finish reason', stream(chunk({}, words), DONE)],
      ['an unclosed thought', stream(chunk({ content: `<think>${words}` }, words), DONE)],
      ['a header', (response) => void response.socket?.end(`HTTP/1.1 200\r\n${words}\r\n\r\n`)],
      ['bytes that are not HTTP', (response) => void response.socket?.end(words)],
      ['a redirect', (response) => void response.writeHead(307, { location: `/${words}` }).end()],
      ['an event that is too long', stream(event({ x: words.repeat(100_000) }))],
      ['arguments that are too long', stream(chunk({ tool_calls: [{ function: tooLong }] }))],
    ];
  };
  for (const [index, [what]] of answersQuoting('').entries()) {
    it(`quotes nothing from ${what}`, async () => {
      for (const words of ['my card is 4711', 'Kowalski']) {
        const [, answer] = answersQuoting(words)[index] ?? assert.fail();
        const { error } = await answered(answer, { key: undefined });
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
