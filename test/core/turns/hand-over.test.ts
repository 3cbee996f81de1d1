// A conversation that is handed over to another agent, over real sockets.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Channel } from '../../../src/base/channel.ts';
import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import { defineState } from '../../../src/core/state/state.ts';
import { handOver } from '../../../src/core/tools/tool-hand-over.ts';
import { hangUp } from '../../../src/core/tools/tool-hang-up.ts';
import { tool, type Tool } from '../../../src/core/tools/tool.ts';
import type { ScriptedAnswer, ScriptedCall } from '../../../src/kit/scripted-answer.ts';
import { scriptedModel, type ScriptedModel } from '../../../src/kit/scripted-model.ts';
import { createTestClient, type TestClient } from '../../../src/kit/test-client.ts';
import type { App } from '../../../src/server/app/app.ts';
import type { NamedAgents } from '../../../src/server/app/assemble-app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { deferred, fired, within } from '../../fixtures/app.ts';
import { recordLog, SECRET, settingsWith, type RecordedLog } from '../../fixtures/kernel.ts';
import { dataOf } from '../agents/model-app.ts';
import { memory } from './plain-deliveries.ts';
import { APOLOGY } from './single-message.ts';

const notes = defineState(() => ({ notes: [] as string[] }));

/** Hands the conversation over to the agent that the model names. */
const transfer = tool({
  name: 'transfer',
  description: 'Hands the call over.',
  parameters: { type: 'object', properties: { to: { type: 'string' } }, required: ['to'] },
  tellBrowser: 'everything',
  run: ({ to }) => handOver(to),
});

const note = tool({
  name: 'note',
  description: 'Notes something.',
  parameters: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  state: notes,
  run: ({ text }, { state }) => {
    state.notes.push(text);
    return state.notes;
  },
});

function to(agent: string): ScriptedCall {
  return { call: 'transfer', args: { to: agent } };
}

const HANDED_OVER = '{"status":"handed over","agent":"billing"}';

/** Scripts by agent name. The first agent has the plain route. */
type Scripts = Readonly<Record<string, readonly ScriptedAnswer[]>>;

interface Staged {
  readonly app: App;
  readonly caller: TestClient;
  readonly log: RecordedLog;
  readonly models: Readonly<Record<string, ScriptedModel>>;
  readonly says: (text: string) => Promise<string>;
  /** The history of the first agent's conversation: who said what. `own` is that agent. */
  readonly outline: () => Promise<string[]>;
}

interface Staging {
  /** Agents with hooks. */
  readonly agents?: NamedAgents;
  readonly store?: ConversationStore;
  readonly conversationId?: string;
  readonly channel?: Channel;
  readonly tools?: readonly Tool<{ notes: string[] }>[];
}

function outlineOf(history: readonly Message[]): string[] {
  return history.map((message) => {
    if (message.role !== 'assistant') return `${message.role}: ${message.content}`;
    const { agent = 'own', content, toolCalls = [] } = message;
    return [`${agent}: ${content}`, ...toolCalls.map(({ name }) => name)].join(' → ');
  });
}

function stage(t: TestContext, scripts: Scripts, staging: Staging = {}): Staged {
  const { agents = {}, conversationId = 'c-1', tools = [transfer, note], ...options } = staging;
  const models: Record<string, ScriptedModel> = {};
  const all: Record<string, Agent> = {};
  for (const [name, script] of Object.entries(scripts)) {
    const model = (models[name] = scriptedModel(script));
    all[name] = defineAgent({
      name: name.toUpperCase(), state: notes, model, tools,
      welcome: `This is ${name}.`, apology: `Pardon, says ${name}.`, prompt: `You are ${name}.`,
    });
  }
  const log = recordLog();
  const app = createApp(settingsWith(), { ...all, ...agents }, { log: log.log, ...options });
  const caller = createTestClient(app, { secret: SECRET, conversationId });
  t.after(() => caller.close());
  return {
    app, caller, log, models,
    says: async (text) => (await caller.say(text)).text(),
    outline: async () => outlineOf(await app.conversations.getHistory(conversationId)),
  };
}

/** An agent that says "one, ", and goes on when it is released. */
function slow(): { readonly agent: Agent; readonly begun: Promise<void>; release: () => void } {
  const [begun, gate] = [deferred(), deferred()];
  const agent = defineAgent({
    name: 'slow',
    async *onMessage({ signal, text }) {
      yield `${text}: one, `;
      begun.resolve();
      if (text === 'Hi') await Promise.race([gate.promise, fired(signal)]);
      yield 'two.';
    },
  });
  return { agent, begun: begun.promise, release: gate.resolve };
}

