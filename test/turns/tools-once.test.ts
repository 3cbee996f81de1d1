// What docs/tools.md promises about interruption and about calls that are not repeated, each over a
// real socket. The random interleavings of tool-effects.test.ts mix them.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { ToolCallContext, ToolRun } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { Message, ToolCall } from '../../src/conversations/message.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { scriptedModel } from '../../src/kit/scripted-model.ts';
import { tool, type Tool } from '../../src/tools/tool.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory } from '../conversations/stores/parts-in-memory.ts';
import {
  deferred, fired, messageEvent, rawRequest, serve, slowStore, Told, until, within,
  type RawConnection, type Served,
} from '../fixtures/app.ts';

type Run = (context: ToolCallContext) => string | Promise<string>;

interface Paying extends Served {
  /** One entry for each time that the tool ran. */
  readonly runs: Told<ToolCallContext>;
  /** Delivers the turn, which calls the tool and says its result. */
  deliver(fields?: Readonly<Record<string, unknown>>): Promise<RawConnection>;
  /** Drops the delivery. Resolves when the turn is interrupted. */
  drop(connection: RawConnection): Promise<void>;
  /** State and content of the results in history. */
  results(): Promise<(readonly [string, string])[]>;
}

interface Options extends Pick<ToolRun, 'whenInterrupted' | 'repeatable'> {
  readonly run?: Run;
  /** Called first in each run that is to pay. They are counted from 1. */
  readonly begin?: (turn: number, history: readonly Message[]) => Promise<void>;
  /** The arguments of the call in each run, in order. */
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly store?: ConversationStore;
}

/** Serves an agent that answers "pay" with the result of a tool. Other words call no tool. */
function paying(t: TestContext, options: Options = {}): Paying {
  const {
    run = () => '"paid"', begin, args = [], whenInterrupted, repeatable, environment, store,
  } = options;
  const runs = new Told<ToolCallContext>();
  let turns = 0;
  const served = serve(t, {
    async onMessage({ text, history, journal }, reply) {
      if (text !== 'pay') return void reply.say('Yes.');
      const call = { id: 'call_1', name: 'pay', args: args[turns++] ?? '{"amount":5}' };
      await begin?.(turns, history);
      const [outcome] = await journal.runTools([call], () => ({
        ...(whenInterrupted === undefined ? {} : { whenInterrupted }),
        ...(repeatable === undefined ? {} : { repeatable }),
        async run(context) {
          runs.tell(context);
          return run(context);
        },
      }));
      reply.say(outcome?.content ?? '');
    },
  }, {
    ...(environment === undefined ? {} : { environment }),
    ...(store === undefined ? {} : { store }),
  });
  return {
    ...served,
    runs,
    async deliver(fields = {}) {
      const connection = await served.raw();
      connection.write(rawRequest(messageEvent({ text: 'pay', ...fields })));
      return connection;
    },
    async drop(connection) {
      connection.socket.destroy();
      await served.interrupted.next('the interruption');
    },
    async results() {
      return (await served.messages('c-1')).flatMap((message) =>
        message.role === 'tool' ? [[message.state, message.content] as const] : [],
      );
    },
  };
}

/** The reply, once it has ended. */
async function ended(connection: RawConnection): Promise<string> {
  return connection.read((text) => text.includes('response.end'), 'the end of the reply');
}

/** A tool that ignores its signal. */
function gated(): { run: Run; open: (content: string) => void } {
  const gate = deferred<string>();
  return { run: () => gate.promise, open: gate.resolve };
}

function emptyStore(): MemoryStore {
  return new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
}

const untilAborted: Run = async ({ signal }) => {
  throw await fired(signal);
};

