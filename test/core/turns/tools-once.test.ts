// What docs/tools.md promises about interruption and about calls that are not repeated.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, ToolCallContext, ToolRun } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { ToolCall } from '../../../src/core/conversations/message.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import {
  deferred, fired, messageEvent, rawRequest, serve, Told, until, within, type Served,
  type ServeOptions,
} from '../../fixtures/app.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory } from '../conversations/stores/parts-in-memory.ts';
import {
  BOOK, Booking, CONVERSATION, idle, memory, Process, type Client, type Work,
} from './plain-deliveries.ts';

const FINISH = { whenInterrupted: 'finish' } as const;
const INTERRUPTED = '{"error":"interrupted"}';
const IS_UNKNOWN = 'the outcome of a tool call is unknown';

/** Ends the call when its signal fires. */
function obey({ context: { signal }, resolve }: Work): void {
  void fired(signal).then((reason) =>
    resolve(Promise.reject(reason as Error) as unknown as string));
}

interface Booked {
  readonly process: Process;
  readonly client: Client;
  readonly tool: Booking;
  readonly work: Work;
}

/** A turn that has asked to book. The tool is running until the test ends it. */
async function booking(
  t: TestContext, more: Partial<ToolRun> = {}, agent: Partial<Agent> = {}, tool = new Booking(),
): Promise<Booked> {
  const process = new Process(t, { onMessage: tool.onMessage(more), ...agent });
  const client = process.deliver('t1', 'Book');
  return { process, client, tool, work: await tool.begun() };
}

describe('a tool call that is interrupted', () => {
  it('is shown as running, and then with its result, even after a newer turn', async (t) => {
    const { process, client, work } = await booking(t);
    client.turn?.dropped();
    assert.deepEqual(await process.results(), ['t1 running {"status":"still running"}']);
    await process.deliver('t2').outcome;
    work.resolve('"booked"');
    await process.turns.settled();
    assert.deepEqual(await process.results(), ['t1 completed "booked"']);
    assert.deepEqual((await process.history()).slice(-2), ['user: t2', 'completed: Yes.']);
  });

  // Which errors count as a signal's reason: test/base/abort.test.ts.
  for (const [what, errorOf, result] of [
    ["counts as interrupted if it ends with its signal's reason",
      (reason: unknown) => reason, `interrupted ${INTERRUPTED}`],
    ['has its own error in history',
      () => new Error('card refused'), 'completed {"error":"card refused"}'],
  ] as const)
    it(what, async (t) => {
      const { process, client, work: { context, resolve } } = await booking(t);
      client.turn?.dropped();
      const error = errorOf(await fired(context.signal)) as Error;
      resolve(Promise.reject(error) as unknown as string);
      await process.turns.settled();
      assert.deepEqual(await process.results(), [`t1 ${result}`]);
    });

  it('counts as failed if an AbortError of its own ends it first', async (t) => {
    const { process, client, work } = await booking(t);
    const error = new DOMException('of its own', 'AbortError');
    work.resolve(Promise.reject(error) as unknown as string);
    assert.equal(await client.outcome, 'completed');
    assert.deepEqual(await process.results(), ['t1 completed {"error":"of its own"}']);
  });
});

interface Paying extends Served {
  /** The context of each run of the tool. */
  readonly runs: Told<ToolCallContext>;
  /** Delivers the turn, which calls the tool, and drops it while the tool is running. */
  leave(): Promise<AbortSignal>;
  /** The reply of the turn, which says the result of the tool. */
  says(fields?: object): Promise<string>;
}

/** Serves an agent that answers "pay" with the result of a tool. */
function paying(
  t: TestContext, run: ToolRun['run'], more: Partial<ToolRun> = {}, options: ServeOptions = {},
): Paying {
  const runs = new Told<ToolCallContext>();
  const served = serve(t, {
    async onMessage({ text, journal }) {
      if (text !== 'pay') return 'Yes.';
      const call = { id: 'call_1', name: 'pay', args: '{"amount":5}' };
      const [outcome] = await journal.runTools([call], () => ({
        ...more,
        async run(context) {
          runs.tell(context);
          return run(context);
        },
      }));
      return outcome?.content ?? '';
    },
  }, options);
  return {
    ...served,
    runs,
    async leave() {
      const connection = await served.raw();
      connection.write(rawRequest(messageEvent({ text: 'pay' })));
      const { signal } = await runs.next();
      connection.socket.destroy();
      await served.interrupted.next('the interruption');
      return signal;
    },
    async says(fields = {}) {
      return (await served.client.post(messageEvent({ text: 'pay', ...fields }))).text();
    },
  };
}

