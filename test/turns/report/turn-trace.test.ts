// What subscribers of the channel learn of a turn while it happens.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/agents/define-agent.ts';
import { withModel } from '../../../src/agents/with-model.ts';
import { MemoryStore } from '../../../src/conversations/memory-store.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createLogger, type Logger } from '../../../src/log.ts';
import { withFallbacks } from '../../../src/models/retry.ts';
import { cardNumbers } from '../../../src/redaction/card-numbers.ts';
import { createTestClient } from '../../../src/testing.ts';
import { tool } from '../../../src/tools/tool.ts';
import type { TurnPoint } from '../../../src/turns/report/turn-points.ts';
import {
  traceOf, NOT_TRACED, type Tracer, type TurnFollower,
} from '../../../src/turns/report/turn-trace.ts';
import { PromisedStore } from '../../conversations/promised-store.ts';
import {
  deferred, fired, Listener, serve, until, within, type TestAgent,
} from '../../fixtures/app.ts';
import { callerMessage } from '../../fixtures/turns.ts';

const CHANNEL = 'layercode-microserver:turn';

/** All points from now on. */
function subscribed(t: TestContext): TurnPoint[] {
  const points: TurnPoint[] = [];
  const listener = (point: unknown): void => void points.push(point as TurnPoint);
  subscribe(CHANNEL, listener);
  t.after(() => unsubscribe(CHANNEL, listener));
  return points;
}

function typesOf(points: readonly TurnPoint[]): string[] {
  return points.map(({ type }) => type);
}

function only<T extends TurnPoint['type']>(
  points: readonly TurnPoint[], type: T,
): Extract<TurnPoint, { readonly type: T }> {
  const found = points.filter((point) => point.type === type);
  assert.equal(found.length, 1, `${type} in ${typesOf(points).join(', ')}`);
  return found[0] as Extract<TurnPoint, { readonly type: T }>;
}

async function ended(points: readonly TurnPoint[]): Promise<void> {
  await until(() => points.some(({ type }) => type === 'turnEnded'), 'the end of the turn');
}

/** An agent whose model calls `look` once, and then says "Seen." */
function looking(run: (signal: AbortSignal) => unknown): TestAgent {
  return withModel(
    defineAgent({
      name: 'looking',
      prompt: 'Look.',
      tools: [
        tool({
          name: 'look',
          description: 'Looks.',
          parameters: {
            type: 'object', properties: { where: { type: 'string' } }, required: ['where'],
          },
          run: (_args, { signal }) => run(signal),
        }),
      ],
    }),
    scriptedModel([{ call: 'look', args: { where: 'secret place' } }, 'Seen.']),
  );
}

