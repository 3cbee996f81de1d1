// Tools that act once per conversation: in one process, and in two that share a store.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { defineState } from '../../src/agents/state/state.ts';
import { createApp } from '../../src/app/create-app.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { NotDone } from '../../src/tools/tool-not-done.ts';
import type { Tool } from '../../src/tools/tool.ts';
import { deferred, serve, until } from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';
import {
  Bank, errorsOf, ID, linesOf, machines, payAgent, paysAtLast, payTool, shop, waitsFor,
  type Machines, type Shop,
} from './payments.ts';

const UNKNOWN = 'the outcome of a tool call is unknown';
const ENDED = 'a tool call whose outcome was unknown has ended';

/** The idempotency keys in the lines of the log that say so. */
function keysOf(shop: Shop, msg: string): unknown[] {
  return linesOf(shop, msg).map(({ idempotencyKey }) => idempotencyKey);
}

describe('a once tool', () => {
  it('acts once for the same arguments, and marks the result for later calls', async (t) => {
    const paid: number[] = [];
    const served = shop(t, payTool(({ amount }) => void paid.push(amount)));
    assert.equal(await served.says('pay 5'), '{"status":"ok"}');
    assert.equal(await served.says('pay 5'), '{"status":"done before","result":{"status":"ok"}}');
    assert.equal(await served.says('pay 6'), '{"status":"ok"}');
    assert.deepEqual(paid, [5, 6]);
  });

  it('acts once for each text of its function, whatever the arguments', async (t) => {
    const paid: number[] = [];
    const once = (_args: unknown, { conversationId }: { conversationId: string }): string =>
      `order of ${conversationId}`;
    const served = shop(t, payTool(({ amount }) => void paid.push(amount), { once }));
    await served.says('pay 5');
    await served.says('pay 6');
    await served.says('pay 7', { conversation_id: 'another' });
    assert.deepEqual(paid, [5, 7]);
  });

  it('reports a `once` function that throws or returns no text, and starts nothing', async (t) => {
    for (const [once, error] of [
      [() => { throw new Error('no order'); }, '{"error":"no order"}'],
      [() => '', '{"error":"tool pay: once must return a text, got an empty one"}'],
      [() => 7, '{"error":"tool pay: once must return a text, got number"}'],
      [async () => 'x', '{"error":"tool pay: once must return a text, got object"}'],
    ] as const) {
      const served = shop(t, payTool(() => assert.fail('it ran'), { once: once as () => string }));
      assert.equal(await served.says('pay 5'), error);
    }
  });

  it('claims nothing for arguments that are refused', async (t) => {
    const paid: number[] = [];
    const pay = payTool(({ amount }) => void paid.push(amount), {
      parameters: {
        type: 'object', properties: { amount: { type: 'number', maximum: 5 } },
      },
    });
    const served = shop(t, pay);
    assert.match(await served.says('pay 9'), /^\{"error":"arguments\.amount must/);
    const conversation = await served.app.conversations.read('c');
    assert.equal(conversation?.onceCalls, undefined);
    assert.deepEqual(paid, []);
  });

  it('is joined by a second call while it runs', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay));
    const first = served.says('pay 5');
    await bank.begun();
    const second = served.says('pay 5');
    await until(() => served.logLines.join('').includes('"outcome":"interrupted"'), 'the barge-in');
    bank.answer(5);
    assert.equal(await second, '{"paid":5}');
    await first;
    assert.deepEqual(bank.calls, [5]);
  });

  // Two payments ran at once: with the conversation its claim had been dropped.
  it('acts once even if its conversation expires while it runs', async (t) => {
    let now = 0;
    const store = new MemoryStore({ ttlMs: 1_000, maxConversations: 10, now: () => now });
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay), { store });
    const first = served.says('pay 5');
    await bank.begun();
    await served.says('Hello?');
    now += 5_000;
    const second = served.says('pay 5');
    bank.answer(5);
    await Promise.all([first, second]);
    assert.deepEqual(bank.calls, [5]);
  });

  it('acts once even if others need its conversation\'s room while it runs', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay), { store });
    const first = served.says('pay 5');
    await bank.begun();
    await served.says('Hello?');
    await served.says('Hello?', { conversation_id: 'another' });
    const second = served.says('pay 5');
    bank.answer(5);
    await Promise.all([first, second]);
    assert.deepEqual(bank.calls, [5]);
  });

  it('is not repeated when it throws: the unknown outcome is logged and counted', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay));
    bank.fail(5, new Error('socket hang up'));
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    assert.deepEqual(bank.calls, [5]);
    const [line, ...more] = errorsOf(served, UNKNOWN);
    assert.deepEqual(more, []);
    assert.equal(line?.['idempotencyKey'], [...bank.keys][0]);
    assert.equal(served.metric('layercode_tool_outcomes_unknown_total{tool="pay"}'), 1);
  });

  it('may act again after NotDone', async (t) => {
    let tries = 0;
    const served = shop(t, payTool(() => {
      tries += 1;
      if (tries === 1) throw new NotDone('card declined');
      return 'paid';
    }));
    assert.equal(await served.says('pay 5'), '{"error":"card declined"}');
    assert.equal(await served.says('pay 5'), '"paid"');
  });

  it('is repeated with the same key if it throws and is repeatable', async (t) => {
    const keys: string[] = [];
    const served = shop(t, payTool((_args, { idempotencyKey }) => {
      keys.push(idempotencyKey);
      throw new Error('socket hang up');
    }, { repeatable: true }));
    await served.says('pay 5');
    await served.says('pay 5');
    assert.deepEqual([keys.length, new Set(keys).size], [2, 1]);
  });

  it('is not repeated if its result is not JSON: the model is told', async (t) => {
    let runs = 0;
    const served = shop(t, payTool(() => ({ big: 1n, runs: ++runs })));
    assert.match(await served.says('pay 5'), /^\{"error":"result\.big/);
    assert.match(await served.says('pay 5'), /"done before"/);
    assert.equal(runs, 1);
  });

  it('counts what it returns after its time limit, for good', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay, { timeoutMs: 20 }));
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    bank.answer(5);
    await until(() => served.logLines.join('').includes('has ended'), 'the late result');
    assert.equal(await served.says('pay 5'), '{"status":"done before","result":{"paid":5}}');
    assert.deepEqual(bank.calls, [5]);
    const history = await served.app.conversations.getHistory('c');
    assert.equal(history.find(({ role }) => role === 'tool')?.content, '{"paid":5}');
  });

  it('keeps what it changes in the state after its time limit', async (t) => {
    const state = defineState(() => ({ paid: 0 }));
    const isPaid = deferred();
    const pay = payTool(async ({ amount }, context) => {
      await isPaid.promise;
      (context.state as { paid: number }).paid += amount;
    }, { timeoutMs: 20, state });
    const { app, client, logLines } = serve(t, payAgent(pay, state));
    await (await client.say('pay 5', ID)).text();
    isPaid.resolve();
    await until(() => logLines.join('').includes('has ended'), 'the late result');
    assert.deepEqual(await app.conversations.getState('c'), { paid: 5 });
  });

  it('may act again if it throws NotDone after its time limit', async (t) => {
    const declined = deferred();
    let tries = 0;
    const served = shop(t, payTool(async () => {
      tries += 1;
      if (tries > 1) return 'paid';
      await declined.promise;
      throw new NotDone('card declined');
    }, { timeoutMs: 20 }));
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    declined.resolve();
    await until(() => served.logLines.join('').includes('has ended'), 'the late error');
    assert.equal(await served.says('pay 5'), '"paid"');
  });

  it('does not start in a turn that history does not keep', async (t) => {
    const agent: Agent = {
      name: 'shop',
      onMessage: () => 'Yes.',
      async onSessionStart({ journal }, reply) {
        const call = { id: 'x', name: 'pay', args: '{"amount":5}' };
        const run = { once: () => 'text', run: () => assert.fail('it ran') };
        const [outcome] = await journal.runTools([call], () => run);
        reply.say(outcome?.content ?? '');
      },
    };
    const { client } = serve(t, agent);
    const reply = await client.post({ type: 'session.start', session_id: 's', ...ID });
    assert.match(await reply.text(), /not started/);
  });

  it('keeps its keys when history is trimmed', async (t) => {
    let runs = 0;
    const served = shop(t, payTool(() => ++runs), { environment: { MAX_MESSAGES: '4' } });
    await served.says('pay 5');
    for (let count = 0; count < 5; count++) await served.says(`word ${count}`);
    assert.match(await served.says('pay 5'), /"done before"/);
    assert.equal(runs, 1);
  });

  it('cannot be one of two different tools with one name', () => {
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_x' }, []);
    const one = payTool(() => 1);
    const other = payTool(() => 2, { once: false });
    const app = (first: Tool, second: Tool): unknown =>
      createApp(settings, { sales: payAgent(first), billing: payAgent(second) });
    assert.throws(() => app(one, other), (error) => {
      assert.ok(error instanceof TypeError && 'code' in error);
      assert.match(error.message, /two tools are called "pay", and one acts once/);
      assert.equal(error.code, 'ERR_AGENTS'); // so a server says it in one line
      return true;
    });
    assert.doesNotThrow(() => app(one, one));
    assert.doesNotThrow(() => app(other, payTool(() => 3, { once: false })));
  });

  it('causes a warning at start-up if it is repeatable and cannot run again as it did', (t) => {
    const said = (more: Parameters<typeof payTool>[1]): unknown[] =>
      linesOf(shop(t, payTool(() => 1, more)), 'a repeatable tool may not run again as it did')
        .map(({ level, reason }) => `${level} ${reason}`);
    assert.deepEqual(said({ repeatable: true, raw: true }), [
      'warn pay needs values that only the process that heard them knows',
    ]);
    for (const harmless of [{ repeatable: true }, { raw: true }, {}])
      assert.deepEqual(said(harmless), []);
    const state = defineState(() => ({ paid: 0 }));
    const agent = (once: boolean): Agent => defineAgent({
      name: 'shop', prompt: 'Pay.', state,
      tools: [payTool(() => 1, { repeatable: true, state, once })],
    });
    const lines = (once: boolean): number =>
      serve(t, agent(once)).logLines.filter((line) => line.includes('may change the state')).length;
    assert.deepEqual([lines(true), lines(false)], [1, 0]); // the other only reads it
  });

  it('makes the server say at start-up that memory forgets, in production as a warning', (t) => {
    const { logLines } = shop(t, payTool(() => 1));
    const said = /"level":"info","msg":"tools that act once may act again after a restart"/;
    assert.match(logLines.join(''), said);
    const environment = { NODE_ENV: 'production', DRAIN_DELAY_SECONDS: '0' };
    const production = shop(t, payTool(() => 1), { environment });
    assert.match(production.logLines.join(''), new RegExp(said.source.replace('info', 'warn')));
    const kept = shop(t, payTool(() => 1, { once: false }));
    assert.doesNotMatch(kept.logLines.join(''), /may act again/);
  });

  it('made by a function of the turn causes that message when it is first made', async (t) => {
    const served = shop(t, () => payTool(() => 1));
    const said = (): unknown[] =>
      linesOf(served, 'tools that act once may act again after a restart').map(({ tools }) => tools);
    assert.deepEqual(said(), []);
    for (const words of ['Hello', 'Hello again']) await served.says(words);
    assert.deepEqual(said(), ['pay']);
    const kept = shop(t, () => payTool(() => 1, { once: false }));
    await kept.says('Hello');
    assert.doesNotMatch(kept.logLines.join(''), /may act again/);
  });

  it('refuses contradictory options when it is defined, and always finishes', () => {
    assert.throws(() => payTool(() => 1, { whenInterrupted: 'abort' }), /must finish/);
    assert.throws(() => payTool(() => 1, { once: 'yes' as unknown as boolean }), /once must be/);
    assert.equal(payTool(() => 1).whenInterrupted, 'finish');
  });
});

