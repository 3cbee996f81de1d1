import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import {
  droppedAfter,
  empty,
  malformed,
  mute,
  refuses,
  says,
  silentAfter,
  stream,
  type Answer,
  type ModelServer,
} from '../../faults/model-server.ts';
import {
  chunk,
  DONE,
  event,
  parallelToolCalls,
  usageChunk,
  VLLM_ERROR,
} from '../../faults/wire-shapes.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { collectGarbage } from '../../fixtures/garbage.ts';
import { answered, serve } from './chat-completions-server.ts';
import { HELLO, modelAt, read, type Reading } from './reading.ts';

describe('a model that thinks in its text', () => {
  const texts = ['<think>', '\nIs', ' it?\n', '</think>', '\n\n', 'Yes', '.<|im_end|>'];

  it('is heard without its thoughts and control tokens', async () => {
    const { url } = await serve(says(...texts), says(...texts.join('')), says(texts.join('')));
    for (let round = 0; round < 3; round++) assert.equal((await read(modelAt(url))).text, 'Yes.');
  });

  it('may call a tool even if every reply begins as thought and this one has none', async () => {
    const called = stream(...parallelToolCalls());
    const { deltas, error } = await answered(called, { beginsAsThought: true });
    assert.deepEqual([error, deltas.length], [undefined, 3]);
  });

  it('is reported once when it has spoken a thought without marking its beginning', async () => {
    const told: string[] = [];
    const { url } = await serve(says('Is', ' it?', '</think>', 'Yes.'));
    const model = modelAt(url);
    const onProblem = (problem: string): number => told.push(problem);
    assert.equal((await read(model, { onProblem })).text, 'Is it? Yes.');
    await read(model, { onProblem });
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /^openai:gpt-6-luna sent <\/think> without <think>.*THINKING=open/);
  });
});

