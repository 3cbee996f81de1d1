// A conversation that is handed over to another agent, over real sockets.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { defineState } from '../../src/agents/state/state.ts';
import type { App } from '../../src/app/app.ts';
import type { NamedAgents } from '../../src/app/assemble-app.ts';
import { createApp } from '../../src/app/create-app.ts';
import type { Channel } from '../../src/base/channel.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { Message } from '../../src/conversations/message.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import type { ScriptedAnswer, ScriptedCall } from '../../src/kit/scripted-answer.ts';
import { scriptedModel, type ScriptedModel } from '../../src/kit/scripted-model.ts';
import { createTestClient, type TestClient } from '../../src/kit/test-client.ts';
import { handOver } from '../../src/tools/tool-hand-over.ts';
import { hangUp, tool, type Tool } from '../../src/tools/tool.ts';
import { dataOf } from '../agents/model-app.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { deferred, fired, within } from '../fixtures/app.ts';
import { recordLog, SECRET, settingsWith, type RecordedLog } from '../fixtures/kernel.ts';

const notes = defineState(() => ({ notes: [] as string[] }));
const other = defineState(() => ({ other: true }));

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
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

/** Scripts by the name of the agent. */
type Scripts = Readonly<Record<string, readonly ScriptedAnswer[]>>;

interface Staged {
  readonly app: App;
  readonly caller: TestClient;
  readonly log: RecordedLog;
  readonly models: Readonly<Record<string, ScriptedModel>>;
  /** The history of the first agent's conversation. */
  readonly history: () => Promise<readonly Message[]>;
}

interface Staging {
  readonly agents?: NamedAgents;
  readonly store?: ConversationStore;
  readonly conversationId?: string;
  readonly channel?: Channel;
  readonly tools?: readonly Tool<{ notes: string[] }>[];
}

/** Serves agents with scripted models. The first one has the plain route. */
async function stage(t: TestContext, scripts: Scripts, staging: Staging = {}): Promise<Staged> {
  const { agents: more = {}, store, channel, conversationId = 'c-1' } = staging;
  const { tools = [transfer, note] } = staging;
  const models: Record<string, ScriptedModel> = {};
  const agents: Record<string, Agent> = {};
  for (const [name, script] of Object.entries(scripts)) {
    const model = (models[name] = scriptedModel(script));
    agents[name] = defineAgent({
      name: name.toUpperCase(),
      state: notes,
      welcome: `This is ${name}.`,
      apology: `Pardon, says ${name}.`,
      prompt: `You are ${name}.`,
      tools,
      model,
    });
  }
  const log = recordLog();
  const all = { ...agents, ...more };
  const app = createApp(settingsWith(), all, {
    log: log.log,
    ...(store ? { store } : {}),
    ...(channel ? { channel } : {}),
  });
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const caller = createTestClient(`http://127.0.0.1:${port}`, { secret: SECRET, conversationId });
  const history = async (): Promise<Message[]> => app.conversations.getHistory(conversationId);
  return { app, caller, log, models, history };
}

async function says(caller: TestClient, text: string, fields = {}): Promise<string> {
  return (await caller.say(text, fields)).text();
}

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
}

/** Who said what. `own` is the path's own agent. */
function outline(history: readonly Message[]): string[] {
  return history.map((message) => {
    if (message.role !== 'assistant') return `${message.role}: ${message.content}`;
    const { agent = 'own', content, toolCalls = [] } = message;
    return [`${agent}: ${content}`, ...toolCalls.map(({ name }) => name)].join(' → ');
  });
}