describe('a tool call that is interrupted', () => {
  it('is shown as still running while it runs', async (t) => {
    const { run, open } = gated();
    const served = paying(t, { run });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    assert.deepEqual(await served.results(), [['running', '{"status":"still running"}']]);
    open('"paid"');
  });

  it('is awaited for a moment by the next run of its turn, whose prompt has the result', async (t) => {
    const { run, open } = gated();
    const prompts: (readonly string[])[] = [];
    const served = paying(t, {
      run,
      async begin(_turn, history) {
        prompts.push(history.filter(({ role }) => role === 'tool').map(({ content }) => content));
      },
    });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    const again = await served.deliver();
    await until(() => served.app.runningTurns === 1, 'the next run');
    open('"paid"');
    await ended(again);
    assert.deepEqual(prompts, [[], ['"paid"']]);
  });

  it('has in history what it returns afterwards, even behind a newer turn', async (t) => {
    const { run, open } = gated();
    const served = paying(t, { run });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    await (await served.client.post(messageEvent({ turn_id: 't-2' }))).text();
    open('"paid"');
    await until(() => served.app.runningTurns === 0, 'the end');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await served.results(), [['completed', '"paid"']]);
    assert.deepEqual((await served.history('c-1')).slice(-2), [
      ['user', 'Hello?'], ['assistant', 'Yes.', 'completed'],
    ]);
  });

  it('gets its own error into history', async (t) => {
    const served = paying(t, {
      async run({ signal }) {
        await fired(signal);
        throw new Error('card refused');
      },
    });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await served.results(), [['completed', '{"error":"card refused"}']]);
  });

  for (const [what, run] of [
    ['with its signal\'s reason', untilAborted],
    ['with an error whose cause is the reason', async ({ signal }) => {
      throw new Error('fetch failed', { cause: await fired(signal) });
    }],
    ['with an AbortError', async ({ signal }) => {
      await fired(signal);
      throw new DOMException('This operation was aborted', 'AbortError');
    }],
  ] as const satisfies readonly (readonly [string, Run])[]) {
    it(`is interrupted when it ends ${what}`, async (t) => {
      const served = paying(t, { run });
      const connection = await served.deliver();
      await served.runs.next();
      await served.drop(connection);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(await served.results(), [['interrupted', '{"error":"interrupted"}']]);
    });
  }

  it('that fails with an AbortError before any interruption has failed', async (t) => {
    const served = paying(t, {
      run: () => Promise.reject(new DOMException('of its own', 'AbortError')),
    });
    await ended(await served.deliver());
    assert.deepEqual(await served.results(), [['completed', '{"error":"of its own"}']]);
  });
});

describe('a tool that wants to finish', () => {
  it('is not told of an interruption', async (t) => {
    const { run, open } = gated();
    const served = paying(t, { run, whenInterrupted: 'finish' });
    const connection = await served.deliver();
    const { signal } = await served.runs.next();
    await served.drop(connection);
    assert.equal(signal.aborted, false);
    open('"paid"');
  });

  it('is ended when the time of its turn is over', async (t) => {
    const served = paying(t, {
      run: untilAborted, whenInterrupted: 'finish', environment: { TURN_TIMEOUT_SECONDS: '0.2' },
    });
    const connection = await served.deliver();
    const { signal } = await served.runs.next();
    await served.drop(connection);
    assert.equal(signal.aborted, false);
    await within(fired(signal), 'the signal');
  });

  it('is waited for by a shutdown', async (t) => {
    const { run, open } = gated();
    const store = emptyStore();
    const close = t.mock.method(store, 'close');
    const served = paying(t, {
      run, whenInterrupted: 'finish', store, environment: { SHUTDOWN_TIMEOUT_SECONDS: '60' },
    });
    const connection = await served.deliver();
    const { signal } = await served.runs.next();
    await served.drop(connection);
    const closed = served.app.close();
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([signal.aborted, close.mock.callCount()], [false, 0]);
    const kept = store.read('c-1');
    open('"paid"');
    await within(closed, 'the end of the server');
    const [result] = kept?.turns[0]?.messages?.filter(({ role }) => role === 'tool') ?? [];
    assert.equal(result?.content, '"paid"');
  });

  it('is ended by a shutdown that has no time', async (t) => {
    const served = paying(t, { run: untilAborted, whenInterrupted: 'finish' });
    await served.deliver();
    const { signal } = await served.runs.next();
    await within(served.app.close(), 'the end of the server');
    assert.equal(signal.aborted, true);
  });

  it('is ended by a shutdown that has no time, long after its caller has left', async (t) => {
    const served = paying(t, { run: untilAborted, whenInterrupted: 'finish' });
    const connection = await served.deliver();
    const { signal } = await served.runs.next();
    await served.drop(connection);
    await within(served.app.close(), 'the end of the server');
    assert.equal(signal.aborted, true);
  });
});

