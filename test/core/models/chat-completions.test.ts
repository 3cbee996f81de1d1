import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ChatMessage, ModelDelta } from '../../../src/core/models/model.ts';
import {
  openStream,
  pausing,
  says,
  silentAfter,
  stream,
} from '../../faults/model-server.ts';
import { chunk, DONE, KEEP_ALIVE, textReply } from '../../faults/wire-shapes.ts';
import { deferred } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { answered, serve } from './chat-completions-server.ts';
import { HELLO, KEY, modelAt, read } from './reading.ts';

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

describe('chatCompletionsModel', () => {
  it('streams the text token by token and the usage last', async () => {
    const { deltas, error } = await answered(says('Hello', ' there', '.'));
    assert.equal(error, undefined);
    const usage = deltas[3];
    assert.ok(usage?.type === 'usage' && usage.firstDeltaMs > 0);
    const { firstDeltaMs, durationMs = 0 } = usage;
    assert.ok(durationMs >= firstDeltaMs);
    assert.deepEqual(deltas, [
      ...['Hello', ' there', '.'].map((text) => ({ type: 'text', text })),
      {
        type: 'usage', model: 'openai:gpt-6-luna', inputTokens: 19, outputTokens: 10,
        firstDeltaMs, durationMs, finishReason: 'stop',
      },
    ]);
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

  it('sends no tools, effort, stream options or key if there are none', async () => {
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

  it('replaces a lone surrogate in the history, which vendors refuse', async () => {
    const server = await serve(says('Hi'));
    await read(modelAt(server.url), { messages: [{ role: 'assistant', content: 'cut \ud83c' }] });
    assert.deepEqual((await server.request(0)).body['messages'], [
      { role: 'assistant', content: 'cut \uFFFD' },
    ]);
  });

  it('skips reasoning, null content, unknown fields and comments', async () => {
    const { text } = await answered(
      stream(
        KEEP_ALIVE,
        chunk({ reasoning_content: 'hmm', content: null, x: 1 }),
        chunk({ reasoning: 'hm', reasoning_details: [{ text: 'hm' }] }),
        'event: ping\nid: 1\nretry: 5\n\n',
        chunk({ content: 'Yes.' }),
        chunk({ content: null }, 'stop'),
        DONE,
      ),
    );
    assert.equal(text, 'Yes.');
  });

  it('takes the text out of content that comes in parts', async () => {
    const content = [
      { type: 'thinking', thinking: [] },
      { type: 'text', text: 'Yes.' },
    ];
    assert.equal((await answered(stream(chunk({ content }, 'stop'), DONE))).text, 'Yes.');
  });

  for (const wrong of ['-5', '1e300', '1e999', '"7"', '[7]', 'null'])
    it(`does not accept ${wrong} as a number of tokens`, async () => {
      const usage = `{"prompt_tokens":${wrong},"completion_tokens":${wrong}}`;
      const counted = `data: {"choices":[],"usage":${usage}}\n\n`;
      const { deltas } = await answered(stream(chunk({ content: 'Bye.' }, 'stop'), counted, DONE));
      const told = deltas.at(-1);
      assert.ok(told?.type === 'usage');
      assert.deepEqual([told.inputTokens, told.outputTokens], [undefined, undefined]);
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

  for (const how of ['is read to its end', 'is left by its reader once it is over'] as const) {
    it(`keeps a connection whose stream ends some time after [DONE], and ${how}`, async () => {
      const ends = deferred();
      const server = await serve(pausing(textReply('One'), ends.promise, []), says('Two'));
      const model = modelAt(server.url);
      const reply = model.stream(HELLO, { signal: new AbortController().signal });
      for (let isOver = false; !isOver; ) isOver = (await reply.next()).done === true;
      if (how.startsWith('is left')) await reply.return();
      ends.resolve();
      assert.equal(await (await server.request(0)).wasCut, false);
      // nothing reports when fetch has read the last chunk
      await new Promise((resolve) => setTimeout(resolve, 20));
      await read(model);
      assert.equal(server.connectionsSeen, 1);
    });
  }

  it('cuts a connection that stays open after [DONE]', async () => {
    const server = await serve(silentAfter(...textReply('One')));
    await read(modelAt(server.url, { timeouts: { trailerMs: 20 } }));
    assert.equal(await (await server.request(0)).wasCut, true);
  });

  it('warms the connection that the first request uses', async () => {
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

describe('what is sent back', () => {
  const broken = [
    { id: 'functions.a:0', name: 'a', args: '{"n":' },
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

  interface SentMessage {
    readonly role: string;
    readonly tool_calls?: readonly { readonly id: string; readonly function: object }[];
    readonly tool_call_id?: string;
  }

  async function sentTo(name?: string): Promise<readonly SentMessage[]> {
    const server = await serve(says('Done.'));
    await read(modelAt(server.url, name === undefined ? {} : { name }), { messages });
    return (await server.request(0)).body['messages'] as SentMessage[];
  }

  it('has no broken calls, and ids that the vendor accepts, also in the results', async () => {
    const sent = await sentTo();
    const calls = sent[2]?.tool_calls ?? [];
    assert.deepEqual(calls.map((call) => call.function), [
      { name: 'a', arguments: '{}' },
      { name: 'invalid_call', arguments: '{}' },
      { name: 'invalid_call', arguments: '{}' },
    ]);
    const results = sent.flatMap(({ tool_call_id: id }) => id ?? []);
    assert.deepEqual(calls.map(({ id }) => id), results);
    assert.match(results[0] ?? '', /^[\w-]{1,40}$/);
  });

  // What each vendor accepts is tested in test/core/models/alternating-roles.test.ts and
  // providers.test.ts.
  for (const [name, roles] of [
    ['openai:gpt-6-luna', 'assistant user assistant tool tool tool user'],
    ['vllm:x', 'user assistant user assistant tool tool tool assistant user'],
  ] as const) {
    it(`has the order of roles that ${name} accepts`, async () => {
      assert.equal((await sentTo(name)).map(({ role }) => role).join(' '), roles);
    });
  }
});
