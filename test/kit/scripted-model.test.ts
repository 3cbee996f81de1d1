// The model that users test their agents with.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/core/agents/define-agent.ts';
import { withModel } from '../../src/core/agents/with-model.ts';
import { ModelError, type ModelDelta } from '../../src/core/models/model.ts';
import { hangUp } from '../../src/core/tools/tool-hang-up.ts';
import { tool } from '../../src/core/tools/tool.ts';
import type { ScriptedAnswer } from '../../src/kit/scripted-answer.ts';
import {
  scriptedModel, type Script, type ScriptedModel, type ScriptedRequest,
} from '../../src/kit/scripted-model.ts';
import { read } from '../core/models/reading.ts';
import { serve, type Served } from '../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';

const addPizza = tool({
  name: 'add_pizza',
  description: 'Puts pizzas into the cart.',
  parameters: {
    type: 'object',
    properties: { kind: { type: 'string' }, count: { type: 'integer' } },
    required: ['kind', 'count'],
  },
  run: ({ kind, count }) => ({ added: `${count} ${kind}` }),
});

/** A pizza agent that speaks with this model, for the length of a test. */
function serveWith(t: TestContext, model: ScriptedModel): Served {
  const pizza = defineAgent({ name: 'pizza', prompt: 'You sell.', tools: [addPizza, hangUp] });
  return serve(t, withModel(pizza, model));
}

async function deltasOf(
  model: ScriptedModel, signal = new AbortController().signal,
): Promise<ModelDelta[]> {
  const deltas: ModelDelta[] = [];
  for await (const delta of model.stream([], { signal })) deltas.push(delta);
  return deltas;
}