describe('a tool that returns handOver', () => {
  it('makes the other agent speak in the same turn, without its welcome', async (t) => {
    const { caller } = await stage(t, {
      sales: [['One moment.', to('billing')]],
      billing: ['Billing here.'],
    });
    assert.equal(await says(caller, 'My bill is wrong'), 'One moment. Billing here.');
  });

  it('shows that agent its own prompt, and the history with the result of the call', async (t) => {
    const { caller, models } = await stage(t, {
      sales: ['Hello.', ['One moment.', to('billing')]],
      billing: ['Billing here.'],
    });
    await says(caller, 'Hi');
    await says(caller, 'My bill is wrong');
    const toolCalls = [{ id: 'call_1', name: 'transfer', args: '{"to":"billing"}' }];
    assert.deepEqual(models['billing']?.requests[0]?.messages, [
      { role: 'system', content: 'You are billing.' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'My bill is wrong' },
      { role: 'assistant', content: 'One moment.', toolCalls },
      { role: 'tool', toolCallId: 'call_1', content: HANDED_OVER },
    ]);
  });

  it('lets that agent call tools of its own, whose state is the one of the first', async (t) => {
    const { app, caller } = await stage(t, {
      sales: [{ call: 'note', args: { text: 'a' } }, to('billing')],
      billing: [{ call: 'note', args: { text: 'b' } }, 'Noted.'],
    });
    assert.equal(await says(caller, 'Hi'), 'Noted.');
    const { state } = await app.conversations.snapshot('c-1');
    assert.equal(state, '{"notes":["a","b"]}');
  });

  it('sends a model what it was sent before only once, followed by what is new', async (t) => {
    const { caller, models } = await stage(t, {
      sales: [to('billing')],
      billing: [['Let me see.', { call: 'note', args: { text: 'b' } }], 'Noted.', 'Yes.'],
    });
    await says(caller, 'Hi');
    await says(caller, 'And?');
    const [first, second, third] = (models['billing']?.requests ?? []).map(({ messages }) =>
      messages.map((message) => JSON.stringify(message)));
    assert.ok(first && second && third);
    assert.deepEqual(second.slice(0, first.length), first);
    assert.deepEqual(third.slice(0, second.length), second);
  });

  it('leaves the conversation with that agent in later turns', async (t) => {
    const { caller, models } = await stage(t, {
      sales: [to('billing')],
      billing: ['Billing here.', 'Still billing.'],
    });
    await says(caller, 'Hi');
    assert.equal(await says(caller, 'And now?'), 'Still billing.');
    assert.equal(models['sales']?.requests.length, 1);
  });

  it('lets the new agent greet a returning caller', async (t) => {
    const greeting = defineAgent({
      name: 'greeting',
      onSessionStart: ({ isResumed }) => `Greeting, ${isResumed}.`,
      onMessage: () => 'Yes.',
    });
    const { caller } = await stage(t, { sales: [to('greeting')] }, { agents: { greeting } });
    await says(caller, 'Hi');
    assert.equal(await (await caller.start()).text(), 'Greeting, true.');
    assert.equal(await (await caller.start({ turn_id: null })).text(), 'Greeting, true.');
  });

  it('is in history: what the call returned, and which agent spoke', async (t) => {
    const { caller, history } = await stage(t, {
      sales: [['One moment.', to('billing')]],
      billing: ['Billing here.', 'Still billing.'],
    });
    await says(caller, 'Hi', { turn_id: 't-1' });
    await says(caller, 'And?', { turn_id: 't-2' });
    const messages = await history();
    assert.deepEqual(outline(messages), [
      'user: Hi',
      'own: One moment. → transfer',
      `tool: ${HANDED_OVER}`,
      'billing:  Billing here.',
      'user: And?',
      'billing: Still billing.',
    ]);
    const [, , result] = messages;
    assert.equal(result?.role === 'tool' && result.handOver, 'billing');
  });

  it('is in the log line of the turn, and of the turns after it', async (t) => {
    const { caller, log } = await stage(t, {
      sales: ['Hello.', to('billing')],
      billing: ['Billing here.', 'Still billing.'],
    });
    for (const words of ['One', 'Two', 'Three']) await says(caller, words);
    const lines = await log.wait('request', 3);
    const speakers = lines.map((line) => line['speakers']);
    assert.deepEqual(speakers, [undefined, 'sales,billing', 'billing']);
  });

  it('is sent to the browser like any other call', async (t) => {
    const { caller } = await stage(t, { sales: [to('billing')], billing: ['Billing here.'] });
    const reply = await caller.say('Hi');
    assert.deepEqual(dataOf(await reply.events()), [
      { tool: 'transfer', status: 'running', args: { to: 'billing' } },
      {
        tool: 'transfer', status: 'completed', args: { to: 'billing' },
        result: { status: 'handed over', agent: 'billing' },
      },
    ]);
  });

  it('can hand back, and the first agent\'s words are its own again', async (t) => {
    const { caller, history, log } = await stage(t, {
      sales: [to('billing'), 'Sales again.', 'Still sales.'],
      billing: [['Wrong number.', to('sales')]],
    });
    assert.equal(await says(caller, 'Hi'), 'Wrong number. Sales again.');
    assert.equal(await says(caller, 'And?'), 'Still sales.');
    assert.deepEqual(outline(await history()).slice(3), [
      'billing: Wrong number. → transfer',
      'tool: {"status":"handed over","agent":"sales"}',
      'own:  Sales again.',
      'user: And?',
      'own: Still sales.',
    ]);
    const lines = await log.wait('request', 2);
    assert.deepEqual(lines.map(({ speakers }) => speakers), ['sales,billing,sales', undefined]);
  });

  it('belongs to the path that was called, not to the other agent\'s', async (t) => {
    const { app, caller, history } = await stage(t, {
      sales: [to('billing')],
      billing: ['Billing here.', 'Another call.'],
    });
    await says(caller, 'Hi');
    const path = '/api/agent/billing';
    const direct = createTestClient(await caller.origin(), {
      secret: SECRET, agentRoute: path, conversationId: 'c-1',
    });
    assert.equal(await says(direct, 'Hi'), 'Another call.');
    const [, billing] = app.agents;
    assert.deepEqual(outline((await billing?.conversations.getHistory('c-1')) ?? []), [
      'user: Hi', 'own: Another call.',
    ]);
    assert.equal((await history()).length, 4);
  });

  it('is forgotten with the conversation', async (t) => {
    const { app, caller } = await stage(t, {
      sales: [to('billing'), 'Sales again.'],
      billing: ['Billing here.'],
    });
    await says(caller, 'Hi');
    await app.conversations.clear('c-1');
    assert.equal(await says(caller, 'Hi'), 'Sales again.');
  });

  it('hands over to an agent with hooks, which gets the same words', async (t) => {
    const parrot = defineAgent({
      name: 'parrot',
      async *onMessage({ text, history }) {
        yield `You said ${text}. `;
        yield history.map(({ role }) => role).join();
      },
    });
    const { caller, history } = await stage(t, { sales: [to('parrot')] }, { agents: { parrot } });
    assert.equal(await says(caller, 'Hi'), 'You said Hi. user,assistant,tool');
    assert.equal(outline(await history()).at(-1), 'parrot: You said Hi. user,assistant,tool');
  });

  it('hands over from an agent that runs tools in its hook, when its hook ends', async (t) => {
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
    const { caller, history } = await stage(
      t,
      { sales: [to('asking')], billing: ['Billing here.'] },
      { agents: { asking } },
    );
    assert.equal(await says(caller, 'Hi'), 'I ask. To billing. Billing here.');
    assert.deepEqual(outline(await history()).slice(3), [
      'asking: I ask.  → pass',
      'tool: "passed"',
      'asking: To billing. ',
      'billing: Billing here.',
    ]);
  });

  it('ends the turn if the agent that handed over has hung up', async (t) => {
    const { caller, models } = await stage(
      t,
      {
        sales: [[to('billing'), { call: 'hang_up', args: { goodbye: 'Bye.' } }]],
        billing: ['Billing here.'],
      },
      { tools: [transfer, hangUp] },
    );
    assert.equal(await says(caller, 'Hi'), 'Bye.');
    assert.equal(models['billing']?.requests.length, 0);
  });

  it('lets the other agent apologise if it fails', async (t) => {
    const { caller } = await stage(t, { sales: [to('billing')], billing: [] });
    assert.equal(await says(caller, 'Hi'), 'Pardon, says billing.');
  });
});

