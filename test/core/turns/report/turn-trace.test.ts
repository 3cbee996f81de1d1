// What subscribers to the channel learn about a turn while it is running.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, it, type TestContext } from 'node:test';

import { createLogger } from '../../../../src/base/log.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../../src/core/agents/with-model.ts';
import { MemoryStore } from '../../../../src/core/conversations/memory-store.ts';
import { cardNumbers } from '../../../../src/core/redaction/card-numbers.ts';
import { tool } from '../../../../src/core/tools/tool.ts';
import type { TurnPoint } from '../../../../src/core/turns/report/turn-points.ts';
import {
  traceOf, type Tracer, type TurnFollower,
} from '../../../../src/core/turns/report/turn-trace.ts';
import { scriptedModel } from '../../../../src/kit/scripted-model.ts';
import {
  deferred, fired, Listener, serve, until, within, type ServeOptions, type TestAgent,
} from '../../../fixtures/app.ts';
import { modelAgent, serveCompletions } from '../../../fixtures/completions.ts';
import { callerMessage, RUN_OPTIONS } from '../../../fixtures/turns.ts';
import { PromisedStore } from '../../conversations/promised-store.ts';
import { fails } from '../single-message.ts';

const CHANNEL = 'layercode-microserver:turn';
const WITH_WORDS = { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' };

type Type = TurnPoint['type'];
type Point<T extends Type> = Extract<TurnPoint, { readonly type: T }>;

/** The points from now on. */
class Points {
  readonly list: TurnPoint[] = [];

  constructor(t: TestContext) {
    const listener = (point: unknown): void => void this.list.push(point as TurnPoint);
    subscribe(CHANNEL, listener);
    t.after(() => unsubscribe(CHANNEL, listener));
  }

  get types(): Type[] {
    return this.list.map(({ type }) => type);
  }

  all<T extends Type>(type: T): Point<T>[] {
    return this.list.filter((point): point is Point<T> => point.type === type);
  }

  only<T extends Type>(type: T): Point<T> {
    const found = this.all(type);
    assert.equal(found.length, 1, `${type} in ${this.types.join(', ')}`);
    return found[0] as Point<T>;
  }

  async has(type: Type): Promise<this> {
    await until(() => this.types.includes(type), type);
    return this;
  }
}

/** The points of a turn in which the caller says this to the agent. */
async function pointsOf(
  t: TestContext, agent: TestAgent, options: ServeOptions = {}, words = 'Look!',
): Promise<Points> {
  const points = new Points(t);
  await (await serve(t, agent, options).client.say(words, { turn_id: 't-1' })).text();
  return points.has('turnEnded');
}

/** An agent whose model calls `look` once, and then says "Seen." */
function looking(run: (signal: AbortSignal) => unknown): TestAgent {
  const properties = { where: { type: 'string' } } as const;
  const look = tool({
    name: 'look', description: 'Looks.',
    parameters: { type: 'object', properties, required: ['where'] },
    run: (_args, { signal }) => run(signal),
  });
  const script = [{ call: 'look', args: { where: 'secret place' } }, 'Seen.'];
  const agent = defineAgent({ name: 'looking', prompt: 'Look.', tools: [look] });
  return withModel(agent, scriptedModel(script));
}

describe('the channel layercode-microserver:turn', () => {
  it('follows each turn from its start to its end, with one object for each turn', async (t) => {
    const points = new Points(t);
    const { client } = serve(t, {});
    for (const turn_id of ['t-1', 't-2']) await (await client.say('Hello?', { turn_id })).text();
    await until(() => points.list.length === 6, 'two turns');
    assert.deepEqual(points.types.slice(0, 3), ['turnStarted', 'firstWord', 'turnEnded']);
    assert.equal(points.all('turnStarted')[0]?.event, 'message');
    assert.equal(points.all('turnEnded')[0]?.outcome, 'completed');
    const turns = [...new Set(points.list.map(({ turn }) => turn))];
    assert.deepEqual(turns.map((turn) => ({ ...turn })), ['t-1', 't-2'].map((turnId) => ({
      conversationId: client.conversationId, turnId, wire: 'layercode', agent: 'tested',
    })));
  });

  it('has the times of the filler and of the first word', async (t) => {
    const points = await pointsOf(t, {
      onMessage({ journal }, { say }) {
        journal.sayFiller('One moment.');
        void say('It rains.');
        void say('In Spain.');
      },
    });
    assert.deepEqual(points.types, ['turnStarted', 'filler', 'firstWord', 'turnEnded']);
    assert.ok(points.only('filler').afterMs <= points.only('firstWord').afterMs);
  });

  it('says in which steps the turn waited for the store', async (t) => {
    const store = new PromisedStore(new MemoryStore({ ttlMs: 60_000, maxConversations: 10 }));
    const points = await pointsOf(t, looking(() => 'A table.'), { store });
    const waits = points.all('storeWaited');
    // Before a tool runs, and before the model gets its result.
    assert.deepEqual(waits.map(({ step }) => step), ['open', 'tool_calls', 'tool_calls']);
    assert.ok(waits.every(({ durationMs }) => durationMs > 0));
    const sum = waits.reduce((total, { durationMs }) => total + durationMs, 0);
    assert.equal(points.only('turnEnded').storeMs, sum);
  });

  it('says how long tools waited because of SETTLE_MS', async (t) => {
    const points = new Points(t);
    const parameters = { type: 'object', properties: {} } as const;
    const book = tool({ name: 'book', description: 'Books.', parameters, run: () => 'booked' });
    const agent = modelAgent([{ call: 'book', args: {} }, 'Booked.'], { tools: [book] });
    const { platform } = serveCompletions(t, agent, { environment: { SETTLE_MS: '50' } });
    await platform.hear(['user: Book']);
    await points.has('turnEnded');
    const { settleMs = 0 } = points.only('turnEnded');
    assert.ok(settleMs > 0);
  });

  // Previously only the log and the metrics counted a request that was cut off.
  it('says why a turn was interrupted in the middle of an answer, and what it used', async (t) => {
    const points = new Points(t);
    const model = scriptedModel([['Once upon', { waitMs: 600_000 }]]);
    const { client } = serve(t, withModel(defineAgent({ name: 'teller', prompt: 'Tell.' }), model));
    await client.say('Go on.', { interruptAfterWords: 1 });
    await points.has('turnEnded');
    const { models = [], outcome } = points.only('turnEnded');
    assert.equal(outcome, 'interrupted');
    const reason = 'the caller left or spoke over the reply';
    assert.equal(points.only('interruption').reason, reason);
    const [{ requests, inputTokens, outputTokens, isEstimated } = assert.fail()] = models;
    assert.deepEqual([models.length, requests, isEstimated], [1, 1, true]);
    assert.ok(Number(inputTokens) > 0 && Number(outputTokens) > 0);
    await points.has('modelFailed');
    const used = { inputTokens, outputTokens, isEstimated: true };
    assert.deepEqual(points.only('modelFailed').used, used);
  });

  it('says what failed, and that the caller heard the apology', async (t) => {
    const points = await pointsOf(t, { onMessage: () => fails(new RangeError('too far')) });
    assert.deepEqual(points.types, ['turnStarted', 'apology', 'turnEnded']);
    const { outcome, error } = points.only('turnEnded');
    assert.deepEqual([outcome, error instanceof RangeError], ['failed', true]);
  });

  it('has what a tool threw', async (t) => {
    const points = await pointsOf(t, looking(() => fails(new RangeError('too far'))));
    const { outcome, error } = points.only('toolEnded');
    assert.deepEqual([outcome, error instanceof RangeError], ['failed', true]);
  });

  it('reports a tool call that the caller interrupted', async (t) => {
    const points = new Points(t);
    const begun = deferred();
    const { client } = serve(t, looking(async (signal) => {
      begun.resolve();
      throw await fired(signal);
    }));
    const reply = await client.say('Look!');
    await within(begun.promise, 'the tool');
    reply.drop();
    await points.has('toolEnded');
    assert.equal(points.only('toolEnded').outcome, 'interrupted');
  });

  it('reports each request to a model and each tool call, from beginning to end', async (t) => {
    const points = await pointsOf(t, looking(() => 'seen'));
    assert.deepEqual(points.types, [
      'turnStarted', 'modelSent', 'firstToken', 'modelCompleted', 'toolStarted', 'toolEnded',
      'modelSent', 'firstToken', 'firstWord', 'modelCompleted', 'turnEnded',
    ]);
    const requests = points.list.flatMap((point) => ('request' in point ? [point.request] : []));
    assert.equal(new Set(requests.slice(0, 3)).size, 1);
    assert.equal(new Set(requests).size, 2);
    const { tool: started, toolCallId } = points.only('toolStarted');
    const over = points.only('toolEnded');
    assert.deepEqual([started, over.tool, over.outcome], ['look', 'look', 'completed']);
    assert.equal(over.toolCallId, toolCallId);
    assert.ok(over.durationMs >= 0);
  });

  it('passes on what a model of your own reports, even if that is only its usage', async (t) => {
    const failure = 'rate_limited';
    const points = await pointsOf(t, {
      onMessage({ journal }) {
        const tokens = { inputTokens: 1, outputTokens: 1, firstDeltaMs: 5 };
        journal.noteFailedRequest('mine', failure);
        journal.noteUsage({ type: 'usage', model: 'mine', ...tokens });
        journal.noteRequest({ type: 'retry', model: 'a', failure, afterMs: 200 });
        journal.noteRequest({ type: 'fallback', model: 'a', failure, to: 'b' });
        return 'Yes.';
      },
    });
    const { request, model, failure: told } = points.only('modelFailed');
    assert.deepEqual([request, model, told], [undefined, 'mine', failure]);
    assert.equal(points.only('modelCompleted').usage.model, 'mine');
    assert.equal(points.only('retry').afterMs, 200);
    assert.equal(points.only('fallback').to, 'b');
  });

  it('has no words of the caller, the agent or a tool', async (t) => {
    const points = await pointsOf(t, looking(() => 'secret thing'), {}, 'secret wish');
    assert.doesNotMatch(JSON.stringify(points.list), /secret|Seen/);
  });

  it('has the words if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so', async (t) => {
    const options = { environment: WITH_WORDS };
    const points = await pointsOf(t, looking(() => 'secret thing'), options, 'secret wish');
    assert.equal(points.only('turnStarted').text, 'secret wish');
    assert.equal(points.only('toolStarted').args, '{"where":"secret place"}');
    assert.equal(points.only('toolEnded').result, '"secret thing"');
    assert.equal(points.only('turnEnded').text, 'Seen.');
    const bodies = points.all('modelSent').map(({ body }) => body);
    assert.match(bodies[0] ?? '', /secret wish/);
    assert.match(bodies[1] ?? '', /secret thing/);
    const answers = points.all('modelCompleted').map(({ answer }) => answer?.text);
    assert.deepEqual(answers, ['', 'Seen.']);
  });

  it('has no value that the agent redacts, whoever says it', async (t) => {
    const card = '4111 1111 1111 1111';
    const pay = tool({
      name: 'pay', description: 'Pays.',
      parameters: { type: 'object', properties: { card: { type: 'string' } } },
      run: () => `Charged ${card}.`,
    });
    const agent = withModel(
      defineAgent({
        name: 'cashier', prompt: `Test with ${card}.`, tools: [pay], redact: cardNumbers,
      }),
      scriptedModel([{ call: 'pay', args: { card } }, `Charged ${card}.`]),
    );
    const points = await pointsOf(t, agent, { environment: WITH_WORDS }, `Charge ${card}`);
    assert.match(points.only('turnStarted').text ?? '', /^Charge \[card /);
    assert.match(points.only('toolEnded').result ?? '', /Charged \[card /);
    assert.doesNotMatch(JSON.stringify(points.list), /1111 1111/);
  });

  it('has nothing about a turn that began before anybody subscribed', async (t) => {
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
    const points = new Points(t);
    gate.resolve();
    await listener.rest();
    assert.deepEqual(points.types, []);
  });
});

describe('traceOf', () => {
  const agent = defineAgent({ name: 'tested', onMessage: () => 'Yes.' });
  const turn = {
    conversationId: 'c-1', turnId: 't-1', event: callerMessage('t-1', 'Hello?'),
    delivery: { headers: {} },
    host: { options: RUN_OPTIONS, speakers: { own: agent, ownName: undefined } },
    spoken: { text: () => '' },
  };

  it('creates nothing for a turn that nobody follows', () => {
    assert.equal(traceOf(turn), undefined);
  });

  it("creates one log per delivery, with the trace's id", () => {
    const place = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const follower = { place, note: () => undefined } as unknown as TurnFollower;
    const tracer: Tracer = { start: () => follower, flush: () => Promise.resolve() };
    const host = { ...turn.host, options: { tracing: { tracer, hasWords: false } } };
    const trace = traceOf({ ...turn, host }) ?? assert.fail();
    const lines: string[] = [];
    const logger = createLogger({ write: (line) => void lines.push(line) });
    const [first, second] = [1, 2].map((requestId) => ({ log: logger.child({ requestId }) }));
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(trace.logOf(first), trace.logOf(first));
    for (const delivery of [first, second, first]) trace.logOf(delivery).info('Hello');
    const ids = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
      .map(({ requestId, traceId }) => [requestId, traceId]);
    assert.deepEqual(ids, [1, 2, 1].map((requestId) => [requestId, place.traceId]));
  });
});
