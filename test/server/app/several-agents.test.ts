import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { Speakers } from '../../../src/core/agents/speakers.ts';
import type { ChatModel } from '../../../src/core/models/model.ts';
import { defineState, type State } from '../../../src/core/state/state.ts';
import { createTestClient, type TestClient } from '../../../src/kit/test-client.ts';
import type { AppOptions } from '../../../src/server/app/app-parts.ts';
import type { App } from '../../../src/server/app/app.ts';
import type { NamedAgents } from '../../../src/server/app/assemble-app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { pathsOfAgents } from '../../../src/server/app/routes.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import { holding, recordLog, SECRET, settingsWith } from '../../fixtures/kernel.ts';

const SALES_SECRET = 'whsec_sales_0123456789';

function speaker(name: string): Agent {
  return defineAgent({ name, onMessage: ({ text }) => `${name}: ${text}` });
}

const two: NamedAgents = { sales: speaker('Sally'), support: speaker('Sue') };

interface Several {
  readonly app: App;
  readonly origin: string;
  /** A client for that path, in the one conversation that all clients share. */
  readonly at: (path: string, secret?: string) => TestClient;
}

async function serveAgents(
  t: TestContext,
  agents: NamedAgents = two,
  settings: Partial<Settings> = {},
  options: AppOptions = {},
): Promise<Several> {
  const app = createApp(settingsWith(settings), agents, options);
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const origin = `http://127.0.0.1:${port}`;
  return {
    app,
    origin,
    at: (agentRoute, secret = SECRET) =>
      createTestClient(origin, { secret, agentRoute, conversationId: 'c-1' }),
  };
}

describe('createApp with several agents', () => {
  const wrong: readonly (readonly [what: string, agents: unknown, message: RegExp])[] = [
    ['an object without agents', {}, /needs at least one agent/],
    ['an export that does not exist', undefined, /needs an agent, or several .*, got undefined/],
    ['a name with a capital', { Sales: two['sales'] }, /name must begin with .*, got "Sales"/],
    ['a name that begins with a digit', { '1st': two['sales'] }, /got "1st"/],
    ['a name with a slash', { 'a/b': two['sales'] }, /got "a\/b"/],
    ['a name of 65 characters', { ['a'.repeat(65)]: two['sales'] }, /at most 64/],
    ['a string for an agent', { sales: 'echo' }, /the agent sales must be made with defineAgent/],
    ['undefined for an agent', { sales: undefined }, /the agent sales must be made with/],
  ];
  for (const [what, agents, message] of wrong) {
    it(`refuses ${what}`, () => {
      assert.throws(() => createApp(settingsWith(), agents as NamedAgents), {
        name: 'TypeError',
        message,
      });
    });
  }

  it('refuses an agent that has no secret, and names both variables', () => {
    const agentSecrets = { sales: [SALES_SECRET] };
    assert.throws(() => createApp(settingsWith({ webhookSecrets: [], agentSecrets }), two), {
      name: 'TypeError',
      message: /: set LAYERCODE_WEBHOOK_SECRET or LAYERCODE_WEBHOOK_SECRET_SUPPORT, or for /,
    });
  });

  const newCart = (): object => ({ cart: [] });
  const withState = (state: State | (() => object)): Agent =>
    defineAgent({ name: 'shop', state, onMessage: () => 'Yes.' });

  for (const [what, sales, support] of [
    ['as their state', withState(newCart), withState(newCart)],
    ['in two states', withState(defineState(newCart)), withState(defineState(newCart))],
    ['in a state and by itself', withState(defineState(newCart)), withState(newCart)],
  ] as const) {
    it(`refuses two agents with one function ${what}, which they would not share`, () => {
      assert.throws(() => createApp(settingsWith(), { sales, billing: speaker('Bill'), support }), {
        name: 'TypeError',
        message: 'the agents "sales" and "support" create two states from one function: '
          + 'call defineState once, and pass its result to both',
      });
    });
  }

  it('accepts agents that share a state or have their own, and one under two names', () => {
    const shared = defineState(newCart);
    const own = withState(() => ({ cart: [] }));
    const agents = { a: withState(shared), b: withState(shared), c: own, d: own };
    return createApp(settingsWith(), agents).close();
  });

  it('accepts names that every object has', () => {
    const app = createApp(settingsWith(), { constructor: speaker('Con') });
    assert.deepEqual(app.agents.map(({ path }) => path), ['/api/agent/constructor']);
    return app.close();
  });
});