describe('a once tool in two processes', () => {
  /** The first process has paid, and the store has lost that. */
  async function paidAndLost(t: TestContext): Promise<Machines & { readonly bank: Bank }> {
    const bank = new Bank();
    const all = machines(t, () => payTool(bank.pay));
    bank.answer(5);
    assert.equal(await all.a.says('pay 5'), '{"paid":5}');
    all.loseAll();
    return { ...all, bank };
  }

  /** In the end the process knows of the payment, which was made once. */
  async function learnsAtLast(shop: Shop, bank: Bank): Promise<void> {
    await paysAtLast(shop, (reply) => reply.includes('"done before"'));
    assert.deepEqual(bank.calls, [5]);
  }

  it('acts once even if the other process gets what the caller says next', async (t) => {
    const bank = new Bank();
    const { a, b, post } = machines(t, () => payTool(bank.pay));
    const first = a.says('pay 5');
    await bank.begun();
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    await until(() => a.logLines.join('').includes('"outcome":"interrupted"'), 'the barge-in');
    bank.answer(5);
    assert.equal(await second, '{"paid":5}');
    await first;
    assert.match(await a.says('pay 5'), /"done before"/);
    assert.deepEqual([bank.calls, bank.keys.size], [[5], 1]);
  });

  it('is waited for even if no message arrives', async (t) => {
    const bank = new Bank();
    const { a, b, post } = machines(t, () => payTool(bank.pay));
    const first = a.says('pay 5');
    await bank.begun();
    post.loses = () => true;
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    bank.answer(5);
    assert.equal(await second, '{"paid":5}');
    await first;
  });

  it('is joined even if the store has lost all that it knew of it', async (t) => {
    const bank = new Bank();
    const { a, b, loseAll } = machines(t, () => payTool(bank.pay));
    await b.says('Hello');
    await a.says('Hello');
    const first = a.says('pay 5');
    await bank.begun();
    await b.says('Well?');
    loseAll();
    const second = b.says('pay 5');
    setTimeout(() => bank.answer(5), 10_000);
    assert.equal(await second, '{"paid":5}');
    await first;
    assert.deepEqual(bank.calls, [5]);
  });

  it('is not called again even if the store has lost the call', async (t) => {
    const { b, bank } = await paidAndLost(t);
    assert.match(await b.says('pay 5'), /"done before"/);
    assert.deepEqual(bank.calls, [5]);
  });

  it('is "done before" if that is known, even if the store is away', async (t) => {
    const { a, bank, parts: [store] } = await paidAndLost(t);
    store.failWith = new Error('the store does not answer');
    assert.equal(await a.says('pay 5'), '{"status":"done before","result":{"paid":5}}');
    assert.deepEqual(bank.calls, [5]);
  });

  it('ends the calls that wait for it if it did nothing', async (t) => {
    const bank = new Bank();
    const { a, b, post } = machines(t, () => payTool(bank.pay));
    const first = a.says('pay 5');
    await bank.begun();
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    bank.fail(5, new NotDone('card declined'));
    assert.equal(await second, '{"error":"card declined"}');
    await first;
  });

  it('starts even if the store has not let another process start it', async (t) => {
    const bank = new Bank();
    const { a, b, parts: [store] } = machines(t, () => payTool(bank.pay));
    await a.says('Hello');
    store.failWith = new Error('down');
    assert.equal(await a.says('pay 5'), '{"error":"not started"}');
    bank.answer(5);
    assert.equal(await b.says('pay 5'), '{"paid":5}');
    store.failWith = undefined;
    assert.deepEqual(bank.calls, [5]);
    assert.deepEqual(errorsOf(b, UNKNOWN), []);
    await learnsAtLast(a, bank);
  });

  it('has an unknown outcome once its process is gone', async (t) => {
    const bank = new Bank();
    const { a, b, loseFirst } = machines(t, () => payTool(bank.pay));
    const first = a.says('pay 5').catch(() => undefined);
    await bank.begun();
    await loseFirst();
    assert.equal(await b.says('pay 5'), '{"error":"outcome unknown"}');
    assert.equal(await b.says('pay 5'), '{"error":"outcome unknown"}');
    assert.deepEqual(bank.calls, [5]);
    assert.equal(errorsOf(b, UNKNOWN).length, 1);
    bank.answer(5); // the process was only frozen
    await first;
    await paysAtLast(b, (reply) => reply.includes('"done before"'));
  });

  for (const [what, once, before, name] of [
    ['acts once', true, [], 'pay'],
    ['does not, once that process has seen it', false, ['Hello'], 'pay'],
    // the model may have made up the name
    ['does not, which that process has not seen', false, [], 'unknown'],
  ] as const)
    it(`is called by its name in another process, if a function made it and it ${what}`,
      async (t) => {
        const bank = new Bank();
        const { a, b, loseFirst } = machines(t, () => () => payTool(bank.pay, { once }));
        for (const words of before) await b.says(words);
        const first = a.says('pay 5').catch(() => undefined);
        await bank.begun();
        await loseFirst();
        await b.says('Hello');
        assert.deepEqual(errorsOf(b, UNKNOWN).map(({ tool }) => tool), [name]);
        const count = `layercode_tool_outcomes_unknown_total{tool="${name}"} 1`;
        assert.ok(b.app.metrics.text().includes(count));
        bank.answer(5);
        await first;
      });

  // The next turn told once more of the call that another one had waited for.
  it('has an unknown outcome, reported once, if its process dies while another waits',
    async (t) => {
      const bank = new Bank();
      const { a, b, c, post, loseFirst } = machines(t, () => payTool(bank.pay));
      const first = a.says('pay 5').catch(() => undefined);
      await bank.begun();
      const second = b.says('pay 5');
      await waitsFor('p0', post);
      await loseFirst();
      assert.match(await second, /\{"error":"outcome unknown"\}$/); // perhaps after a filler
      for (const shop of [b, c]) assert.equal(await shop.says('Hello'), 'Yes.');
      assert.deepEqual([b, c].flatMap((shop) => keysOf(shop, UNKNOWN)), [...bank.keys]);
      bank.answer(5);
      await first;
    });

  it('is run by a call that has waited for it if it is repeatable', async (t) => {
    const [lost, bank] = [new Bank(), new Bank()];
    const pays = [lost.pay, bank.pay, bank.pay].values();
    const { a, b, post, loseFirst } = machines(t, () =>
      payTool(pays.next().value ?? bank.pay, { repeatable: true }));
    const first = a.says('pay 5').catch(() => undefined);
    await lost.begun();
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    await loseFirst();
    bank.answer(5);
    assert.match(await second, /\{"paid":5\}$/); // perhaps after a filler
    assert.deepEqual([...bank.keys], [...lost.keys]);
    assert.deepEqual(keysOf(b, ENDED), keysOf(b, UNKNOWN));
    lost.answer(5);
    await first;
  });

  for (const [what, turnId, count] of [
    ['not said to be unknown if its own turn makes it', 'own', 0],
    ['said to be unknown if another turn makes it', 'another', 1],
  ] as const)
    it(`is repeated after its process has died if it is repeatable, and ${what}`, async (t) => {
      const [lost, bank] = [new Bank(), new Bank()];
      const pays = [lost.pay].values();
      const { a, b, loseFirst } = machines(t, () =>
        payTool(pays.next().value ?? bank.pay, { repeatable: true }));
      const first = a.says('pay 5', { turn_id: 'own' }).catch(() => undefined);
      await lost.begun();
      await loseFirst();
      bank.answer(5);
      assert.match(await b.says('pay 5', { turn_id: turnId }), /\{"paid":5\}$/);
      assert.equal(errorsOf(b, UNKNOWN).length, count);
      lost.answer(5);
      await first;
    });

  it('is reported as ended when its process, which was only frozen, stores the result',
    async (t) => {
      const bank = new Bank();
      const { a, b, loseFirst } = machines(t, () => payTool(bank.pay));
      const first = a.says('pay 5').catch(() => undefined);
      await bank.begun();
      await loseFirst();
      await b.says('pay 5');
      bank.answer(5);
      await first;
      await until(() => keysOf(a, ENDED).length > 0, 'the line');
      assert.deepEqual(keysOf(a, ENDED), keysOf(b, UNKNOWN));
    });

  it('does not start while the store does not answer, and can be called later', async (t) => {
    const bank = new Bank();
    const { a, parts: [store] } = machines(t, () => payTool(bank.pay));
    await a.says('Hello');
    store.failWith = new Error('down');
    assert.equal(await a.says('pay 5'), '{"error":"not started"}');
    store.failWith = undefined;
    bank.answer(5);
    await paysAtLast(a, (reply) => reply === '{"paid":5}');
    assert.deepEqual(bank.calls, [5]);
  });

  it('may start again after the confirmation of its claim was lost', async (t) => {
    const bank = new Bank();
    const { a, b, parts: [store] } = machines(t, () => payTool(bank.pay));
    await a.says('Hello');
    const once = store.write.bind(store);
    let writes = 0;
    store.write = (id, change) => {
      writes += 1;
      const answer = once(id, change);
      // The second write of the turn is the claim: it is made, and the answer is lost.
      return writes === 2
        ? Promise.resolve(answer).then(() => { throw new Error('lost'); })
        : answer;
    };
    assert.equal(await a.says('pay 5'), '{"error":"not started"}');
    bank.answer(5);
    await paysAtLast(b, (reply) => reply.includes('"paid":5'));
    assert.deepEqual(bank.calls, [5]);
  });

  it('is waited for even if another process has taken its turn over', async (t) => {
    const bank = new Bank();
    const { a, b, c, post } = machines(t, () => payTool(bank.pay));
    const first = a.says('pay 5', { turn_id: 'paying' });
    await bank.begun();
    assert.equal(await b.says('pay 5', { turn_id: 'paying' }), '{"status":"still running"}');
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    const third = c.says('pay 5');
    await second;
    bank.answer(5);
    assert.equal(await third, '{"paid":5}');
    await first;
    assert.deepEqual(bank.calls, [5]);
  });
});