describe('a hand-over that is not possible', () => {
  const cases: readonly (readonly [what: string, call: ScriptedCall, error: RegExp, code: string])[]
    = [
      ['to an unknown agent', to('nobody'),
        /^there is no agent \\?"nobody\\?"; the others are billing, stranger$/, 'ERR_HAND_OVER_AGENT'],
      ['to a name that objects have of themselves', to('constructor'),
        /there is no agent "constructor"/, 'ERR_HAND_OVER_AGENT'],
      ['to an agent with another state', to('stranger'), /"stranger" has another state/,
        'ERR_HAND_OVER_STATE'],
      ['to the agent that speaks', to('sales'), /you are the agent "sales" yourself/,
        'ERR_HAND_OVER_REPEATED'],
    ];
  for (const [what, call, error, code] of cases) {
    it(`${what} is an error for the model, which goes on, and is logged`, async (t) => {
      const stranger = defineAgent({ name: 'stranger', state: other, onMessage: () => 'Who?' });
      const { caller, models, log } = await stage(
        t,
        { sales: [call, 'I cannot do that.', 'Still me.'], billing: [] },
        { agents: { stranger } },
      );
      const reply = await caller.say('Hi');
      assert.equal(await reply.text(), 'I cannot do that.');
      assert.deepEqual(dataOf(await reply.events()).at(-1), {
        tool: 'transfer', status: 'failed', args: call.args,
      });
      const content = models['sales']?.requests[1]?.messages.at(-1)?.content ?? '';
      assert.match((JSON.parse(content) as { error: string }).error, error);
      const failed = await log.next('tool failed');
      assert.deepEqual((failed['error'] as { code?: unknown }).code, code);
      const reason = /^(there is no agent of that name|the agent "stranger"|you are the agent)/;
      assert.match(String(failed['reason']), reason);
      assert.equal(await says(caller, 'And?'), 'Still me.');
    });
  }

  it('is one to any agent, if there is only one', async (t) => {
    const model = scriptedModel([to('billing'), 'I am alone.']);
    const agent = defineAgent({ name: 'solo', prompt: 'You are alone.', tools: [transfer], model });
    const caller = createTestClient(createApp(settingsWith(), agent), { secret: SECRET });
    t.after(() => caller.close());
    assert.equal(await says(caller, 'Hi'), 'I am alone.');
    const { content = '' } = model.requests[1]?.messages.at(-1) ?? {};
    assert.match(content, /there is no agent .*this one is the only one/);
  });

  it('is the fourth in a turn', async (t) => {
    const { caller, models } = await stage(t, {
      a: [to('b'), to('b')],
      b: [to('a'), to('a'), 'Enough.'],
    });
    assert.equal(await says(caller, 'Hi'), 'Enough.');
    const { content = '' } = models['b']?.requests.at(-1)?.messages.at(-1) ?? {};
    assert.match(content, /handed over 3 times in this turn, which is the limit/);
  });

  it('is the second among calls that a model makes together', async (t) => {
    const { caller, history } = await stage(t, {
      sales: [[to('billing'), to('support')]],
      billing: ['Billing here.'],
      support: ['Support here.'],
    });
    assert.equal(await says(caller, 'Hi'), 'Billing here.');
    const [, , , second = ''] = outline(await history());
    assert.match(second, /^tool: .*is already handing the conversation over/);
  });

  it('is one to an empty name', () => {
    for (const name of ['', undefined, 7, {}]) {
      const error = { name: 'TypeError', message: /takes the name of an agent/ };
      assert.throws(() => handOver(name as string), error);
    }
  });

  it('is one for a call that is not running', async (t) => {
    const careless = defineAgent({
      name: 'careless',
      onMessage: async ({ journal }) => {
        await journal.handOver('c-7', 'billing').catch(({ message }: Error) => {
          throw new Error(message);
        });
      },
    });
    const { caller } = await stage(t, { sales: [to('careless')], billing: [] }, {
      agents: { careless },
    });
    assert.equal(await says(caller, 'Hi'), APOLOGY);
  });
});