describe('the channel layercode-microserver:turn', () => {
  it('follows a turn from its start to its end', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {});
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    await ended(points);
    assert.deepEqual(typesOf(points), ['turnStarted', 'firstWord', 'turnEnded']);
    assert.equal(only(points, 'turnStarted').event, 'message');
    assert.equal(only(points, 'turnEnded').outcome, 'completed');
    assert.deepEqual({ ...points[0]?.turn }, {
      conversationId: client.conversationId, turnId: 't-1', wire: 'layercode', agent: 'tested',
    });
  });

  it('has one object for a turn in all of its points, and another for the next turn', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {});
    await (await client.say('Hello?')).text();
    await (await client.say('Hello?')).text();
    await until(() => points.length === 6, 'two turns');
    assert.equal(new Set(points.slice(0, 3).map(({ turn }) => turn)).size, 1);
    assert.equal(new Set(points.map(({ turn }) => turn)).size, 2);
  });

  it('has the times of the filler and of the first word', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {
      onMessage({ journal }, { say }) {
        journal.sayFiller('One moment.');
        void say('It rains.');
        void say('In Spain.');
      },
    });
    await (await client.say('Rain?')).text();
    await ended(points);
    assert.deepEqual(typesOf(points), ['turnStarted', 'filler', 'firstWord', 'turnEnded']);
    assert.ok(only(points, 'filler').afterMs <= only(points, 'firstWord').afterMs);
  });

  it('says what the turn waited for the store for', async (t) => {
    const points = subscribed(t);
    const memory = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const store = new PromisedStore(memory);
    const { client } = serve(t, looking(() => 'A table.'), { store });
    await (await client.say('Look!')).text();
    await ended(points);
    const waits = points.flatMap((point) => (point.type === 'storeWaited' ? [point] : []));
    assert.deepEqual(waits.map(({ step }) => step), ['open', 'tool_calls']);
    assert.ok(waits.every(({ durationMs }) => durationMs > 0));
    const { storeMs } = only(points, 'turnEnded');
    assert.equal(storeMs, waits.reduce((sum, { durationMs }) => sum + durationMs, 0));
  });

  // Only the log and the metrics counted a request that was cut off.
  it('says what a turn used that was interrupted in the middle of an answer', async (t) => {
    const points = subscribed(t);
    const model = scriptedModel([['Once upon', { waitMs: 600_000 }]]);
    const { client } = serve(t, withModel(defineAgent({ name: 'teller', prompt: 'Tell.' }), model));
    await client.say('Go on.', { interruptAfterWords: 1 });
    await ended(points);
    const { models = [], outcome } = only(points, 'turnEnded');
    assert.equal(outcome, 'interrupted');
    const [used] = models;
    assert.deepEqual([models.length, used?.requests, used?.isEstimated], [1, 1, true]);
    assert.ok(Number(used?.inputTokens) > 0 && Number(used?.outputTokens) > 0);
    await until(() => points.some(({ type }) => type === 'modelFailed'), 'the end of the request');
    assert.deepEqual(only(points, 'modelFailed').used, {
      inputTokens: used?.inputTokens, outputTokens: used?.outputTokens, isEstimated: true,
    });
  });

  it('says what failed, and that the caller heard the apology', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {
      onMessage() {
        throw new RangeError('too far');
      },
    });
    await (await client.say('Rain?')).text();
    await ended(points);
    assert.deepEqual(typesOf(points), ['turnStarted', 'apology', 'turnEnded']);
    const { outcome, error } = only(points, 'turnEnded');
    assert.equal(outcome, 'failed');
    assert.ok(error instanceof RangeError);
  });

  it('says why a turn was interrupted', async (t) => {
    const points = subscribed(t);
    const { client, interrupted } = serve(t, {
      async *onMessage({ signal }) {
        yield 'It rains';
        await fired(signal);
      },
    });
    const reply = await client.say('Rain?');
    await new Listener(reply).next();
    reply.drop();
    await interrupted.next();
    assert.equal(
      only(points, 'interruption').reason, 'the caller left or spoke over the reply',
    );
    assert.equal(only(points, 'turnEnded').outcome, 'interrupted');
  });

  it('has the beginning and the end of a tool call', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, looking(() => ({ seen: 'secret thing' })));
    await (await client.say('Look!')).text();
    await ended(points);
    const started = only(points, 'toolStarted');
    const over = only(points, 'toolEnded');
    assert.deepEqual([started.tool, over.tool], ['look', 'look']);
    assert.equal(started.toolCallId, over.toolCallId);
    assert.equal(over.outcome, 'completed');
    assert.ok(over.durationMs >= 0);
  });

  it('has what a tool threw', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, looking(() => Promise.reject(new RangeError('too far'))));
    await (await client.say('Look!')).text();
    await ended(points);
    const { outcome, error } = only(points, 'toolEnded');
    assert.equal(outcome, 'failed');
    assert.ok(error instanceof RangeError);
  });

  it('has a tool that the caller interrupted', async (t) => {
    const points = subscribed(t);
    const begun = deferred();
    const { client } = serve(t, looking((signal) => {
      begun.resolve();
      return fired(signal).then((reason) => Promise.reject(reason as Error));
    }));
    const reply = await client.say('Look!');
    await within(begun.promise, 'the tool');
    reply.drop();
    await until(() => points.some(({ type }) => type === 'toolEnded'), 'the end of the tool');
    assert.equal(only(points, 'toolEnded').outcome, 'interrupted');
  });

  it('has each request to a model, until its answer is complete', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, looking(() => 'seen'));
    await (await client.say('Look!')).text();
    await ended(points);
    assert.deepEqual(typesOf(points), [
      'turnStarted',
      'modelSent', 'firstToken', 'modelCompleted',
      'toolStarted', 'toolEnded',
      'modelSent', 'firstToken', 'firstWord', 'modelCompleted',
      'turnEnded',
    ]);
    const requests = points.flatMap((point) => ('request' in point ? [point.request] : []));
    assert.equal(new Set(requests.slice(0, 3)).size, 1);
    assert.equal(new Set(requests).size, 2);
  });

  it('has what a model of your own reports, even if that is only its usage', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {
      onMessage({ journal }) {
        const tokens = { inputTokens: 1, outputTokens: 1, firstDeltaMs: 5 };
        journal.noteFailedRequest('mine', 'rate_limited');
        journal.noteUsage({ type: 'usage', model: 'mine', ...tokens });
        return 'Yes.';
      },
    });
    await (await client.say('Look!')).text();
    await ended(points);
    const { request, model, failure } = only(points, 'modelFailed');
    assert.deepEqual([request, model, failure], [undefined, 'mine', 'rate_limited']);
    assert.equal(only(points, 'modelCompleted').usage.model, 'mine');
  });

  it('has retries and fallbacks', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, {
      onMessage({ journal }) {
        const failure = 'rate_limited';
        journal.noteRequest({ type: 'retry', model: 'a', failure, afterMs: 200 });
        journal.noteRequest({ type: 'fallback', model: 'a', failure, to: 'b' });
        return 'Yes.';
      },
    });
    await (await client.say('Look!')).text();
    await ended(points);
    assert.equal(only(points, 'retry').afterMs, 200);
    assert.equal(only(points, 'fallback').to, 'b');
  });

  it('is the same over Chat Completions', async (t) => {
    const points = subscribed(t);
    const key = 'key-of-the-client';
    const environment = { CHAT_COMPLETIONS_KEYS: key, SETTLE_MS: '0' };
    const failing = scriptedModel([{ fail: 'rate_limited' }]);
    const model = withFallbacks([failing, scriptedModel(['It rains.'])]);
    const agent = withModel(defineAgent({ name: 'weather', prompt: 'Tell.' }), model);
    const { app } = serve(t, agent, { environment });
    const client = createTestClient(app, { wire: 'chat-completions', key });
    t.after(() => client.close());
    await (await client.say('Rain?')).text();
    await ended(points);
    const told = typesOf(points).filter((type) => type !== 'modelSent');
    assert.deepEqual(told, [
      'turnStarted', 'modelFailed', 'fallback', 'firstToken', 'firstWord', 'modelCompleted',
      'turnEnded',
    ]);
    assert.equal(points[0]?.turn.wire, 'chat-completions');
    assert.equal(only(points, 'fallback').failure, 'rate_limited');
  });

  it('has no words of the caller, the agent or a tool', async (t) => {
    const points = subscribed(t);
    const { client } = serve(t, looking(() => 'secret thing'));
    await (await client.say('secret wish')).text();
    await ended(points);
    assert.doesNotMatch(JSON.stringify(points), /secret|Seen/);
  });

  it('has them if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so', async (t) => {
    const points = subscribed(t);
    const environment = { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' };
    const { client } = serve(t, looking(() => 'secret thing'), { environment });
    await (await client.say('secret wish')).text();
    await ended(points);
    assert.equal(only(points, 'turnStarted').text, 'secret wish');
    assert.equal(only(points, 'toolStarted').args, '{"where":"secret place"}');
    assert.equal(only(points, 'toolEnded').result, '"secret thing"');
    assert.equal(only(points, 'turnEnded').text, 'Seen.');
    const bodies = points.flatMap((point) => (point.type === 'modelSent' ? [point.body] : []));
    assert.match(bodies[0] ?? '', /secret wish/);
    assert.match(bodies[1] ?? '', /secret thing/);
    const answers = points.flatMap((point) =>
      point.type === 'modelCompleted' ? [point.answer?.text] : []);
    assert.deepEqual(answers, ['', 'Seen.']);
  });

  it('has no value that the agent redacts, whoever says it', async (t) => {
    const points = subscribed(t);
    const card = '4111 1111 1111 1111';
    const pay = tool({
      name: 'pay',
      description: 'Pays.',
      parameters: { type: 'object', properties: { card: { type: 'string' } } },
      run: () => `Charged ${card}.`,
    });
    const agent = defineAgent({
      name: 'cashier', prompt: `Test with ${card}.`, tools: [pay], redact: cardNumbers,
    });
    const model = scriptedModel([{ call: 'pay', args: { card } }, `Charged ${card}.`]);
    const environment = { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' };
    const { client } = serve(t, withModel(agent, model), { environment });
    await (await client.say(`Charge ${card}`)).text();
    await ended(points);
    assert.match(only(points, 'turnStarted').text ?? '', /^Charge \[card /);
    assert.match(only(points, 'toolEnded').result ?? '', /Charged \[card /);
    assert.doesNotMatch(JSON.stringify(points), /1111 1111/);
  });

  it('has nothing of a turn that began before anybody listened', async (t) => {
    const gate = deferred();
    const { client } = serve(t, {
      async *onMessage() {
        yield 'It ';
        await gate.promise;
        yield 'rains.';
      },
    });
    const listener = new Listener(await client.say('Rain?'));
    await listener.next();
    const points = subscribed(t);
    gate.resolve();
    await listener.rest();
    assert.deepEqual(points, []);
  });
});

describe('traceOf', () => {
  const agent = defineAgent({ name: 'tested', onMessage: () => 'Yes.' });
  const turn = {
    conversationId: 'c-1',
    turnId: 't-1',
    event: callerMessage('t-1', 'Hello?'),
    delivery: { headers: {} },
    host: { tracing: NOT_TRACED, speakers: { own: agent, ownName: undefined } },
    spoken: { text: () => '' },
  };

  it('creates nothing for a turn that nobody follows', () => {
    assert.equal(traceOf(turn), undefined);
  });

  it("creates one log per delivery, with the trace's id", () => {
    const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const follower = { place, note: () => undefined } as unknown as TurnFollower;
    const tracer: Tracer = { start: () => follower, flush: () => Promise.resolve() };
    const tracing = { tracer, hasWords: false };
    const trace = traceOf({ ...turn, host: { ...turn.host, tracing } });
    assert.ok(trace !== undefined);
    const lines: string[] = [];
    const [first, second] = [1, 2].map((requestId) => {
      const log = createLogger({ write: (line) => void lines.push(line) }).child({ requestId });
      return { log };
    }) as [{ log: Logger }, { log: Logger }];
    assert.equal(trace.logOf(first), trace.logOf(first));
    for (const delivery of [first, second, first]) trace.logOf(delivery).info('Hello');
    const ids = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      .map(({ requestId, traceId }) => [requestId, traceId]);
    assert.deepEqual(ids, [1, 2, 1].map((requestId) => [requestId, place.traceId]));
  });
});