describe('several agents', () => {
  it('answer below the agent route by name, and the first on the route itself', async (t) => {
    const { at } = await serveAgents(t);
    for (const [path, words] of [
      ['/api/agent/sales', 'Sally: Hi'],
      ['/api/agent/support', 'Sue: Hi'],
      ['/api/agent', 'Sally: Hi'],
    ] as const) {
      assert.equal(await (await at(path).say('Hi')).text(), words, path);
    }
    assert.equal((await at('/api/agent/billing').say('Hi')).status, 404);
  });

  it('have paths without a double slash below a route that ends with a slash', async (t) => {
    const { at } = await serveAgents(t, two, { agentRoute: '/' });
    assert.equal(await (await at('/support').say('Hi')).text(), 'Sue: Hi');
  });

  it('have conversations of their own under one id', async (t) => {
    const { app, at } = await serveAgents(t);
    await (await at('/api/agent/sales').say('One')).text();
    await (await at('/api/agent/support').say('Two')).text();
    const [sales, support] = app.agents;
    const wordsOf = async (agent = sales): Promise<string[]> =>
      (await agent.conversations.getHistory('c-1')).map(({ content }) => content);
    assert.deepEqual(await wordsOf(), ['One', 'Sally: One']);
    assert.deepEqual(await wordsOf(support), ['Two', 'Sue: Two']);
    assert.equal(await app.conversations.count(), 2);
    const stolen = await app.conversations.getHistory('support/c-1'); // which looks like its key
    assert.deepEqual(stolen, []);
  });

  it("do not interrupt another agent's turn in a conversation with the same id", async (t) => {
    const { agent: slow, begun, release } = holding();
    const { at } = await serveAgents(t, { slow, quick: speaker('Q') });
    const reply = await at('/api/agent/slow').say('Hi');
    await begun;
    await (await at('/api/agent/quick').say('Hi')).text();
    release();
    assert.equal(await reply.text(), 'One. Two.');
  });

  it('share the limit on open streams', async (t) => {
    const { agent: slow, begun, release } = holding();
    const { at } = await serveAgents(t, { slow, quick: speaker('Q') }, { maxStreams: 1 });
    const held = at('/api/agent/slow').say('Hi');
    await begun;
    assert.equal((await at('/api/agent/quick').say('Hi')).status, 503);
    release();
    await (await held).text();
  });

  it('are all waited for when the app closes, and their turns are counted', async (t) => {
    const { agent: slow, begun, release } = holding();
    const agents = { quick: speaker('Q'), slow };
    const { app, at } = await serveAgents(t, agents, { shutdownTimeoutSeconds: 5 });
    const reply = await at('/api/agent/slow').say('Hi');
    await begun;
    assert.equal(app.runningTurns, 1);
    const closed = app.close();
    release();
    assert.equal(await reply.text(), 'One. Two.');
    await closed;
  });
});

describe('the secrets of several agents', () => {
  const settings = { agentSecrets: { sales: [SALES_SECRET] } };

  it('may be their own, or the common one', async (t) => {
    const { at } = await serveAgents(t, two, settings);
    const statuses = [];
    for (const [path, secret] of [
      ['/api/agent/sales', SALES_SECRET],
      ['/api/agent/sales', SECRET],
      ['/api/agent/support', SECRET],
      ['/api/agent/support', SALES_SECRET],
      ['/api/agent', SALES_SECRET],
      ['/api/agent', SECRET],
    ] as const) {
      const { status } = await at(path, secret).say('Hi');
      statuses.push(status);
    }
    assert.deepEqual(statuses, [200, 401, 200, 401, 200, 401]);
  });

  it("open the app's own routes below /api/ and authorize, whichever is used", async (t) => {
    const { app, at } = await serveAgents(t, two, settings);
    app.post('/api/mine', (context) => context.text(200, 'mine'));
    for (const secret of [SECRET, SALES_SECRET]) {
      assert.equal((await at('/api/mine', secret).post('{}')).status, 200);
      assert.notEqual((await at('/api/authorize', secret).post('{"agent_id":"a"}')).status, 401);
    }
    assert.equal((await at('/api/mine', 'whsec_other').post('{}')).status, 401);
  });
});