describe('a call of a turn that is delivered again', () => {
  it('is not repeated if it completed, even with its arguments in another order', async (t) => {
    const { run, open } = gated();
    const args = ['{"amount":5,"to":"Al"}', '{ "to":"Al", "amount":5 }'];
    const served = paying(t, { run, args });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    open('"paid once"');
    await new Promise((resolve) => setImmediate(resolve));
    assert.match(await ended(await served.deliver()), /paid once/);
    assert.equal(served.runs.all.length, 1);
  });

  it('runs if its arguments are different', async (t) => {
    const served = paying(t, { run: untilAborted, args: ['{"amount":5}', '{"amount":6}'] });
    const connection = await served.deliver();
    const first = await served.runs.next();
    await served.drop(connection);
    await served.deliver();
    const second = await served.runs.next();
    assert.notEqual(second.idempotencyKey, first.idempotencyKey);
  });

  it('is joined if it is still running', async (t) => {
    const { run, open } = gated();
    const served = paying(t, { run });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    const again = await served.deliver();
    await until(() => served.app.runningTurns === 1, 'the second delivery');
    open('"paid once"');
    assert.match(await ended(again), /paid once/);
    assert.equal(served.runs.all.length, 1);
  });

  it('has its result if it ends before the second run asks for it', async (t) => {
    const { run, open } = gated();
    const [asked, asking] = [deferred(), new Told<number>()];
    const served = paying(t, {
      run,
      async begin(turn) {
        asking.tell(turn);
        if (turn === 2) await asked.promise; // its model is slow
      },
    });
    const connection = await served.deliver();
    await served.runs.next();
    await served.drop(connection);
    const again = await served.deliver();
    await until(() => asking.all.length === 2, 'the second run');
    open('"paid once"');
    await new Promise((resolve) => setImmediate(resolve));
    asked.resolve();
    assert.match(await ended(again), /paid once/);
    assert.equal(served.runs.all.length, 1);
  });

  it('runs again under the same key if it was interrupted', async (t) => {
    let count = 0;
    const served = paying(t, {
      run: (context) => (++count === 1 ? untilAborted(context) : '"paid"'),
    });
    const connection = await served.deliver();
    const first = await served.runs.next();
    await served.drop(connection);
    assert.match(await ended(await served.deliver()), /paid/);
    const second = await served.runs.next();
    assert.match(first.idempotencyKey, /^[0-9a-f]{64}$/);
    assert.equal(second.idempotencyKey, first.idempotencyKey);
    assert.equal(first.toolCallId, 'call_1');
  });
});