describe('a turn that was handed over and delivered again', () => {
  it('is sent again as it was if it had completed', async (t) => {
    const { caller } = await stage(t, {
      sales: [['One moment.', to('billing')]],
      billing: ['Billing here.'],
    });
    await says(caller, 'Hi');
    assert.equal(await (await caller.deliverAgain()).text(), 'One moment. Billing here.');
  });

  it('goes on with the other agent if it had not', async (t) => {
    const { caller, history, models } = await stage(t, {
      sales: [to('billing')],
      billing: [], // an empty script fails the turn
    });
    await says(caller, 'Hi');
    const again = scriptedModel(['Billing here.']);
    Object.assign(models['billing'] ?? {}, { stream: again.stream });
    assert.equal(await (await caller.deliverAgain()).text(), 'Billing here.');
    assert.deepEqual(outline(await history()), [
      'user: Hi', 'own:  → transfer', `tool: ${HANDED_OVER}`, 'billing: Billing here.',
    ]);
    assert.equal(again.requests[0]?.messages.at(-1)?.content, HANDED_OVER);
  });

  it('hands over again if its agent makes the same call again', async (t) => {
    const { caller, models } = await stage(t, {
      sales: [to('billing')], // fails when it is asked again
      billing: [to('sales'), 'Billing again.'],
    });
    await says(caller, 'Hi');
    const again = scriptedModel([to('billing')]);
    Object.assign(models['sales'] ?? {}, { stream: again.stream });
    assert.equal(await (await caller.deliverAgain()).text(), 'Billing again.');
    assert.equal(again.requests.length, 1);
  });
});