describe('the timers of a stream', () => {
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

  it('keep running while a model thinks before its first word', async (t) => {
    const { send, pass, reading } = byHand(t);
    await send(chunk({ content: '<think>hm' }));
    await pass(399);
    await send(chunk({ content: ' hm' }));
    await pass(1);
    assert.equal((await reading).error?.code, 'first_delta_timeout');
  });

  for (const thought of [{ content: '<think>hm' }, { reasoning_content: 'hm' }]) {
    it(`restart while a model thinks after a word (${Object.keys(thought).join()})`, async (t) => {
      const { send, pass, reading } = byHand(t);
      await send(chunk({ content: 'Yes. ' }));
      await pass(99);
      await send(chunk(thought));
      await pass(99);
      await send(chunk({ content: '</think>No.' }, 'stop'), DONE);
      assert.equal((await reading).error, undefined);
    });
  }

  for (const keepAlive of [': keepalive', 'data: : keepalive', 'data: {}']) {
    it(`are not stopped by "${keepAlive}"`, async (t) => {
      const { send, pass, reading } = byHand(t);
      await send(chunk({ content: 'Yes.' }));
      await pass(99);
      await send(`${keepAlive}\n\n`);
      await pass(1);
      assert.equal((await reading).error?.code, 'idle_timeout');
    });
  }

  it('wait for a reply in which every chunk has a finish reason', async (t) => {
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
    ['chunks, the last of them with a finish reason', [chunk({ content: 'Yes.' }), chunk({}, 'stop')]],
    [
      'chunks that all have a finish reason, the last of them empty',
      [chunk({ content: 'Ye' }, 'stop'), chunk({ content: 's.' }, 'stop'), chunk({}, 'stop')],
    ],
  ] as const) {
    it(`soon end a reply that has come in ${what}, whatever keeps coming`, async (t) => {
      const { send, pass, reading } = byHand(t);
      let text: string | undefined;
      void reading.then((there) => (text = there.text));
      await send(...blocks);
      await pass(9);
      if (blocks.length > 1) await send('data:\n\n', usageChunk(1, 1), chunk({}, 'stop'));
      assert.equal(text, undefined);
      await pass(1);
      assert.equal(text, 'Yes.');
    });
  }

  it('start again while a model thinks after a finish reason that was not the end', async (t) => {
    const { send, pass, reading } = byHand(t);
    await send(chunk({ content: 'Yes. ' }, 'stop'));
    for (const field of ['reasoning_content', 'reasoning']) {
      await pass(9);
      await send(chunk({ [field]: 'hm' }));
      await pass(90);
    }
    await send(chunk({ content: 'No.' }), DONE);
    assert.equal((await reading).text, 'Yes. No.');
  });

  it('pause while the reader takes its time, even at the end of a reply', async (t) => {
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

  it('fire even after a garbage collection, before and after the headers', async () => {
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
  it('may have other fields beside the choices in an event', async () => {
    const extra = { message: 'ok', detail: 'ok', error: null };
    const first = event({ choices: [{ delta: { content: 'Yes.' } }], ...extra });
    const { text, error } = await answered(stream(first, DONE));
    assert.deepEqual([text, error], ['Yes.', undefined]);
  });

  it('may leave out the blank line after its last event', async () => {
    const last = chunk({ content: ' two' }, 'stop').trimEnd();
    for (const block of [last, `${last}\n`]) {
      const { text, error } = await answered(stream(chunk({ content: 'One' }), block));
      assert.deepEqual([text, error], ['One two', undefined]);
    }
  });

  it('is read to its end if the first chunk has a finish reason, or every one', async () => {
    const call = { tool_calls: [{ index: 0, id: 'c', function: { name: 'a', arguments: '{}' } }] };
    for (const blocks of [
      [chunk({ content: '' }, 'stop'), chunk({ content: 'Yes.' }), chunk(call), chunk({}, 'stop')],
      [chunk({ content: 'Y' }, 'stop'), chunk({ content: 'es.' }, 'stop'), chunk(call, 'stop')],
    ]) {
      for (const end of [[DONE], []]) {
        const { deltas, text, error } = await answered(stream(...blocks, ...end));
        assert.deepEqual([text, error], ['Yes.', undefined]);
        const expected = { id: 'c', name: 'a', args: '{}' };
        assert.deepEqual(deltas.at(-2), { type: 'toolCall', call: expected });
      }
    }
  });

  it('loses nothing to what follows its finish reason: rubbish, an error, or a drop', async () => {
    const finished = [chunk({ content: 'Bye.' }), chunk({}, 'stop')];
    for (const answer of [
      stream(...finished, 'data: {"usage":\n\n', DONE), stream(...finished, VLLM_ERROR, DONE),
      droppedAfter(...finished),
    ]) {
      const { text, error } = await answered(answer);
      assert.deepEqual([text, error], ['Bye.', undefined]);
    }
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

  it('by its signal yields nothing more, not even what was received', async () => {
    const { url } = await serve(says('One', ' two'));
    const caller = new AbortController();
    const reply = modelAt(url).stream(HELLO, { signal: caller.signal });
    await reply.next();
    caller.abort();
    assert.deepEqual(await reply.next(), { done: true, value: undefined });
  });

  it('by a signal that has already aborted asks nothing', async () => {
    const server = await serve(says('Hi'));
    const { deltas, error } = await read(modelAt(server.url), { signal: AbortSignal.abort() });
    assert.deepEqual([deltas, error, server.requests.length], [[], undefined, 0]);
  });

  it('leaves no timer and no listener behind, however the stream ends', async () => {
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
      const timeouts = { connectMs: 71_000, firstDeltaMs: 72_000, idleMs: 73_000, totalMs: 74_000 };
      await answered(answer, { timeouts }, { signal: caller.signal });
      assert.equal(getEventListeners(caller.signal, 'abort').length, 0);
    }
    // fetch and the server keep timers of their own for idle connections; ours would show as one or
    // two more per request.
    assert.ok(timers() - before < 4, `${before} timers before, ${timers()} after`);
  });
});
