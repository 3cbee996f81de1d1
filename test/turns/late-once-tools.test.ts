// Tools that act once per conversation: they go on after their `timeoutMs`, or never begin.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { until, within } from '../fixtures/app.ts';
import { Bank, errorsOf, machines, payTool, shop, waitsFor } from './payments.ts';

describe('a once tool whose time was up', () => {
  it('is logged with its key if it fails, without its message', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay, { timeoutMs: 20 }));
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    bank.fail(5, new Error('card 4111 refused'));
    const wrong = 'a tool call whose outcome is unknown has failed';
    await until(() => errorsOf(served, wrong).length > 0, 'the late error');
    assert.equal(errorsOf(served, wrong)[0]?.['idempotencyKey'], [...bank.keys][0]);
    assert.doesNotMatch(served.logLines.join(''), /card|refused/);
  });

  // It was paid twice: its outcome was unknown, though the payment still ran.
  it('acts once even if other calls need its conversation\'s room meanwhile', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay, { timeoutMs: 20 }), { store });
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    await served.says('Hello?', { conversation_id: 'another' });
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    assert.deepEqual(bank.calls, [5]);
    bank.answer(5);
  });

  it('is waited for by a shutdown as long as there is time', async (t) => {
    const bank = new Bank();
    const store = new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
    const environment = { SHUTDOWN_TIMEOUT_SECONDS: '60' };
    const served = shop(t, payTool(bank.pay, { timeoutMs: 20 }), { store, environment });
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    const closed = served.app.close();
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    const kept = store.read('c');
    bank.answer(5);
    await within(closed, 'the end of the server');
    const [claim] = Object.values(kept?.onceCalls ?? {});
    assert.deepEqual([claim?.state, claim?.content], ['completed', '{"paid":5}']);
  });

  it('is not waited for by a shutdown that has no time', async (t) => {
    const bank = new Bank();
    const served = shop(t, payTool(bank.pay, { timeoutMs: 20 }));
    assert.equal(await served.says('pay 5'), '{"error":"outcome unknown"}');
    await within(served.app.close(), 'the end of the server');
    assert.match(served.logLines.join(''), /is not waited for any more/);
  });
});

describe('a once tool that ends while the store of its process fails', () => {
  // The others were told that the outcome is unknown, though a living process knew it.
  it('counts as running in all other processes until its result is stored', async (t) => {
    const bank = new Bank();
    const { a, b, post, parts: [store] } = machines(t, () => payTool(bank.pay));
    await b.says('Hello');
    const first = a.says('pay 5');
    await bank.begun();
    const second = b.says('pay 5');
    await waitsFor('p0', post);
    store.failWith = new Error('full');
    bank.answer(5);
    await until(() => a.app.conversations.isStoreAway, 'the outage');
    await new Promise((resolve) => setTimeout(resolve, 10_000)); // time passes quickly
    store.failWith = undefined;
    assert.equal(await second, '{"paid":5}');
    await first;
    assert.deepEqual(errorsOf(b, 'the outcome of a tool call is unknown'), []);
  });

  it('is waited for with fillers until the waiting turn\'s time is up', async (t) => {
    const bank = new Bank();
    const environment = {
      TURN_TIMEOUT_SECONDS: '20', FIRST_WORD_TIMEOUT_SECONDS: '10', FILLER_AFTER_MS: '1200',
    };
    const { a, b, parts: [store] } = machines(t, () => payTool(bank.pay), { environment });
    await b.says('Hello');
    const first = a.says('pay 5');
    await bank.begun();
    store.failWith = new Error('full');
    bank.answer(5);
    assert.match(await b.says('pay 5'), /^(One moment\. ?){3}Sorry, something went wrong/);
    const results = (await b.app.conversations.getHistory('c')).flatMap((message) =>
      message.role === 'tool' ? [message.content] : []);
    assert.deepEqual(results, ['{"status":"still running"}', '{"status":"still running"}']);
    store.failWith = undefined;
    await first;
  });
});