describe('an app that reports on its agents', () => {
  it('names the agent in the metrics of turns and events', async (t) => {
    const { app, at } = await serveAgents(t);
    await (await at('/api/agent').say('Hi')).text();
    await (await at('/api/agent/support').say('Hi')).text();
    const text = app.metrics.text();
    for (const sample of [
      'layercode_events_total{agent="sales",event="message"} 1',
      'layercode_turns_total{agent="support",event="message",outcome="completed",wire="layercode"} 1',
      'layercode_first_speech_seconds_count{agent="sales"',
      'layercode_conversations 2',
      'layercode_open_streams 0',
    ]) {
      assert.ok(text.includes(`\n${sample}`), `${sample}\n${text}`);
    }
  });

  it('names the agent in log lines, including those of refused requests', async (t) => {
    const { log, wait } = recordLog();
    const { at } = await serveAgents(t, two, {}, { log });
    await (await at('/api/agent/support').say('Hi')).text();
    await at('/api/agent', 'whsec_other').say('Hi');
    const lines = await wait('request', 2);
    assert.deepEqual(lines.map(({ agent, status }) => [agent, status]), [
      ['support', 200],
      ['sales', 401],
    ]);
  });

  it('names an agent that failed by the name it is served under, not its own', async (t) => {
    const { log, wait } = recordLog();
    const fail = (): never => { throw new Error('broken'); };
    const support = defineAgent({ name: 'Sue', onMessage: fail, apology: fail });
    const { at } = await serveAgents(t, { ...two, support }, {}, { log });
    await (await at('/api/agent/support').say('Hi')).text();
    for (const msg of ['turn failed', 'apology failed'])
      assert.equal((await wait(msg))[0]?.['agent'], 'support', msg);
  });

  it('names an agent that has taken over by the name it is served under, too', () => {
    const { sales, support } = two as { sales: Agent; support: Agent };
    const speakers = new Speakers(sales, 'sales', new Map(Object.entries(two)));
    const names = [sales, support, speaker('Sam')].map((agent) => speakers.nameOf(agent));
    assert.deepEqual(names, ['sales', 'support', 'Sam']);
  });

  it('names no agent if there is only one', async (t) => {
    const { log, wait } = recordLog();
    const app = createApp(settingsWith(), speaker('Solo'), { log });
    const client = createTestClient(app, { secret: SECRET });
    t.after(() => client.close());
    await (await client.say('Hi')).text();
    const [line] = await wait('request');
    assert.equal('agent' in (line ?? {}), false);
    assert.doesNotMatch(app.metrics.text(), /agent=/);
  });

  const model = (problems: readonly string[], isUsable = true): ChatModel => ({
    name: 'test:model',
    isUsable: () => isUsable,
    problems: () => problems,
    warm: async () => undefined,
    stream: async function* () {},
  });
  const speaking = (model: ChatModel): Agent => {
    const agent = speaker('M');
    return { ...agent, bind: () => ({ ...agent, model }) };
  };

  it('lists all agents in /ready, and says whose warning it is', async (t) => {
    const support = speaking(model(['a fall-back has no key']));
    const agents = { sales: speaker('Sally'), support };
    const { origin } = await serveAgents(t, agents);
    assert.deepEqual(await (await fetch(`${origin}/ready`)).json(), {
      ready: true,
      agents: [
        { agent: 'sales', model: null },
        { agent: 'support', model: 'test:model' },
      ],
      warnings: ['support: a fall-back has no key'],
    });
  });

  it('is not ready while one agent is not', async (t) => {
    const agents = { sales: speaker('Sally'), support: speaking(model(['no key'], false)) };
    const { origin } = await serveAgents(t, agents);
    const response = await fetch(`${origin}/ready`);
    const { ready, reasons } = (await response.json()) as Record<string, unknown>;
    assert.deepEqual([response.status, ready, reasons], [503, false, ['support: no key']]);
  });
});

// A tunnel with AGENT_ROUTE=/ used to open every route.
describe('pathsOfAgents', () => {
  for (const agentRoute of ['/', '/api/agent'])
    it(`has the paths of all agents and no others, with AGENT_ROUTE=${agentRoute}`, async (t) => {
      const { origin } = await serveAgents(t, two, {
        agentRoute, chatCompletionsKeys: ['key-of-a-platform'], vapiWebhookSecrets: ['whsec_v'],
      });
      const agents = Object.keys(two).map((name) => ({ name }));
      const { paths } = (await (await fetch(`${origin}/openapi.json`)).json()) as { paths: object };
      const others = ['/api/authorize', '/health', '/ready', '/openapi.json', '/metrics'];
      assert.deepEqual(
        [...new Set(pathsOfAgents({ agentRoute, agents }))].toSorted(),
        Object.keys(paths).filter((path) => !others.includes(path)).toSorted(),
      );
    });
});
