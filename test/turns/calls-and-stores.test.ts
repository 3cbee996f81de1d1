// Tool calls over stores that answer late, fail, or are shared by two processes. Deliveries are
// plain objects, so no socket is needed.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, ToolCallContext } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { Turns } from '../../src/turns/turns.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { deferred, until, type Deferred } from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { callerMessage } from '../fixtures/turns.ts';

const CALL = { id: 'c1', name: 'pay', args: '{}' };

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
}

/** A process over a store, with its tool, its outcomes and the errors in its log. */
class Process {
  readonly turns: Turns;
  readonly errors: string[] = [];
  readonly outcomes: string[] = [];
  readonly works: (Deferred<string> & { readonly context: ToolCallContext })[] = [];
  readonly #log = createLogger({
    level: 'error',
    write: (line) => this.errors.push((JSON.parse(line) as { msg: string }).msg),
  });

  constructor(
    store: ConversationStore,
    onMessage: (process: Process) => Agent['onMessage'],
    agents?: ReadonlyMap<string, Agent>,
  ) {
    const agent = defineAgent({ name: 'tested', onMessage: onMessage(this) });
    this.turns = new Turns({
      agentWork,
      agent,
      agents,
      conversations: new ConversationManager(store),
      turnTimeoutMs: 60_000,
      firstWordTimeoutMs: 60_000,
    });
  }

  readonly tool = (context: ToolCallContext): Promise<string> => {
    const work = { ...deferred<string>(), context };
    this.works.push(work);
    return work.promise;
  };

  deliver(turnId: string, text = turnId): Delivery {
    const delivery: Delivery = {
      event: callerMessage(turnId, text, 'c'),
      headers: {},
      turn: undefined,
      log: this.#log,
      unsent: 0,
      isOpen: true,
      send: () => true,
      end: () => true,
      onOutcome: ({ outcome }) => void this.outcomes.push(`${turnId} ${outcome}`),
    };
    this.turns.start(delivery);
    return delivery;
  }

  end(): void {
    this.turns.interruptAll('the test is over');
    for (const { resolve } of this.works) resolve('"late"');
  }
}

async function results(store: ConversationStore): Promise<string[]> {
  const history = await new ConversationManager(store).getHistory('c');
  return history
    .filter((message) => message.role === 'tool')
    .map(({ state, content }) => `${state} ${content}`);
}

const pays =
  (whenInterrupted: 'abort' | 'finish') =>
  (process: Process): Agent['onMessage'] =>
  async ({ text, journal }, reply) => {
    if (!text.startsWith('pay')) return;
    const [outcome] = await journal.runTools([CALL], () => ({
      run: process.tool,
      whenInterrupted,
    }));
    reply.say(outcome?.content ?? '');
  };

describe('a call', () => {
  it('does not begin if another process has opened a newer turn, which ends it', async (t) => {
    const store = memory();
    const gate = deferred();
    const first = new Process(store, (process) => async (turn, reply) => {
      await gate.promise;
      await pays('abort')(process)(turn, reply);
    });
    const second = new Process(store, () => () => 'Yes.');
    t.after(() => [first, second].forEach((process) => process.end()));
    first.deliver('pay');
    second.deliver('t2');
    gate.resolve();
    await until(() => first.outcomes.length === 1, 'the older turn to end');
    assert.deepEqual(first.outcomes, ['pay interrupted']);
    await first.turns.settled();
    assert.equal(first.works.length, 0);
    assert.deepEqual(await results(store), ['interrupted {"error":"interrupted"}']);
  });

  it('counts as running until its result is stored, however late that is', async (t) => {
    const store = new PromisedStore(memory());
    const seen = deferred<readonly string[]>();
    const process = new Process(store, (own) => (turn, reply) => {
      if (turn.text === 'pay') return pays('finish')(own)(turn, reply);
      seen.resolve(
        turn.history.filter(({ role }) => role === 'tool').map(({ content }) => content),
      );
      return undefined;
    });
    t.after(() => process.end());
    process.deliver('pay');
    await until(() => process.works.length === 1, 'the tool');
    store.hold();
    process.deliver('t2');
    process.works[0]?.resolve('"paid"');
    await new Promise((resolve) => setImmediate(resolve));
    store.release();
    assert.deepEqual(await seen.promise, ['{"status":"still running"}']);
    await process.turns.settled();
    assert.deepEqual(await results(store), ['completed "paid"']);
  });

  it("is joined by the turn's next run even if it could not be stored", async (t) => {
    const store = new PromisedStore(memory());
    let runs = 0;
    const gate = deferred();
    const process = new Process(store, (own) => async (turn, reply) => {
      runs += 1;
      await gate.promise;
      await pays('finish')(own)(turn, reply);
    });
    t.after(() => process.end());
    const delivery = process.deliver('pay');
    await until(() => runs === 1, 'the first run');
    store.failWith = new Error('the store is away');
    gate.resolve();
    await until(() => process.works.length === 1, 'the tool');
    const clock = mockTimers(t, ['setTimeout']);
    delivery.turn?.dropped();
    await until(() => (clock.tick(1_000), process.errors.length === 2), 'the store to be given up');
    assert.deepEqual(process.errors, [
      'tool calls could not be stored; they run unprotected',
      'history not written',
    ]);
    store.failWith = undefined;
    process.deliver('pay');
    await until(() => runs === 2, 'the second run');
    await new Promise((resolve) => setImmediate(resolve));
    await store.count(); // answers after the write of the calls
    process.works[0]?.resolve('"paid"');
    await until(() => process.turns.count === 0, 'the end');
    await process.turns.settled();
    assert.equal(process.works.length, 1);
    assert.ok((await results(store)).includes('completed "paid"'));
  });

  it('that an agent runs by hand counts as running until it ends', async (t) => {
    const store = memory();
    let runs = 0;
    const hanging = deferred();
    const process = new Process(store, () => async ({ text, journal }) => {
      if (text !== 'pay') return;
      await journal.noteToolCalls([CALL]);
      if (++runs === 1) await hanging.promise;
      journal.noteToolResult(CALL.id, `"run ${runs}"`);
    });
    t.after(() => (hanging.resolve(), process.end()));
    process.deliver('pay').turn?.dropped();
    process.deliver('pay');
    await until(() => process.outcomes.length === 2, 'the second run');
    process.deliver('t2');
    assert.deepEqual(await results(store), [
      'running {"status":"still running"}',
      'completed "run 2"',
    ]);
  });
});