describe('a tool that returns handOver', () => {
  it('makes the other agent speak in the same turn and in later ones', async (t) => {
    const { caller, says, log, outline, models, app } = stage(t, {
      sales: ['Hello.', ['One moment.', to('billing')]],
      billing: ['Billing here.', 'Still billing.'],
    });
    assert.equal(await says('Hi'), 'Hello.');
    const reply = await caller.say('My bill is wrong');
    assert.equal(await reply.text(), 'One moment. Billing here.');
    assert.equal(await says('And now?'), 'Still billing.');
    const [sales, billing] = [models['sales']?.requests ?? [], models['billing']?.requests ?? []];
    assert.equal(sales.length, 2);
    const toolCalls = [{ id: 'call_1', name: 'transfer', args: '{"to":"billing"}' }];
    assert.deepEqual(billing[0]?.messages, [
      { role: 'system', content: 'You are billing.' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'My bill is wrong' },
      { role: 'assistant', content: 'One moment.', toolCalls },
      { role: 'tool', toolCallId: 'call_1', content: HANDED_OVER },
    ]);
    assert.deepEqual((await outline()).slice(2), [
      'user: My bill is wrong', 'own: One moment. → transfer', `tool: ${HANDED_OVER}`,
      'billing:  Billing here.', 'user: And now?', 'billing: Still billing.',
    ]);
    const result = (await app.conversations.getHistory('c-1')).find(({ role }) => role === 'tool');
    assert.equal(result?.role === 'tool' && result.handOver, 'billing');
    const lines = await log.wait('request', 3);
    const speakers = lines.map((line) => line['speakers']);
    assert.deepEqual(speakers, [undefined, 'sales,billing', 'billing']);
    const call = { tool: 'transfer', args: { to: 'billing' } };
    assert.deepEqual(dataOf(await reply.events()), [
      { ...call, status: 'running' },
      { ...call, status: 'completed', result: { status: 'handed over', agent: 'billing' } },
    ]);
  });

  it("lets the other agent call its own tools, which share the first agent's state", async (t) => {
    const { app, says } = stage(t, {
      sales: [{ call: 'note', args: { text: 'a' } }, to('billing')],
      billing: [{ call: 'note', args: { text: 'b' } }, 'Noted.'],
    });
    assert.equal(await says('Hi'), 'Noted.');
    const { state } = (await app.conversations.read('c-1')) ?? assert.fail();
    assert.equal(state, '{"notes":["a","b"]}');
  });

  it('lets the new agent greet a returning caller', async (t) => {
    const greeting = defineAgent({
      name: 'greeting',
      onSessionStart: ({ isResumed }) => `Greeting, ${isResumed}.`,
      onMessage: () => 'Yes.',
    });
    const { caller, says } = stage(t, { sales: [to('greeting')] }, { agents: { greeting } });
    await says('Hi');
    for (const fields of [{}, { turn_id: null }])
      assert.equal(await (await caller.start(fields)).text(), 'Greeting, true.');
  });

  it("can hand back to the first agent, whose words are then its own again", async (t) => {
    const { says, outline, log } = stage(t, {
      sales: [to('billing'), 'Sales again.', 'Still sales.'],
      billing: [['Wrong number.', to('sales')]],
    });
    assert.equal(await says('Hi'), 'Wrong number. Sales again.');
    assert.equal(await says('And?'), 'Still sales.');
    assert.deepEqual((await outline()).slice(3), [
      'billing: Wrong number. → transfer', 'tool: {"status":"handed over","agent":"sales"}',
      'own:  Sales again.', 'user: And?', 'own: Still sales.',
    ]);
    const lines = await log.wait('request', 2);
    assert.deepEqual(lines.map(({ speakers }) => speakers), ['sales,billing,sales', undefined]);
  });

  it("affects only the path that was called, not the other agent's own path", async (t) => {
    const { app, caller, says, outline } = stage(t, {
      sales: [to('billing')], billing: ['Billing here.', 'Another call.'],
    });
    await says('Hi');
    const direct = createTestClient(await caller.origin(), {
      secret: SECRET, agentRoute: '/api/agent/billing', conversationId: 'c-1',
    });
    assert.equal(await (await direct.say('Hi')).text(), 'Another call.');
    const history = await app.agents[1]?.conversations.getHistory('c-1');
    assert.deepEqual(outlineOf(history ?? []), ['user: Hi', 'own: Another call.']);
    assert.equal((await outline()).length, 4);
  });

  it('hands over at the end of the hook if the agent runs the tool in its hook', async (t) => {
    const asking = defineAgent({
      name: 'asking',
      state: notes,
      async *onMessage({ journal }) {
        yield 'I ask. ';
        const [outcome] = await journal.runTools([{ id: 'c', name: 'pass', args: '{}' }], () => ({
          run: async ({ toolCallId }) => {
            await journal.handOver(toolCallId, 'billing');
            return '"passed"';
          },
        }));
        yield `To ${outcome?.handOver}. `;
      },
    });
    const scripts = { sales: [to('asking')], billing: ['Billing here.'] };
    const { says, outline } = stage(t, scripts, { agents: { asking } });
    assert.equal(await says('Hi'), 'I ask. To billing. Billing here.');
    assert.deepEqual((await outline()).slice(3), [
      'asking: I ask.  → pass', 'tool: "passed"',
      'asking: To billing. ', 'billing: Billing here.',
    ]);
  });

  it('ends the turn if the agent that handed over has hung up', async (t) => {
    const { says, models } = stage(t, {
      sales: [[to('billing'), { call: 'hang_up', args: { goodbye: 'Bye.' } }]],
      billing: ['Billing here.'],
    }, { tools: [transfer, hangUp] });
    assert.equal(await says('Hi'), 'Bye.');
    assert.equal(models['billing']?.requests.length, 0);
  });

  it('lets the other agent apologise if that agent fails', async (t) => {
    const { says } = stage(t, { sales: [to('billing')], billing: [] });
    assert.equal(await says('Hi'), 'Pardon, says billing.');
  });
});

