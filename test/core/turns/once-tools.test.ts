// Tools that act once per conversation: in one process, and in several that share a store.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { defineState } from '../../../src/core/state/state.ts';
import { NotDone } from '../../../src/core/tools/tool-not-done.ts';
import type { Tool } from '../../../src/core/tools/tool.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import type { CallRecords } from '../../../src/server/records/call-recorder.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { deferred, serve, until, within } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import {
  Bank, DONE_BEFORE, errorsOf, ID, linesOf, machines, payAgent, paying, paysAtLast, payTool, shop,
  UNKNOWN, type Machines, type Payment, type Shop,
} from './payments.ts';

const IS_UNKNOWN = 'the outcome of a tool call is unknown';
const HAS_ENDED = 'a tool call whose outcome was unknown has ended';
const FORGETS = 'tools that act once may act again after a restart';
const STILL_RUNNING = '{"status":"still running"}';
const AWAY = new Error('the store does not answer');
const LATE = { timeoutMs: 20 };

/** The idempotency keys in the log lines with that message. */
function keysOf(from: Shop, msg: string): unknown[] {
  return linesOf(from, msg).map(({ idempotencyKey }) => idempotencyKey);
}

async function toolResults({ messages }: Shop): Promise<string[]> {
  return (await messages('c')).flatMap(({ role, content }) => (role === 'tool' ? content : []));
}