describe('a once tool without messages between processes', () => {
  it('is waited for by reading the record', async (t) => {
    const bank = new Bank();
    const { a, b, parts: [, store] } = machines(t, () => payTool(bank.pay), { hasChannel: false });
    const first = a.says('pay 5');
    await bank.begun();
    const second = b.says('pay 5');
    const reads = (): number => store.calls.filter((name) => name === 'read').length;
    await until(() => reads() === 2, 'a call that waits');
    bank.answer(5);
    assert.equal(await second, '{"paid":5}');
    await first;
    assert.deepEqual(bank.calls, [5]);
  });
});

describe('the stores of a once tool', () => {
  it('may be any store with four methods', async (t) => {
    const inner = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const store: ConversationStore = {
      read: async (id) => inner.read(id),
      update: async (id, change) => inner.update(id, change),
      count: () => inner.count(),
      close: () => inner.close(),
    };
    let runs = 0;
    const served = shop(t, payTool(() => ++runs), { store });
    await served.says('pay 5');
    assert.match(await served.says('pay 5'), /"done before"/);
    assert.equal(runs, 1);
  });
});

describe('a tool that finishes', () => {
  it('stops the clock for the first word while it runs', async (t) => {
    const bank = new Bank();
    const environment = { FIRST_WORD_TIMEOUT_SECONDS: '10', FILLER_AFTER_MS: '0' };
    const served = shop(t, payTool(bank.pay), { environment });
    await served.client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const reply = served.says('pay 5');
    await bank.begun();
    clock.tick(60_000);
    bank.answer(5);
    assert.equal(await reply, '{"paid":5}');
  });

  // The caller was asked to say it again, and the model called once more.
  it('also stops it for a call that waits for it', async (t) => {
    const bank = new Bank();
    const environment = { FIRST_WORD_TIMEOUT_SECONDS: '10' };
    const served = shop(t, payTool(bank.pay), { environment });
    await served.client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const first = served.says('pay 5');
    await bank.begun();
    const second = served.says('pay 5');
    await until(() => served.logLines.join('').includes('"outcome":"interrupted"'), 'the barge-in');
    clock.tick(60_000);
    bank.answer(5);
    assert.equal(await second, '{"paid":5}');
    await first;
  });

  it('does not stop the clock of the turn', async (t) => {
    const bank = new Bank();
    const environment = { TURN_TIMEOUT_SECONDS: '20', FIRST_WORD_TIMEOUT_SECONDS: '10' };
    const served = shop(t, payTool(bank.pay), { environment });
    await served.client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const reply = served.says('pay 5');
    await bank.begun();
    clock.tick(60_000);
    bank.answer(5);
    assert.match(await reply, /Sorry, something went wrong/);
  });
});