describe('a hand-over', () => {
  const REASON = /^(there is no agent of that name|the agent "stranger"|you are the agent)/;
  for (const [what, name, error, code] of [
    ['to an unknown agent', 'nobody',
      /^there is no agent \\?"nobody\\?"; the others are billing, stranger$/, 'AGENT'],
    ['to the name of a property that every object has', 'constructor',
      /there is no agent "constructor"/, 'AGENT'],
    ['to an agent with another state', 'stranger', /"stranger" has a different state/, 'STATE'],
    ['to the agent that is speaking', 'sales', /you are the agent "sales" yourself/, 'REPEATED'],
  ] as const)
    it(`${what} is logged, and is an error for the model, which goes on`, async (t) => {
      const other = defineState(() => ({ other: true }));
      const stranger = defineAgent({ name: 'stranger', state: other, onMessage: () => 'Who?' });
      const scripts = { sales: [to(name), 'I cannot do that.', 'Still me.'], billing: [] };
      const { caller, says, models, log } = stage(t, scripts, { agents: { stranger } });
      const reply = await caller.say('Hi');
      assert.equal(await reply.text(), 'I cannot do that.');
      const failed = { tool: 'transfer', status: 'failed', args: { to: name } };
      assert.deepEqual(dataOf(await reply.events()).at(-1), failed);
      const content = models['sales']?.requests[1]?.messages.at(-1)?.content ?? '';
      assert.match((JSON.parse(content) as { error: string }).error, error);
      const line = await log.next('tool failed');
      assert.deepEqual((line['error'] as { code?: unknown }).code, `ERR_HAND_OVER_${code}`);
      assert.match(String(line['reason']), REASON);
      assert.equal(await says('And?'), 'Still me.');
    });

  it('to another agent fails if there is only one agent', async (t) => {
    const model = scriptedModel([to('billing'), 'I am alone.']);
    const agent = defineAgent({ name: 'solo', prompt: 'You are alone.', tools: [transfer], model });
    const caller = createTestClient(createApp(settingsWith(), agent), { secret: SECRET });
    t.after(() => caller.close());
    assert.equal(await (await caller.say('Hi')).text(), 'I am alone.');
    const { content = '' } = model.requests[1]?.messages.at(-1) ?? {};
    assert.match(content, /there is no agent .*this one is the only one/);
  });

  it('fails if it is the fourth in its turn', async (t) => {
    const scripts = { a: [to('b'), to('b')], b: [to('a'), to('a'), 'Enough.'] };
    const { says, models } = stage(t, scripts);
    assert.equal(await says('Hi'), 'Enough.');
    const { content = '' } = models['b']?.requests.at(-1)?.messages.at(-1) ?? {};
    assert.match(content, /handed over 3 times in this turn, which is the limit/);
  });

  it('fails if it is the second that a model asks for at once', async (t) => {
    const { says, outline } = stage(t, {
      sales: [[to('billing'), to('support')]],
      billing: ['Billing here.'],
      support: ['Support here.'],
    });
    assert.equal(await says('Hi'), 'Billing here.');
    assert.match((await outline())[3] ?? '', /^tool: .*is already handing the conversation over/);
  });

  it('to an empty name, or to something that is not a name, is refused', () => {
    for (const name of ['', undefined, 7, {}]) {
      const error = { name: 'TypeError', message: /takes the name of an agent/ };
      assert.throws(() => handOver(name as string), error);
    }
  });

  it('fails if its call is not running', async (t) => {
    const careless = defineAgent({
      name: 'careless',
      onMessage: ({ journal }) => journal.handOver('c-7', 'billing'),
    });
    const scripts = { sales: [to('careless')], billing: [] };
    const { says } = stage(t, scripts, { agents: { careless } });
    assert.equal(await says('Hi'), APOLOGY);
  });
});

