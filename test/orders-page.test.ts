// The code of docs/orders-on-two-processes.md, in the project that it is added to.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';

import { createApp, parseSettings, type Agent } from 'layercode-microserver';
import { createTestClient, scriptedModel, withModel } from 'layercode-microserver/testing';

import { deferred, within } from './fixtures/app.ts';
import { KEY, serveWith } from './fixtures/completions.ts';
import { listen } from './fixtures/listen.ts';
import { codeBlocks, readPage, typeErrors, writeProject } from './fixtures/pages.ts';
import { ROOT } from './fixtures/source-files.ts';

const secret = 'any-secret-will-do';
const PAGE = 'docs/orders-on-two-processes.md';
const [list = ''] = /ordered: .*?(?=`)/.exec(readPage(PAGE)) ?? [];
const { text: sendOrder = '' } =
  codeBlocks.find(({ page, language }) => page === PAGE && language === 'ts') ?? {};
const template = readFileSync(join(ROOT, 'assets/templates/agent.ts'), 'utf8');

/** The template with what the page adds. */
const agentText = template
  .replace('putAside: {} as Record<string, Parcel>', `$&, ${list}`)
  .replace('hangUp, tool,', 'hangUp, NotDone, tool,')
  .replace('putAside, hangUp]', 'putAside, sendOrder, hangUp]')
  .replace(/^const name = /m, `${sendOrder}\n$&`);

describe(`the code of ${PAGE}`, () => {
  const folder = writeProject(new Map([['agent.ts', agentText]]));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/layercode-microserver'));
  const bread = { goods: 'loaf of bread', count: 2 };
  const puts = { call: 'put_aside', args: bread };
  const sends = { call: 'send_order', args: { agreed: '2 loaf of bread' } };

  /** The agent, which sends its orders to this shop. */
  async function agentFor(t: TestContext, shop: Server): Promise<Agent> {
    process.env['SHOP_URL'] = (await listen(shop, t)).origin;
    t.after(() => delete process.env['SHOP_URL']);
    const url = pathToFileURL(join(folder, 'agent.ts')).href;
    return ((await import(url)) as { readonly default: Agent }).default;
  }

  it('has types that fit the project', () => assert.equal(typeErrors(folder), ''));

  // A list had the milk twice: what is put aside while an order is being sent is not taken back.
  it('puts nothing aside twice if a turn that also sends an order is replaced', async (t) => {
    const [sent, replaced] = [deferred(), deferred()];
    const shop = createServer(async (_request, response) => {
      sent.resolve();
      await replaced.promise;
      response.end();
    });
    const milk = { call: 'put_aside', args: { goods: 'bottle of milk', count: 1 } };
    const both = [sends, milk];
    const model = scriptedModel([puts, 'Two loaves.', both, both, 'Ordered, and milk.']);
    const served = withModel(await agentFor(t, shop), model);
    const { platform } = serveWith(t, served, { CHAT_COMPLETIONS_KEYS: KEY, SETTLE_MS: '0' });
    const kept = ['user: Two loaves.', 'agent: Two loaves.'];
    await platform.hear(kept.slice(0, 1));
    const first = platform.hear([...kept, 'user: Order that.']);
    await within(sent.promise, 'the order');
    const second = platform.hear([...kept, 'user: Order that. And milk.']);
    await within(first, 'the end of the first reply');
    replaced.resolve();
    assert.equal(await within(second, 'the second reply'), 'Ordered, and milk.');
    const result = model.requests.at(-1)?.messages.findLast(({ role }) => role === 'tool');
    assert.deepEqual(JSON.parse(result?.content ?? ''), { allPutAside: [bread, milk.args] });
  });

  it('orders nothing to which the caller has not said yes', async (t) => {
    let orders = 0;
    const shop = createServer((_request, response) => (orders++, void response.end()));
    const milk = { call: 'put_aside', args: { goods: 'bottle of milk', count: 1 } };
    const all = { call: 'send_order', args: { agreed: '2 loaf of bread, 1 bottle of milk' } };
    const model = scriptedModel([puts, milk, 'Milk, too?', sends, 'Milk, too?', all, 'Ordered.']);
    const served = withModel(await agentFor(t, shop), model);
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: secret }, []);
    const caller = createTestClient(createApp(settings, served), { secret });
    t.after(() => caller.close());
    const lastResult = async (words: string): Promise<unknown> =>
      (await (await caller.say(words)).toolCalls()).at(-1)?.result;
    await lastResult('Two loaves, and milk.');
    const error = 'not agreed; ask the caller about all of: 2 loaf of bread, 1 bottle of milk';
    assert.deepEqual(await lastResult('Order two loaves.'), { error });
    assert.equal(orders, 0);
    assert.deepEqual(await lastResult('Yes, both.'), { ordered: [bread, milk.args] });
    assert.equal(orders, 1);
  });

  // With the earlier code, the second order had the first goods again.
  it('orders goods only once, even in a call with two orders', async (t) => {
    const orders: [url: string, goods: unknown][] = [];
    const shop = createServer(async (request, response) => {
      orders.push([request.url ?? '', JSON.parse(await text(request))]);
      response.end();
    });
    const agent = await agentFor(t, shop);
    const model = scriptedModel([
      sends, 'Of what?', puts, sends, 'Ordered.', sends, 'It is.', puts, sends, 'Two more.',
    ]);
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: secret }, []);
    const caller = createTestClient(createApp(settings, withModel(agent, model)), { secret });
    t.after(() => caller.close());
    const results: unknown[] = [];
    for (const words of ['I order.', 'Two loaves of bread.', 'Yes.', 'And two more loaves.']) {
      const reply = await caller.say(words);
      await reply.text();
      results.push((await reply.toolCalls()).at(-1)?.result);
    }
    assert.deepEqual(results, [
      { error: 'nothing was put aside' },
      { ordered: [bread] },
      { status: 'done before', result: { ordered: [bread] } },
      { ordered: [bread] },
    ]);
    assert.deepEqual(orders.map(([, goods]) => goods), [[bread], [bread]]);
    assert.equal(new Set(orders.map(([path]) => path)).size, 2);
  });
});