const untilAborted: ToolRun['run'] = async ({ signal }) => {
  throw await fired(signal);
};

describe('a tool that wants to finish', () => {
  it('is not told of an interruption, and is waited for by a shutdown', async (t) => {
    const [gate, store] = [deferred<string>(), memory()];
    const close = t.mock.method(store, 'close');
    const environment = { SHUTDOWN_TIMEOUT_SECONDS: '60' };
    const served = paying(t, () => gate.promise, FINISH, { store, environment });
    const signal = await served.leave();
    const closed = served.app.close();
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([signal.aborted, close.mock.callCount()], [false, 0]);
    const kept = store.read(CONVERSATION);
    gate.resolve('"paid"');
    await within(closed, 'the end of the server');
    const [result] = kept?.turns[0]?.messages?.filter(({ role }) => role === 'tool') ?? [];
    assert.equal(result?.content, '"paid"');
  });

  it('is ended by a shutdown that has no time, whether or not its caller has left', async (t) => {
    const left = paying(t, untilAborted, FINISH);
    const signal = await left.leave();
    const there = paying(t, untilAborted, FINISH);
    const reply = there.says();
    const other = (await there.runs.next()).signal;
    assert.deepEqual([signal.aborted, other.aborted], [false, false]);
    for (const { app } of [left, there]) await within(app.close(), 'the end of the server');
    assert.deepEqual([signal.aborted, other.aborted], [true, true]);
    await reply;
  });
});

describe('a call of a turn that is delivered again', () => {
  /** An agent that books with these arguments, one after another. */
  function booksWith(tool: Booking, ...args: readonly string[]): Agent['onMessage'] {
    const left = [...args];
    return async ({ journal }) => {
      const call = { ...BOOK, args: left.shift() ?? '{}' };
      const [outcome] = await journal.runTools([call], () => ({ run: tool.run }));
      return outcome?.content ?? '';
    };
  }

  it('is not repeated if it has completed, even with its arguments in another order', async (t) => {
    const own = new Booking();
    const onMessage = booksWith(own, '{"amount":5,"to":"Al"}', '{ "to":"Al", "amount":5 }');
    const { process, client, work } = await booking(t, {}, { onMessage }, own);
    client.turn?.dropped();
    work.resolve('"booked once"');
    await idle();
    const again = process.deliver('t1', 'Book');
    assert.equal(await again.outcome, 'completed');
    assert.deepEqual([again.said, own.works.length], ['"booked once"', 1]);
  });

  it('runs under an id of its own if its arguments are different', async (t) => {
    const own = new Booking();
    const onMessage = booksWith(own, '{"amount":5}', '{"amount":6}');
    const { process, client, work } = await booking(t, {}, { onMessage }, own);
    client.turn?.dropped();
    process.deliver('t1', 'Book');
    const { context: { idempotencyKey, toolCallId } } = await own.begun();
    assert.notEqual(idempotencyKey, work.context.idempotencyKey);
    assert.equal(toolCallId, `${BOOK.id}-2`); // because history also has the first one
  });

  it('is awaited for a moment by the next run, whose history has the result', async (t) => {
    const own = new Booking();
    const prompts: (readonly string[])[] = [];
    const { process, client, work } = await booking(t, {}, {
      onMessage: async (turn, reply) => {
        const results = turn.history.filter(({ role }) => role === 'tool');
        prompts.push(results.map(({ content }) => content));
        return own.onMessage()(turn, reply) as Promise<void>;
      },
    }, own);
    client.turn?.dropped();
    const again = process.deliver('t1', 'Book');
    work.resolve('"booked"');
    assert.equal(await again.outcome, 'completed');
    assert.deepEqual(prompts, [[], ['"booked"']]);
  });

  for (const [what, isSlow] of [
    ['is joined if it is still running', false],
    ['gives the second run its result if it ends before that run makes it', true],
  ] as const)
    it(what, async (t) => {
      const [own, model] = [new Booking(), deferred()];
      let runs = 0;
      const { process, client, work } = await booking(t, {}, {
        onMessage: async (turn, reply) => {
          runs += 1;
          if (isSlow && runs === 2) await model.promise;
          return own.onMessage()(turn, reply) as Promise<void>;
        },
      }, own);
      client.turn?.dropped();
      const again = process.deliver('t1', 'Book');
      await until(() => runs === 2, 'the second run'); // it has waited for the first one's call
      work.resolve('"booked once"');
      await idle();
      model.resolve();
      assert.equal(await again.outcome, 'completed');
      assert.deepEqual([again.said, own.works.length], ['"booked once"', 1]);
    });

  it('runs again under the same key if it was interrupted', async (t) => {
    const { process, client, tool: own, work } = await booking(t);
    obey(work);
    client.turn?.dropped();
    await idle();
    process.deliver('t1', 'Book');
    const { context: { idempotencyKey } } = await own.begun();
    assert.match(idempotencyKey, /^[0-9a-f]{64}$/);
    assert.equal(idempotencyKey, work.context.idempotencyKey);
    assert.equal(work.context.toolCallId, BOOK.id);
  });
});