describe('a hand-over after its turn is over', () => {
  it('stays in force when the caller speaks over the other agent', async (t) => {
    const begun = deferred();
    const slow = defineAgent({
      name: 'slow',
      async *onMessage({ text, signal }) {
        yield `${text} heard, `;
        begun.resolve();
        if (text === 'Hi') await fired(signal);
        yield 'and done.';
      },
    });
    const { caller, history } = await stage(t, { sales: [to('slow')] }, { agents: { slow } });
    const reply = await caller.say('Hi');
    await begun.promise;
    assert.equal(await says(caller, 'Wait'), 'Wait heard, and done.');
    await reply.text();
    assert.deepEqual(outline(await history()).slice(3), [
      'slow: Hi heard, ', 'user: Wait', 'slow: Wait heard, and done.',
    ]);
  });

  it('of a tool that wants to finish counts from the next turn on', async (t) => {
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
    const { app, caller, log } = await stage(
      t,
      { sales: [{ call: 'transfer' }, 'Still at it.'], billing: ['Billing here.'] },
      { tools: [finishing] },
    );
    const cut = caller.say('Hi');
    await asked.promise;
    assert.equal(await says(caller, 'Well?'), 'Still at it.');
    await cut;
    release.resolve();
    const handed = async (): Promise<boolean> => {
      const history = await app.conversations.getHistory('c-1');
      return history.some((message) => message.role === 'tool' && message.handOver === 'billing');
    };
    const looks = async (): Promise<void> => {
      while (!(await handed())) await new Promise((resolve) => setImmediate(resolve));
    };
    await within(looks(), 'the hand-over');
    assert.equal(await says(caller, 'And?'), 'Billing here.');
    assert.equal(log.records().some(({ level }) => level === 'error'), false);
  });
});

const shared: SharedParts = new Map();

function sharedStore(): SharedStore {
  return new SharedStore(new PartsInMemory(shared, { isSlow: true }), {
    ttlMs: 3_600_000, maxRemembered: 10, timeoutMs: 5_000, log: recordLog().log,
  });
}

describe('a turn that was handed over and runs again in another process', () => {
  it('is spoken there by the agent that took it over', async (t) => {
    const listeners = new Map<string, (message: string) => void>();
    const channel = (address: string): Channel => ({
      address,
      send: (to, message) => void setImmediate(() => listeners.get(to)?.(message)),
      listen: (listener) => void listeners.set(address, listener),
      close: () => undefined,
    });
    const [begun, release] = [deferred(), deferred()];
    const slow = defineAgent({
      name: 'slow',
      async *onMessage() {
        yield 'One, ';
        begun.resolve();
        await release.promise;
        yield 'two.';
      },
    });
    const process = (address: string): Promise<Staged> =>
      stage(
        t,
        { sales: [to('slow')] },
        {
          agents: { slow },
          store: sharedStore(),
          channel: channel(address),
          conversationId: 'moved',
        },
      );
    const [a, b] = [await process('a'), await process('b')];
    const older = await a.caller.say('Hi', { turn_id: 't-1' });
    await begun.promise;
    const newer = await b.caller.say('Hi', { turn_id: 't-1' });
    release.resolve();
    assert.equal(await newer.text(), 'One, two.');
    await older.text();
    const { outcome, speakers } = await b.log.next('request');
    assert.deepEqual([outcome, speakers], ['completed', 'slow']);
  });
});

describe('the agent of a conversation', () => {
  const staying = memory();
  const unclosed: ConversationStore = {
    read: (id) => staying.read(id),
    update: (id, change) => staying.update(id, change),
    count: () => staying.count(),
    close: () => undefined,
  };
  const stores: readonly (readonly [what: string, open: () => ConversationStore])[] = [
    ['a store of conversations', () => unclosed],
    ['a store that answers with promises', () => new PromisedStore(unclosed)],
    ['a store of parts', sharedStore],
  ];
  for (const [what, open] of stores) {
    it(`outlives the process in ${what}`, async (t) => {
      const conversationId = what;
      const scripts = { sales: [to('billing')], billing: ['Billing here.'] };
      const first = await stage(t, scripts, { store: open(), conversationId });
      await says(first.caller, 'Hi');
      await first.app.close();
      const again = { sales: [], billing: ['Still billing.'] };
      const second = await stage(t, again, { store: open(), conversationId });
      assert.equal(await says(second.caller, 'And?'), 'Still billing.');
    });
  }

  it('is the first one if the other is no longer served, and the log says so', async (t) => {
    const first = await stage(
      t,
      { sales: [to('billing')], billing: ['Billing here.'] },
      { store: unclosed, conversationId: 'gone' },
    );
    await says(first.caller, 'Hi');
    const second = await stage(
      t,
      { sales: ['Sales again.'] },
      { store: unclosed, conversationId: 'gone' },
    );
    assert.equal(await says(second.caller, 'And?'), 'Sales again.');
    const { handedOverTo } = await second.log.next(
      'the agent that has the conversation is not served any more, or has another state',
    );
    assert.equal(handedOverTo, 'billing');
  });
});