describe('scriptedModel', () => {
  it('speaks and calls several tools in one answer', async (t) => {
    const model = scriptedModel([
      [
        'Let me see. ',
        { call: 'add_pizza', args: { kind: 'funghi', count: 1 } },
        { call: 'add_pizza', args: { kind: 'margherita', count: 1 } },
      ],
      'Done.',
    ]);
    const { client } = serveWith(t, model);
    assert.equal(await (await client.say('One of each.')).text(), 'Let me see. Done.');
    const results = model.requests[1]?.messages.filter(({ role }) => role === 'tool');
    assert.deepEqual(results?.map(({ content }) => content), [
      '{"added":"1 funghi"}', '{"added":"1 margherita"}',
    ]);
  });

  it('calls a tool without arguments', async () => {
    const [delta] = await deltasOf(scriptedModel([{ call: 'look' }]));
    assert.deepEqual(delta, { type: 'toolCall', call: { id: 'call_1', name: 'look', args: '{}' } });
  });

  it('gives its calls ids that are unique in the script', async () => {
    const model = scriptedModel([[{ call: 'a' }, { call: 'b' }], { call: 'a' }]);
    const deltas = [...(await deltasOf(model)), ...(await deltasOf(model))];
    const ids = deltas.flatMap((delta) => (delta.type === 'toolCall' ? [delta.call.id] : []));
    assert.deepEqual(ids, ['call_1', 'call_2', 'call_3']);
  });

  it('streams its texts word by word, without losing spaces', async () => {
    const deltas = await deltasOf(scriptedModel(['  Two Funghi,\nplease. ']));
    const texts = deltas.flatMap((delta) => (delta.type === 'text' ? [delta.text] : []));
    assert.deepEqual(texts, ['  Two', ' Funghi,', '\nplease.', ' ']);
  });

  it('keeps what it was shown, as it was then', async (t) => {
    const model = scriptedModel([
      { call: 'add_pizza', args: { kind: 'funghi', count: 2 } }, 'Two Funghi.',
    ]);
    const { client } = serveWith(t, model);
    await (await client.say('Two Funghi, please.')).text();
    const { name, description, parameters } = addPizza;
    assert.equal(model.requests.length, 2);
    assert.deepEqual(model.requests[0]?.messages, [
      { role: 'system', content: 'You sell.' },
      { role: 'user', content: 'Two Funghi, please.' },
    ]);
    assert.deepEqual(model.requests[0]?.tools[0], { name, description, parameters });
    assert.deepEqual(model.requests[0]?.tools.map((shown) => shown.name), ['add_pizza', 'hang_up']);
  });

  it('reports its request in the log line', async (t) => {
    const { client, logLines } = serveWith(t, scriptedModel(['Hi.']));
    await (await client.say('Hi.')).text();
    await client.close();
    const line = logLines.find((text) => text.includes('"msg":"request"'));
    assert.match(line ?? '', /"model":"scripted:model","modelRequests":1/);
  });

  it('ends quietly once its signal has fired', async () => {
    assert.deepEqual(await deltasOf(scriptedModel(['Hi.']), AbortSignal.abort()), []);
  });

  it('says no more once its signal has fired in mid-reply', async () => {
    const caller = new AbortController();
    const deltas: ModelDelta[] = [];
    for await (const delta of scriptedModel(['One two.']).stream([], { signal: caller.signal })) {
      deltas.push(delta);
      caller.abort();
    }
    assert.deepEqual(deltas, [{ type: 'text', text: 'One' }]);
  });

  for (const [after, script, said] of [
    ["a tool's result", [{ call: 'add_pizza', args: { kind: 'funghi', count: 2 } }],
      "has 1 answer, and the model was asked once more, after a tool's result"],
    ["the caller's words", [],
      "has 0 answers, and the model was asked once more, after the caller's words"],
  ] as const) {
    it(`fails the turn when the script runs out after ${after}, and says so`, async (t) => {
      const { client, logLines } = serveWith(t, scriptedModel(script));
      assert.match(await (await client.say('Two.')).text(), /^Sorry, something went wrong/);
      assert.ok(logLines.some((line) => line.includes(said)), logLines.join(''));
    });
  }

  const wrong: readonly (readonly [script: unknown, message: RegExp])[] = [
    ['Hi.', /^scriptedModel takes a list of answers or a function, got string$/],
    [
      ['Hi.', 7],
      /^answer 2 .* must be a text, .* \{ fail \}, \{ cut: true \} or a list of these$/,
    ],
    [[null], /^answer 1 of scriptedModel must be a text/],
    [[[['Hi.']]], /^answer 1 of scriptedModel must be a text/],
    [[{ call: 7 }], /^answer 1 of scriptedModel must be a text/],
    [[{}], /^answer 1 of scriptedModel must be a text/],
    [
      [{ call: 'a', arguments: {} }],
      /^answer 1 of scriptedModel has a field "arguments"; it may have call and args$/,
    ],
    [[{ waitMs: 5, then: 'Hi.' }], /^answer 1 of scriptedModel has a field "then"; .* waitMs$/],
    [[{ fail: 503, call: 'a' }], /^answer 1 of scriptedModel has a field "fail"; .*call and args$/],
    [[{ waitMs: -1 }], /^answer 1 of scriptedModel: waitMs must be 0 to 2147483647$/],
    [[{ waitMs: 2_147_483_648 }], /^answer 1 of scriptedModel: waitMs must be 0 to 2147483647$/],
    [[{ waitMs: NaN }], /^answer 1 of scriptedModel: waitMs must be/],
    [[{ waitMs: '5' }], /^answer 1 of scriptedModel: waitMs must be/],
    [[{ fail: 399 }], /^answer 1 of scriptedModel: fail must be a status from 400 .*, got 399$/],
    [[{ fail: 600 }], /^answer 1 of scriptedModel: fail must be .*, got 600$/],
    [[{ fail: 500.5 }], /^answer 1 of scriptedModel: fail must be .*, got 500.5$/],
    [[{ fail: 'toString' }], /^answer 1 of scriptedModel: fail must be .*, got "toString"$/],
    [[[{ cut: true }, 'Hi.']], /^answer 1 of scriptedModel: nothing can follow a cut$/],
    [[[{ fail: 503 }, 'Hi.']], /^answer 1 of scriptedModel: nothing can follow a failure$/],
    [[['Hi.', { fail: 503 }]], /^answer 1 of .*: a status comes before any text or call; use a c/],
    [[[{ call: 'a' }, { fail: 503 }]], /^answer 1 of .*: a status comes before any text or call/],
    [[{ call: 'a', args: [1] }], /^answer 1 of scriptedModel: args must be an object$/],
    [[{ call: 'a', args: '{}' }], /^answer 1 of scriptedModel: args must be an object$/],
    [[{ call: 'a', args: null }], /^answer 1 of scriptedModel: args must be an object$/],
  ];
  for (const [script, message] of wrong) {
    it(`refuses ${JSON.stringify(script)}`, () => {
      const make = (): ScriptedModel => scriptedModel(script as readonly ScriptedAnswer[]);
      assert.throws(make, { name: 'TypeError', message });
    });
  }
});

describe('a scripted model that is told to fail', () => {
  const statuses: readonly (readonly [status: number, code: string, isRetryable: boolean])[] = [
    [400, 'http_error', false], [401, 'key_refused', false], [404, 'http_error', false],
    [429, 'rate_limited', true], [500, 'http_error', true], [503, 'http_error', true],
    [599, 'http_error', true],
  ];
  for (const [status, code, isRetryable] of statuses) {
    it(`fails as if a vendor had answered ${status}: ${code}`, async () => {
      const { deltas, error } = await read(scriptedModel([{ fail: status }]));
      assert.deepEqual(deltas, []);
      assert.deepEqual([error?.code, error?.status, error?.retryable], [code, status, isRetryable]);
      assert.match(error?.message ?? '', new RegExp(`^scripted:model .*HTTP ${status}`));
    });
  }

  it('breaks off after what it has said, with the code of a broken stream', async () => {
    const model = scriptedModel([['One two', { fail: 'connection_dropped' }]]);
    const { text, error } = await read(model);
    assert.equal(text, 'One two');
    assert.deepEqual([error?.code, error?.retryable], ['connection_dropped', true]);
    assert.match(error?.message ?? '', /failed with connection_dropped, as its script says/);
  });

  it('refuses without saying anything', async () => {
    const { deltas, error } = await read(scriptedModel([{ fail: 'content_filter' }]));
    assert.deepEqual([deltas, error?.code, error?.retryable], [[], 'content_filter', false]);
  });
});