describe('a call whose process died', () => {
  /** What that process has stored. */
  function storedBy(dying: MemoryStore): MemoryStore {
    const kept = structuredClone(dying.read(CONVERSATION));
    const store = memory();
    store.update(CONVERSATION, (conversation) => Object.assign(conversation, kept));
    return store;
  }

  /** The store of a process that died while the tool was running, and the key of the call. */
  async function left(t: TestContext): Promise<{ store: MemoryStore; key: string }> {
    const dying = memory();
    const served = paying(t, untilAborted, {}, { store: dying });
    void served.says().catch(() => undefined);
    const { idempotencyKey } = await served.runs.next();
    return { store: storedBy(dying), key: idempotencyKey };
  }

  function unknowns({ logLines }: Pick<Served, 'logLines'>): string[] {
    return logLines.filter((line) => line.includes(IS_UNKNOWN));
  }

  it('has an unknown outcome, and is not started again', async (t) => {
    const served = paying(t, () => assert.fail('it ran'), {}, { store: (await left(t)).store });
    assert.equal(await served.says(), '{"error":"outcome unknown"}');
    const [, call, result] = await served.messages(CONVERSATION);
    assert.equal(call?.role === 'assistant' && call.toolCalls?.length, 1);
    assert.equal(result?.role === 'tool' && result.state, 'unknown');
    // Nobody knows the agent's tools, and the name in the call may be a caller's words.
    assert.match(unknowns(served)[0] ?? '', /"tool":"unknown"/);
  });

  const PAY = {
    name: 'pay',
    description: 'Pays.',
    parameters: { type: 'object', properties: { amount: { type: 'number' } } },
  } as const;

  for (const [what, repeatable] of [
    ['runs again, before a model is asked, if its tool is repeatable', true],
    ['does not run again if its tool is not repeatable', false],
  ] as const)
    it(what, async (t) => {
      const { store, key } = await left(t);
      const keys: string[] = [];
      const pay = tool({
        ...PAY, repeatable,
        run: (_args, { idempotencyKey }) => {
          keys.push(idempotencyKey);
          return 'paid';
        },
      });
      const model = scriptedModel(({ messages }) =>
        messages.findLast(({ role }) => role === 'tool')?.content ?? 'no result');
      const agent = defineAgent({ name: 'cashier', prompt: 'Be brief.', model, tools: [pay] });
      const served = serve(t, agent, { store });
      const said = await (await served.client.post(messageEvent({ text: 'pay' }))).text();
      assert.deepEqual([said.includes('paid'), keys], [repeatable, repeatable ? [key] : []]);
      // Nobody has to find out what a call did if it runs again.
      assert.equal(unknowns(served).length, repeatable ? 0 : 1);
      for (const line of unknowns(served)) assert.match(line, /"tool":"pay"/);
    });

  for (const [title, once, count] of [
    ['is not logged as unknown by a new turn if its tool may repeat', {}, 0],
    ['is logged as unknown by a new turn if its tool may repeat but acts once', { once: true }, 1],
  ] as const)
    it(title, async (t) => {
      const cashier = (run: ToolRun['run']): Agent => {
        const act = (_args: unknown, context: ToolCallContext): unknown => run(context);
        const pay = tool({ ...PAY, ...once, repeatable: true, run: act });
        const model = scriptedModel(({ messages }) =>
          messages.at(-1)?.content === 'pay' ? [{ call: 'pay', args: {} }] : 'Yes.');
        return defineAgent({ name: 'cashier', prompt: 'Be brief.', model, tools: [pay] });
      };
      const [began, dying] = [deferred(), memory()];
      const first = serve(t, cashier((context) => {
        began.resolve();
        return untilAborted(context);
      }), { store: dying });
      void first.client.post(messageEvent({ text: 'pay' })).catch(() => undefined);
      await began.promise;
      const store = storedBy(dying);
      const served = serve(t, cashier(() => assert.fail('it ran')), { store });
      await (await served.client.post(messageEvent({ turn_id: 't-2' }))).text();
      assert.equal(unknowns(served).length, count);
    });
});