describe('a once tool', () => {
  it('acts once for the same arguments, and its result is marked in later calls', async (t) => {
    const paid: number[] = [];
    const { says } = shop(t, payTool(({ amount }) => void paid.push(amount)));
    assert.equal(await says('pay 5'), '{"status":"ok"}');
    assert.equal(await says('pay 5'), '{"status":"done before","result":{"status":"ok"}}');
    assert.equal(await says('pay 6'), '{"status":"ok"}');
    assert.deepEqual(paid, [5, 6]);
  });

  it('acts once for each text that its `once` returns, whatever the arguments', async (t) => {
    const paid: number[] = [];
    const once = (_args: unknown, { conversationId }: { conversationId: string }): string =>
      `order of ${conversationId}`;
    const { says } = shop(t, payTool(({ amount }) => void paid.push(amount), { once }));
    await says('pay 5');
    await says('pay 6');
    await says('pay 7', { conversation_id: 'another' });
    assert.deepEqual(paid, [5, 7]);
  });

  it('reports a `once` function that throws or returns no text, and does not start', async (t) => {
    for (const [once, error] of [
      [() => { throw new Error('no order'); }, 'no order'],
      [() => '', 'tool pay: once must return a non-empty string, got an empty one'],
      [() => 7, 'tool pay: once must return a non-empty string, got number'],
      [async () => 'x', 'tool pay: once must return a non-empty string, got object'],
    ] as const) {
      const more = { once: once as () => string };
      const { says } = shop(t, payTool(() => assert.fail('it ran'), more));
      assert.equal(await says('pay 5'), JSON.stringify({ error }));
    }
  });

  it('claims nothing for arguments that are refused', async (t) => {
    const properties = { amount: { type: 'number', maximum: 5 } } as const;
    const parameters = { type: 'object', properties } as const;
    const { says, app } = shop(t, payTool(() => assert.fail('it ran'), { parameters }));
    assert.match(await says('pay 9'), /^\{"error":"arguments\.amount must/);
    assert.equal((await app.conversations.read('c'))?.onceCalls, undefined);
  });

  it('is not repeated when it throws: the unknown outcome is logged and counted', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay));
    bank.fail(5, new Error('socket hang up'));
    for (let call = 0; call < 2; call++) assert.equal(await served.says('pay 5'), UNKNOWN);
    assert.deepEqual(bank.calls, [5]);
    const keys = errorsOf(served, IS_UNKNOWN).map(({ idempotencyKey }) => idempotencyKey);
    assert.deepEqual(keys, [...bank.keys]);
    assert.equal(served.metric('layercode_tool_outcomes_unknown_total{tool="pay"}'), 1);
  });

  it('has an unknown outcome if it has not returned by the end of a shutdown', async (t) => {
    const { a, b, bank, loseFirst } = await paying(t);
    await a.app.close();
    assert.deepEqual(keysOf(a, IS_UNKNOWN), [...bank.keys]);
    await loseFirst();
    assert.equal(await b.says('pay 5'), UNKNOWN); // and whoever finds it counts it
    assert.equal(b.metric('layercode_tool_outcomes_unknown_total{tool="pay"}'), 1);
  });

  it('is repeated with the same key if it throws and is repeatable', async (t) => {
    const keys: string[] = [];
    const { says } = shop(t, payTool((_args, { idempotencyKey }) => {
      keys.push(idempotencyKey);
      throw new Error('socket hang up');
    }, { repeatable: true }));
    for (let call = 0; call < 2; call++) await says('pay 5');
    assert.deepEqual([keys.length, new Set(keys).size], [2, 1]);
  });

  it('is not repeated if its result is not JSON, and the model is told', async (t) => {
    let runs = 0;
    const { says } = shop(t, payTool(() => ({ big: 1n, runs: ++runs })));
    assert.match(await says('pay 5'), /^\{"error":"result\.big/);
    assert.match(await says('pay 5'), /"done before"/);
    assert.equal(runs, 1);
  });

  it('can still change the state after its time limit', async (t) => {
    const state = defineState(() => ({ paid: 0 }));
    const isPaid = deferred();
    const pay = payTool(async ({ amount }, context) => {
      await isPaid.promise;
      (context.state as { paid: number }).paid += amount;
    }, { ...LATE, state });
    const { app, client, logLines } = serve(t, payAgent(pay, state));
    await (await client.say('pay 5', ID)).text();
    isPaid.resolve();
    await until(() => logLines.join('').includes(HAS_ENDED), 'the late result');
    assert.deepEqual(await app.conversations.getState('c'), { paid: 5 });
  });

  for (const [when, more, said] of [
    ['at once', {}, '{"error":"card declined"}'], ['after its time limit', LATE, UNKNOWN],
  ] as const)
    it(`may act again if it throws NotDone ${when}`, async (t) => {
      const declined = deferred();
      let tries = 0;
      const served = shop(t, payTool(async () => {
        tries += 1;
        if (tries > 1) return 'paid';
        if (more === LATE) await declined.promise;
        throw new NotDone('card declined');
      }, more));
      assert.equal(await served.says('pay 5'), said);
      declined.resolve();
      if (more === LATE) await until(() => linesOf(served, HAS_ENDED).length > 0, 'the late error');
      assert.equal(await served.says('pay 5'), '"paid"');
    });

  it('cannot be one of two different tools with the same name', () => {
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_x' }, []);
    const one = payTool(() => 1);
    const other = payTool(() => 2, { once: false });
    const app = (first: Tool, second: Tool): unknown =>
      createApp(settings, { sales: payAgent(first), billing: payAgent(second) });
    assert.throws(() => app(one, other), {
      name: 'TypeError', code: 'ERR_AGENTS', // so a server says it in one line
      message: /two tools are called "pay", and one acts once/,
    });
    assert.doesNotThrow(() => app(one, one));
    assert.doesNotThrow(() => app(other, payTool(() => 3, { once: false })));
  });

  it('causes a warning at start-up if it is repeatable but may run differently again', (t) => {
    const message = 'a repeatable tool might behave differently when repeated';
    const said = (more: Parameters<typeof payTool>[1]): unknown[] =>
      linesOf(shop(t, payTool(() => 1, more)), message)
        .map(({ level, reason }) => `${level} ${reason}`);
    assert.deepEqual(said({ repeatable: true, raw: true }), [
      'warn pay needs values that only the process that heard them knows',
    ]);
    for (const harmless of [{ repeatable: true }, { raw: true }, {}])
      assert.deepEqual(said(harmless), []);
    const state = defineState(() => ({ paid: 0 }));
    const lines = (once: boolean): number => {
      const tools = [payTool(() => 1, { repeatable: true, state, once })];
      const { logLines } = serve(t, defineAgent({ name: 'shop', prompt: 'Pay.', state, tools }));
      return logLines.filter((line) => line.includes('may change the state')).length;
    };
    assert.deepEqual([lines(true), lines(false)], [1, 0]); // without `once` it only reads
  });

  it('makes the server say at start-up that memory forgets, as a warning in production', (t) => {
    const levels = (once: boolean, environment: Record<string, string> = {}): unknown[] =>
      linesOf(shop(t, payTool(() => 1, { once }), { environment }), FORGETS)
        .map(({ level }) => level);
    const production = { NODE_ENV: 'production', DRAIN_DELAY_SECONDS: '0' };
    assert.deepEqual([levels(true), levels(true, production)], [['info'], ['warn']]);
    assert.deepEqual(levels(false), []);
  });

  it('made by a function causes the message about memory only when first made', async (t) => {
    for (const [once, tools] of [[true, ['pay']], [false, []]] as const) {
      const served = shop(t, () => payTool(() => 1, { once }));
      const said = (): unknown[] => linesOf(served, FORGETS).map((line) => line['tools']);
      assert.deepEqual(said(), []);
      for (const words of ['Hello', 'Hello again']) await served.says(words);
      assert.deepEqual(said(), tools);
    }
  });

  it('refuses contradictory options when it is defined, and always finishes', () => {
    assert.throws(() => payTool(() => 1, { whenInterrupted: 'abort' }), /must finish/);
    assert.throws(() => payTool(() => 1, { once: 'yes' as unknown as boolean }), /once must be/);
    assert.equal(payTool(() => 1).whenInterrupted, 'finish');
  });
});

describe('a once tool whose time is up', () => {
  /** The caller has been told that the outcome is unknown. */
  async function late(t: TestContext, more: object = {}): Promise<{ served: Shop; bank: Bank }> {
    const bank = new Bank();
    t.after(() => bank.answer(5));
    const served = shop(t, payTool(bank.pay, LATE), more);
    assert.equal(await served.says('pay 5'), UNKNOWN);
    return { served, bank };
  }

  it('has what it returns afterwards as its final result', async (t) => {
    const { served, bank } = await late(t);
    bank.answer(5);
    await until(() => linesOf(served, HAS_ENDED).length > 0, 'the late result');
    assert.equal(await served.says('pay 5'), DONE_BEFORE);
    assert.deepEqual(bank.calls, [5]);
    assert.equal((await toolResults(served))[0], '{"paid":5}');
  });

  it("is logged with its key, but without the error's message, if it fails", async (t) => {
    const { served, bank } = await late(t);
    bank.fail(5, new Error('card 4111 refused'));
    const wrong = 'a tool call whose outcome is unknown has failed';
    await until(() => errorsOf(served, wrong).length > 0, 'the late error');
    assert.deepEqual(keysOf(served, wrong), [...bank.keys]);
    assert.doesNotMatch(served.logLines.join(''), /card|refused/);
  });

  it('is not waited for by a shutdown that has no time', async (t) => {
    const { served } = await late(t);
    await within(served.app.close(), 'the end of the server');
    assert.match(served.logLines.join(''), /no longer waiting for a tool call/);
  });
});

describe('a payment tool in several processes', () => {
  /** The first process is paying, and counts as gone. */
  async function lost(t: TestContext, more: Parameters<typeof paying>[1] = {}): Promise<Payment> {
    const all = await paying(t, more);
    await all.loseFirst();
    return all;
  }

  it('acts once even if another process gets what the caller says next', async (t) => {
    const { a, b, bank, first, waits } = await paying(t);
    const second = await waits(b);
    await until(() => a.logLines.join('').includes('"outcome":"interrupted"'), 'the barge-in');
    bank.answer(5);
    assert.equal(await second.reply, '{"paid":5}');
    await first;
    assert.equal(await a.says('pay 5'), DONE_BEFORE);
    assert.deepEqual([bank.calls, bank.keys.size], [[5], 1]);
  });

  it('is waited for even if another process has taken its turn over', async (t) => {
    const { b, c, bank, first, waits } = await paying(t);
    assert.equal(await b.says('pay 5', { turn_id: 'paying' }), STILL_RUNNING);
    const second = await waits(b);
    const third = c.says('pay 5');
    await second.reply;
    bank.answer(5);
    assert.equal(await third, '{"paid":5}');
    await first;
    assert.deepEqual(bank.calls, [5]);
  });

  it('may start again if the confirmation of its claim was lost', async (t) => {
    const bank = new Bank();
    const { a, b, parts: store } = machines(t, () => payTool(bank.pay));
    await a.says('Hello');
    const write = store.write.bind(store);
    let writes = 0;
    store.write = async (id, change) => {
      writes += 1;
      const answer = await write(id, change);
      // The second write of the turn is the claim: it is made, and the answer is lost.
      if (writes === 2) throw new Error('lost');
      return answer;
    };
    assert.equal(await a.says('pay 5'), '{"error":"not started"}');
    bank.answer(5);
    await paysAtLast(b, /"paid":5/);
    assert.deepEqual(bank.calls, [5]);
  });

  it('has an unknown outcome once its process is gone, until the result is stored', async (t) => {
    const { a, b, bank, first } = await lost(t);
    for (let call = 0; call < 2; call++) assert.equal(await b.says('pay 5'), UNKNOWN);
    assert.deepEqual([bank.calls, errorsOf(b, IS_UNKNOWN).length], [[5], 1]);
    bank.answer(5); // the process was only frozen
    await first.catch(() => undefined);
    await until(() => keysOf(a, HAS_ENDED).length > 0, 'the line');
    assert.deepEqual(keysOf(a, HAS_ENDED), keysOf(b, IS_UNKNOWN));
    await paysAtLast(b, /"done before"/);
  });

  it('has an unknown outcome when its call is recorded, if its process is gone', async (t) => {
    const reads: Parameters<CallRecords['ended']>[1][] = [];
    const counts = (): ReturnType<CallRecords['counts']> => ({ written: 0, lost: 0, waiting: 0 });
    const records = {
      ended: (...[, read]: Parameters<CallRecords['ended']>) => void reads.push(read),
      counts,
      close: async () => undefined,
    };
    const { b, bank } = await lost(t, { records });
    await b.client.post({ type: 'session.end', session_id: 'test-session', ...ID });
    for (let times = 0; times < 2; times++) await reads[0]?.();
    assert.deepEqual(await toolResults(b), [UNKNOWN]);
    assert.deepEqual(keysOf(b, IS_UNKNOWN), [...bank.keys]);
  });

  for (const [what, once, before, name] of [
    ['acts once', true, [], 'pay'],
    ['does not act once, but was seen there', false, ['Hello'], 'pay'],
    // the model may have made up the name
    ['neither acts once nor was seen there', false, [], 'unknown'],
  ] as const)
    it(`is called "${name}" elsewhere if a function made it and it ${what}`, async (t) => {
      const { b } = await lost(t, {
        pay: (run) => () => payTool(run, { once }),
        before: async (all) => {
          for (const words of before) await all.b.says(words);
        },
      });
      await b.says('Hello');
      assert.deepEqual(errorsOf(b, IS_UNKNOWN).map(({ tool }) => tool), [name]);
      assert.equal(b.metric(`layercode_tool_outcomes_unknown_total{tool="${name}"}`), 1);
    });

  // Previously the next turn also reported the call that another turn had waited for.
  it('has its unknown outcome logged once if its process dies while another waits', async (t) => {
    const { b, c, bank, waits, loseFirst } = await paying(t);
    const second = await waits(b);
    await loseFirst();
    assert.match(await second.reply, /\{"error":"outcome unknown"\}$/); // perhaps after a filler
    for (const each of [b, c]) assert.equal(await each.says('Hello'), 'Yes.');
    assert.deepEqual([b, c].flatMap((each) => keysOf(each, IS_UNKNOWN)), [...bank.keys]);
  });

  /** A repeatable tool whose first call never ends. */
  function repeatable(bank: Bank): Parameters<typeof paying>[1] {
    let runs = 0;
    return {
      pay: (run) => payTool((args, context) =>
        (++runs === 1 ? run : bank.pay)(args, context), { repeatable: true }),
    };
  }

  it('is run again by a call that has waited for it, if it is repeatable', async (t) => {
    const bank = new Bank();
    const { b, bank: { keys }, waits, loseFirst } = await paying(t, repeatable(bank));
    const second = await waits(b);
    await loseFirst();
    bank.answer(5);
    assert.match(await second.reply, /\{"paid":5\}$/); // perhaps after a filler
    assert.deepEqual([...bank.keys], [...keys]);
    assert.deepEqual(keysOf(b, HAS_ENDED), keysOf(b, IS_UNKNOWN));
  });

  for (const [what, turn_id, count] of [
    ['not logged as unknown if its own turn repeats it', 'paying', 0],
    ['logged as unknown if another turn repeats it', 'another', 1],
  ] as const)
    it(`is repeated after its process has died if it is repeatable, and ${what}`, async (t) => {
      const bank = new Bank();
      const { b } = await lost(t, repeatable(bank));
      bank.answer(5);
      assert.match(await b.says('pay 5', { turn_id }), /\{"paid":5\}$/);
      assert.equal(errorsOf(b, IS_UNKNOWN).length, count);
    });
});

describe('a once tool that ends while the store of its process fails', () => {
  // Previously the others were told that the outcome is unknown, though a living process knew it.
  it('counts as running in all other processes until its result is stored', async (t) => {
    const before = ({ b }: Machines): Promise<string> => b.says('Hello');
    const { a, b, bank, first, waits, parts: store } = await paying(t, { before });
    const second = await waits(b);
    store.failWith = AWAY;
    bank.answer(5);
    await until(() => a.app.conversations.isStoreAway, 'the outage');
    await new Promise((resolve) => setTimeout(resolve, 10_000)); // time passes quickly
    store.failWith = undefined;
    assert.equal(await second.reply, '{"paid":5}');
    await first;
    assert.deepEqual(errorsOf(b, IS_UNKNOWN), []);
  });
});

describe('a tool that always finishes', () => {
  const WORD = { FIRST_WORD_TIMEOUT_SECONDS: '10' };
  for (const [what, environment, calls, reply] of [
    ['stops the clock for the first word while it runs', WORD, 1, /^\{"paid":5\}$/],
    // The caller was asked to say it again, so the model made the call once more.
    ['also stops that clock for a call that waits for its result', WORD, 2, /^\{"paid":5\}$/],
    ["does not stop the turn's clock", { ...WORD, TURN_TIMEOUT_SECONDS: '20' }, 1, /^Sorry, /],
  ] as const)
    it(what, async (t) => {
      const bank = new Bank();
      const served = shop(t, payTool(bank.pay), { environment });
      await served.client.origin();
      const clock = mockTimers(t, ['setTimeout']);
      const first = served.says('pay 5');
      await bank.begun();
      const last = calls === 1 ? first : served.says('pay 5');
      const isOver = (): boolean => served.logLines.join('').includes('"outcome":"interrupted"');
      if (calls > 1) await until(isOver, 'the barge-in');
      clock.tick(60_000);
      bank.answer(5);
      assert.match(await last, reply);
      await first;
    });
});