describe('a call whose process died', () => {
  /** What that process has stored. */
  function storedBy(dying: MemoryStore): MemoryStore {
    const kept = structuredClone(dying.read('c-1'));
    const store = emptyStore();
    store.update('c-1', (conversation) => Object.assign(conversation, kept));
    return store;
  }

  /** The store of a process that died while the tool ran. */
  async function left(t: TestContext): Promise<{ store: ConversationStore; key: string }> {
    const dying = emptyStore();
    const served = paying(t, { run: untilAborted, store: dying });
    await served.deliver();
    const { idempotencyKey } = await served.runs.next();
    return { store: storedBy(dying), key: idempotencyKey };
  }

  it('has an unknown outcome, and is not started again', async (t) => {
    const { store } = await left(t);
    const served = paying(t, { store });
    assert.match(await ended(await served.deliver()), /outcome unknown/);
    assert.equal(served.runs.all.length, 0);
    assert.deepEqual((await served.results())[0], ['unknown', '{"error":"outcome unknown"}']);
    // Nobody knows the agent's tools, and what the model called may be a caller's words.
    const line = served.logLines.find((one) => one.includes('tool call is unknown')) ?? '';
    assert.match(line, /"tool":"unknown"/);
  });

  it('is started again under the same key if its tool is repeatable', async (t) => {
    const { store, key } = await left(t);
    const served = paying(t, { store, repeatable: true });
    assert.match(await ended(await served.deliver()), /paid/);
    assert.deepEqual(served.runs.all.map(({ idempotencyKey }) => idempotencyKey), [key]);
  });

  for (const repeatable of [true, false]) {
    it(`${repeatable ? 'runs' : 'does not run'} again by itself, before a model is asked, where its
      tool ${repeatable ? 'is' : 'is not'} repeatable`.replace(/\s+/g, ' '), async (t) => {
      const { store, key } = await left(t);
      const keys: string[] = [];
      const pay = tool({
        name: 'pay',
        description: 'Pays.',
        parameters: { type: 'object', properties: { amount: { type: 'number' } } },
        repeatable,
        run: (_args, { idempotencyKey }) => {
          keys.push(idempotencyKey);
          return 'paid';
        },
      });
      const model = scriptedModel(({ messages }) => {
        const results = messages.filter(({ role }) => role === 'tool');
        return results.at(-1)?.content ?? 'no result';
      });
      const agent = defineAgent({ name: 'cashier', prompt: 'Be brief.', model, tools: [pay] });
      const { client, logLines } = serve(t, agent, { store });
      const said = await (await client.post(messageEvent({ text: 'pay' }))).text();
      assert.equal(said.includes('paid'), repeatable);
      assert.deepEqual(keys, repeatable ? [key] : []);
      // Nobody has to look for what a call did that runs again.
      const lines = logLines.filter((one) => one.includes('tool call is unknown'));
      assert.equal(lines.length, repeatable ? 0 : 1);
      assert.equal(lines.every((line) => line.includes('"tool":"pay"')), true);
    });
  }

  for (const [title, once, count] of [
    ['is not counted by a new turn where its tool is repeatable, as that changes nothing', {}, 0],
    ['is counted by a new turn where its tool is repeatable, and acts once', { once: true }, 1],
  ] as const)
    it(title, async (t) => {
      const began = new Told<ToolCallContext>();
      const pay = (run: Run): Tool => tool({
        name: 'pay',
        description: 'Pays.',
        parameters: { type: 'object', properties: { amount: { type: 'number' } } },
        repeatable: true,
        ...once,
        run: (_args, context) => run(context),
      });
      const served = (store: ConversationStore, run: Run): Served => {
        const model = scriptedModel(({ messages }) =>
          messages.at(-1)?.content === 'pay' ? [{ call: 'pay', args: {} }] : 'Yes.');
        const tools = [pay(run)];
        const agent = defineAgent({ name: 'cashier', prompt: 'Be brief.', model, tools });
        return serve(t, agent, { store });
      };
      const dying = emptyStore();
      const first = await served(dying, (context) => {
        began.tell(context);
        return untilAborted(context);
      }).raw();
      first.write(rawRequest(messageEvent({ text: 'pay' })));
      await began.next();
      const { client, logLines } = served(storedBy(dying), () => assert.fail('it ran'));
      await (await client.post(messageEvent({ text: 'Hello?', turn_id: 't-2' }))).text();
      const lines = logLines.filter((one) => one.includes('tool call is unknown'));
      assert.equal(lines.length, count);
    });
});

describe('a call that cannot be kept', () => {
  it('runs all the same if its intent cannot be stored, and the log says so', async (t) => {
    const store = slowStore();
    const update = store.update.bind(store);
    const served = paying(t, { store });
    let calls = 0;
    store.update = (id, change) => {
      calls += 1;
      return calls === 2 ? Promise.reject(new Error('disk full')) : update(id, change);
    };
    assert.match(await ended(await served.deliver()), /paid/);
    const isSaid = (line: string): boolean =>
      line.includes('tool calls could not be stored; they run unprotected');
    assert.ok(served.logLines.some(isSaid));
  });

  it('is reported as unprotected if a shared store does not answer', async (t) => {
    const parts = new PartsInMemory();
    const served = paying(t, { store: sharing(parts) });
    const unprotected = (): number =>
      served.logLines.filter((line) => line.includes('run unprotected')).length;
    assert.match(await ended(await served.deliver({ turn_id: 'before' })), /paid/);
    assert.equal(unprotected(), 0);
    parts.failWith = new Error('connection refused');
    assert.match(await ended(await served.deliver({ turn_id: 'during' })), /paid/);
    assert.equal(unprotected(), 1);
    assert.equal(served.runs.all.length, 2);
    const states = (await served.results()).map(([state]) => state);
    assert.deepEqual(states, ['completed', 'completed'], 'it is remembered');
  });

  it('is dropped with a line in the log if its conversation was cleared', async (t) => {
    const { run, open } = gated();
    const served = paying(t, { run });
    await served.deliver();
    await served.runs.next();
    await served.app.conversations.clear('c-1');
    open('"paid"');
    const isSaid = (line: string): boolean => line.includes('too late to be kept');
    await until(() => served.logLines.some(isSaid), 'the line');
    assert.deepEqual(await served.results(), []);
  });

  it('begins all the same if its conversation was cleared before it', async (t) => {
    const { client, app, messages } = serve(t, {
      async onMessage({ conversationId, journal }, reply) {
        await app.conversations.clear(conversationId);
        const calls = [{ id: 'c1', name: 'pay', args: '{}' }];
        const [outcome] = await journal.runTools(calls, () => ({ run: async () => '"paid"' }));
        reply.say(outcome?.content ?? '');
      },
    });
    assert.equal(await (await client.say('Hello?')).text(), '"paid"');
    assert.deepEqual(await messages(), []);
  });

  it('changes nothing if an agent gives the result of a call that it never made', async (t) => {
    const { client, history } = serve(t, {
      onMessage({ journal }) {
        journal.noteToolResult('nobody', '1');
        void journal.noteToolCalls([{ id: 'call_1', name: 'pay', args: '{}' }]);
        journal.noteToolResult('nobody', '2');
        journal.noteToolResult('call_1', '3');
        journal.noteToolResult('call_1', '4');
        return 'Done.';
      },
    });
    assert.equal(await (await client.say('Hello?')).text(), 'Done.');
    assert.deepEqual(await history(), [
      ['user', 'Hello?'], ['assistant', '', 'completed'], ['tool', '3'],
      ['assistant', 'Done.', 'completed'],
    ]);
  });
});