describe('a store that fails', () => {
  it('is asked again for a call\'s result', async (t) => {
    const store = new PromisedStore(memory());
    const process = new Process(store, pays('finish'));
    t.after(() => process.end());
    const delivery = process.deliver('pay');
    await until(() => process.works.length === 1, 'the tool');
    delivery.turn?.dropped();
    await until(() => process.turns.count === 0, 'the drop');
    store.failWith = new Error('the store is away');
    const { length } = store.calls;
    process.works[0]?.resolve('"paid"');
    await store.called(length + 1);
    await assert.rejects(store.count()); // answers after the write, which has failed
    store.failWith = undefined;
    await process.turns.settled();
    assert.deepEqual(await results(store), ['completed "paid"']);
    assert.deepEqual(process.errors, []);
  });

  it('loses the result if it fails for good, and the log says so', async (t) => {
    const store = new PromisedStore(memory());
    const process = new Process(store, pays('finish'));
    t.after(() => process.end());
    process.deliver('pay');
    await until(() => process.works.length === 1, 'the tool');
    store.failWith = new Error('the store is away');
    process.works[0]?.resolve('"paid"');
    await until(() => process.outcomes.length === 1, 'the end of the turn');
    await process.turns.settled();
    assert.deepEqual([...process.errors].sort(), ['history not written', 'tool result lost']);
  });
});

describe('a hand-over', () => {
  for (const [what, failing, callsTools] of [
    ['for its result', 'result', false],
    ['for its result, and the next agent calls tools', 'result', true],
    ['for its call', 'call', false],
    ['for its call, and the next agent calls tools', 'call', true],
  ] as const) {
    it(`stays in force even if the store fails ${what}`, async (t) => {
      const store = new PromisedStore(memory());
      const fail = (): void => void (store.failWith = new Error('the store is away'));
      const [asked, gate] = [deferred(), deferred()];
      const billing = defineAgent({
        name: 'billing',
        onMessage: async ({ text, journal }) => {
          if (text !== 'pay') return 'Still billing.';
          asked.resolve();
          await gate.promise;
          if (callsTools) await journal.noteToolCalls([{ ...CALL, id: 'c2' }]);
          return 'Billing here.';
        },
      });
      const first = (): Agent['onMessage'] => async ({ text, journal }) => {
        if (text !== 'pay') return 'The first agent again.';
        if (failing === 'call') fail();
        const run = async ({ toolCallId }: ToolCallContext): Promise<string> => {
          await journal.handOver(toolCallId, 'billing');
          if (failing === 'result') fail();
          else store.failWith = undefined;
          return '"to billing"';
        };
        await journal.runTools([CALL], () => ({ run }));
        return undefined;
      };
      const process = new Process(store, first, new Map([['billing', billing]]));
      t.after(() => process.end());
      const clock = mockTimers(t, ['setTimeout']);
      process.deliver('pay');
      await asked.promise;
      const isLost = (): boolean => (clock.tick(1_000), process.errors.length === 1);
      await until(isLost, 'the store to be given up');
      store.failWith = undefined;
      gate.resolve();
      await until(() => process.outcomes.length === 1, 'the end');
      await process.turns.settled();
      process.deliver('t2');
      await until(() => process.outcomes.length === 2, 'the next turn');
      const history = await new ConversationManager(store).getHistory('c');
      assert.deepEqual(
        history.flatMap(({ role, content }) => (role === 'assistant' && content ? [content] : [])),
        ['Billing here.', 'Still billing.'],
      );
    });
  }
});