describe('a turn that was handed over and delivered again', () => {
  /** Replaces the agent's model by one with that script. */
  function rewrite({ models }: Staged, agent: string, script: ScriptedAnswer[]): ScriptedModel {
    const again = scriptedModel(script);
    Object.assign(models[agent] ?? {}, { stream: again.stream });
    return again;
  }

  it('goes on with the other agent if that agent had failed', async (t) => {
    // an empty script fails the turn
    const staged = stage(t, { sales: [to('billing')], billing: [] });
    await staged.says('Hi');
    const again = rewrite(staged, 'billing', ['Billing here.']);
    assert.equal(await (await staged.caller.deliverAgain()).text(), 'Billing here.');
    assert.deepEqual(await staged.outline(), [
      'user: Hi', 'own:  → transfer', `tool: ${HANDED_OVER}`, 'billing: Billing here.',
    ]);
    assert.equal(again.requests[0]?.messages.at(-1)?.content, HANDED_OVER);
  });

  it('hands over again if its agent makes the same call again', async (t) => {
    // sales fails if it is asked again
    const staged = stage(t, { sales: [to('billing')], billing: [to('sales'), 'Billing again.'] });
    await staged.says('Hi');
    const again = rewrite(staged, 'sales', [to('billing')]);
    assert.equal(await (await staged.caller.deliverAgain()).text(), 'Billing again.');
    assert.equal(again.requests.length, 1);
  });
});

describe('a hand-over whose turn is over', () => {
  it('stays in force if the caller speaks over the other agent', async (t) => {
    const { agent, begun } = slow();
    const agents = { slow: agent };
    const { caller, says, outline } = stage(t, { sales: [to('slow')] }, { agents });
    const reply = await caller.say('Hi');
    await begun;
    assert.equal(await says('Wait'), 'Wait: one, two.');
    await reply.text();
    assert.deepEqual((await outline()).slice(3), [
      'slow: Hi: one, ', 'user: Wait', 'slow: Wait: one, two.',
    ]);
  });

  it('takes effect in the turn after its tool finishes, however late', async (t) => {
    const [asked, release] = [deferred(), deferred()];
    const finishing = tool({
      name: 'transfer',
      description: 'Hands over in the end.',
      parameters: { type: 'object' },
      whenInterrupted: 'finish',
      run: async () => {
        asked.resolve();
        await release.promise;
        return handOver('billing');
      },
    });
    const scripts = { sales: [{ call: 'transfer' }, 'Still at it.'], billing: ['Billing here.'] };
    const { app, caller, says, log } = stage(t, scripts, { tools: [finishing] });
    const cut = caller.say('Hi');
    await asked.promise;
    assert.equal(await says('Well?'), 'Still at it.');
    await cut;
    release.resolve();
    const handed = async (): Promise<void> => {
      const isHanded = (message: Message): boolean =>
        message.role === 'tool' && message.handOver === 'billing';
      while (!(await app.conversations.getHistory('c-1')).some(isHanded))
        await new Promise((resolve) => setImmediate(resolve));
    };
    await within(handed(), 'the hand-over');
    assert.equal(await says('And?'), 'Billing here.');
    assert.equal(log.records().some(({ level }) => level === 'error'), false);
  });
});

describe('the agent of a conversation', () => {
  it('is the first one if the other is no longer served, and the log says so', async (t) => {
    const same = { store: memory() };
    await stage(t, { sales: [to('billing')], billing: ['Billing here.'] }, same).says('Hi');
    const { says, log } = stage(t, { sales: ['Sales again.'] }, same);
    assert.equal(await says('And?'), 'Sales again.');
    const { handedOverTo } = await log.next(
      'the agent that has the conversation is no longer served, or has a different state',
    );
    assert.equal(handedOverTo, 'billing');
  });
});