describe('calls of one reply', () => {
  /** The context that each call was given, in order. */
  async function told(
    t: TestContext,
    calls: readonly ToolCall[],
  ): Promise<readonly ToolCallContext[]> {
    const runs = new Told<ToolCallContext>();
    const { client } = serve(t, {
      async onMessage({ journal }, reply) {
        const outcomes = await journal.runTools(calls, () => ({
          async run(context) {
            runs.tell(context);
            return JSON.stringify(context.toolCallId);
          },
        }));
        reply.say(outcomes.map(({ call, content }) => `${call.id}=${content}`).join(' '));
      },
    });
    const text = await (await client.say('Hello?')).text();
    const results = runs.all.map(({ toolCallId }) => `${toolCallId}="${toolCallId}"`);
    assert.equal(text, results.join(' '));
    return runs.all;
  }

  it('that come with one id get separate ids', async (t) => {
    const calls = ['{"sum":1}', '{"sum":2}'].map((args) => ({ id: 'c1', name: 'pay', args }));
    assert.deepEqual((await told(t, calls)).map(({ toolCallId }) => toolCallId), ['c1', 'c1-2']);
  });

  it('that come without an id get one', async (t) => {
    const calls = ['{"sum":1}', '{"sum":2}'].map((args) => ({ id: '', name: 'pay', args }));
    const runs = await told(t, calls);
    assert.deepEqual(runs.map(({ toolCallId }) => toolCallId), ['call', 'call-2']);
  });

  for (const args of ['{}', 'no JSON']) {
    it(`that are alike have separate keys: ${args}`, async (t) => {
      const runs = await told(t, ['c1', 'c2'].map((id) => ({ id, name: 'pay', args })));
      assert.equal(new Set(runs.map(({ idempotencyKey }) => idempotencyKey)).size, 2);
    });
  }
});

describe('a hang-up beside other calls', () => {
  for (const [title, whenInterrupted, result] of [
    ['ends them', 'abort', ['interrupted', '{"error":"interrupted"}']],
    ['lets those go on that want to finish', 'finish', ['completed', '"paid"']],
  ] as const) {
    it(title, async (t) => {
      const { client, messages } = serve(t, {
        async onMessage({ journal }, reply) {
          const calls = ['pay', 'hang_up'].map((name) => ({ id: name, name, args: '{}' }));
          await journal.runTools(calls, ({ name }) => (name === 'hang_up'
            ? { run: async () => { reply.hangup({ say: 'Bye.' }); return '{"status":"ok"}'; } }
            : {
              whenInterrupted,
              async run({ signal }) {
                await new Promise((resolve) => setImmediate(resolve));
                if (signal.aborted) throw signal.reason;
                return '"paid"';
              },
            }));
        },
      });
      assert.equal(await (await client.say('Bye.')).text(), 'Bye.');
      const resultOf = async (): Promise<unknown> => {
        const message = (await messages())
          .find((one) => one.role === 'tool' && one.toolCallId === 'pay');
        return message?.role === 'tool' ? [message.state, message.content] : undefined;
      };
      for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(await resultOf(), result);
    });
  }
});