describe('a call that cannot be kept', () => {
  function unprotected({ logLines }: Served): number {
    const line = 'tool calls could not be stored; they run unprotected';
    return logLines.filter((one) => one.includes(line)).length;
  }

  it('is reported as unprotected if a shared store does not answer', async (t) => {
    const parts = new PartsInMemory();
    const served = paying(t, () => '"paid"', {}, { store: sharing(parts) });
    for (const [turn_id, count] of [['before', 0], ['during', 1]] as const) {
      if (count === 1) parts.failWith = new Error('connection refused');
      assert.equal(await served.says({ turn_id }), '"paid"');
      assert.equal(unprotected(served), count);
    }
    const results = (await served.messages(CONVERSATION)).filter(({ role }) => role === 'tool');
    assert.equal(results.length, 2, 'it is remembered');
  });

  it('is dropped with a line in the log if its conversation has been cleared', async (t) => {
    const gate = deferred<string>();
    const served = paying(t, () => gate.promise);
    const reply = served.says();
    await served.runs.next();
    await served.app.conversations.clear(CONVERSATION);
    gate.resolve('"paid"');
    const isSaid = (): boolean => served.logLines.join('').includes('too late to be kept');
    await until(isSaid, 'the line');
    await reply;
    assert.deepEqual(await served.messages(CONVERSATION), []);
  });

  it('changes nothing if the agent never made it but gives its result', async (t) => {
    const process = new Process(t, {
      onMessage({ journal }) {
        journal.noteToolResult('nobody', '1');
        void journal.noteToolCalls([BOOK]);
        journal.noteToolResult('nobody', '2');
        journal.noteToolResult(BOOK.id, '3');
        journal.noteToolResult(BOOK.id, '4');
        return 'Done.';
      },
    });
    assert.equal(await process.deliver('t1').outcome, 'completed');
    assert.deepEqual(await process.history(), [
      'user: t1', 'completed: ', 'completed: 3', 'completed: Done.',
    ]);
  });
});

describe('calls of one reply', () => {
  const pays = (id: string, args: string): ToolCall => ({ id, name: 'pay', args });
  for (const [what, calls, ids] of [
    ['that share an id get separate ids',
      [pays('c1', '{"sum":1}'), pays('c1', '{"sum":2}')], ['c1', 'c1-2']],
    ['that come without ids are given ids',
      [pays('', '{"sum":1}'), pays('', '{"sum":2}')], ['call', 'call-2']],
    ['that are identical get two keys: {}', [pays('a', '{}'), pays('b', '{}')], ['a', 'b']],
    ['that are identical get two keys: not JSON', [pays('a', '?'), pays('b', '?')], ['a', 'b']],
  ] as const)
    it(what, async (t) => {
      const runs: ToolCallContext[] = [];
      const process = new Process(t, {
        async onMessage({ journal }) {
          const outcomes = await journal.runTools(calls, () => ({
            run: (context) => `"${runs.push(context)}"`,
          }));
          return outcomes.map(({ call, content }) => `${call.id}=${content}`).join(' ');
        },
      });
      const client = process.deliver('t1');
      assert.equal(await client.outcome, 'completed');
      assert.equal(client.said, ids.map((id, index) => `${id}="${index + 1}"`).join(' '));
      assert.deepEqual(runs.map(({ toolCallId }) => toolCallId), ids);
      assert.equal(new Set(runs.map(({ idempotencyKey }) => idempotencyKey)).size, 2);
    });
});