describe('a scripted model that is late', () => {
  it('waits for the time it was given, before and between its words', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const model = scriptedModel([[{ waitMs: 800 }, 'One', { waitMs: 500 }, 'two']]);
    const stream = model.stream([], { signal: new AbortController().signal });
    for (const [ms, text] of [[800, 'One'], [500, 'two']] as const) {
      let delta: ModelDelta | undefined;
      void stream.next().then(({ value }) => (delta = value ?? undefined));
      clock.tick(ms - 1);
      await new Promise(setImmediate);
      assert.equal(delta, undefined);
      clock.tick(1);
      await new Promise(setImmediate);
      assert.deepEqual(delta, { type: 'text', text });
    }
    await stream.return();
  });

  it('reports how late its first word was, whatever follows later', async (t) => {
    const jump = jumpingClock(t);
    const stream = scriptedModel([[{ waitMs: 1 }, 'One', 'two']]).stream([], {
      signal: new AbortController().signal,
    });
    const first = stream.next();
    jump(5_000);
    await first;
    jump(7_000);
    await stream.next();
    const { value: last } = await stream.next();
    assert.ok(last?.type === 'usage', JSON.stringify(last));
    assert.ok(last.firstDeltaMs >= 5_000 && last.firstDeltaMs < 7_000, `${last.firstDeltaMs}`);
  });

  it('waits many times without a warning from Node', async (t) => {
    const warned = t.mock.method(process, 'emitWarning', () => undefined);
    await deltasOf(scriptedModel([Array.from({ length: 20 }, () => ({ waitMs: 0 }))]));
    assert.equal(warned.mock.callCount(), 0);
  });

  it('quietly ends its wait when its signal fires', async () => {
    const caller = new AbortController();
    const failures: string[] = [];
    const model = scriptedModel([['One', { waitMs: 60_000 }, 'two']]);
    const deltas: ModelDelta[] = [];
    const options = {
      signal: caller.signal,
      onFailedRequest: (name: string, failure: string) => failures.push(`${name} ${failure}`),
    };
    for await (const delta of model.stream([], options)) {
      deltas.push(delta);
      setImmediate(() => caller.abort());
    }
    assert.deepEqual(deltas, [{ type: 'text', text: 'One' }]);
    assert.deepEqual(failures, ['scripted:model interrupted']);
  });

  it('ends its wait when its reader stops', async () => {
    const model = scriptedModel([[{ waitMs: 60_000 }, 'One']]);
    const stream = model.stream([], { signal: new AbortController().signal });
    const next = stream.next();
    await new Promise(setImmediate);
    await stream.return();
    assert.equal((await next).done, true);
  });

  it('leaves no listener on the signal of its request', async () => {
    const { signal } = new AbortController();
    const model = scriptedModel([['One', { waitMs: 1 }, 'two']]);
    await read(model, { signal });
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });
});

describe('a script that is a function', () => {
  /** Calls the tool for what the caller wants, and reads out its result. */
  const clerk = ({ messages }: ScriptedRequest): ScriptedAnswer => {
    const last = messages.at(-1);
    if (last?.role === 'tool') return `It said ${last.content}`;
    const [, count] = /(\d+)/.exec(last?.content ?? '') ?? [];
    if (count === undefined) return 'How many?';
    return { call: 'add_pizza', args: { kind: 'funghi', count: Number(count) } };
  };

  it('answers every request according to what was asked', async (t) => {
    const { client } = serveWith(t, scriptedModel(clerk));
    assert.equal(await (await client.say('Funghi.')).text(), 'How many?');
    assert.equal(await (await client.say('Take 2.')).text(), 'It said {"added":"2 funghi"}');
    assert.equal(await (await client.say('And 3.')).text(), 'It said {"added":"3 funghi"}');
  });

  it('may be one answer in a list', async (t) => {
    const model = scriptedModel(['Hello.', ({ tools }) => `${tools.length} tools`]);
    const { client } = serveWith(t, model);
    assert.equal(await (await client.say('Hi.')).text(), 'Hello.');
    assert.equal(await (await client.say('What can you do?')).text(), '2 tools');
  });

  it('fails its request if its answer is invalid, and says which answer it was', async () => {
    const model = scriptedModel((() => Promise.resolve('Hi.')) as unknown as Script);
    const failures: string[] = [];
    const onFailedRequest = (_: string, failure: string): number => failures.push(failure);
    await assert.rejects(read(model, { onFailedRequest }), {
      name: 'TypeError', message: /^answer 1 of scriptedModel must be a text/,
    });
    assert.deepEqual(failures, ['failed']);
  });

  it('fails its request with what it throws', async () => {
    const thrown = new ModelError('empty_reply', 'mine');
    const model = scriptedModel(() => {
      throw thrown;
    });
    assert.equal((await read(model)).error, thrown);
  });
});
