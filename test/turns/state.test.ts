// An agent's state, from a turn to the store and back.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, MessageTurn, SessionEndContext } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { StateError } from '../../src/agents/state/state-error.ts';
import { defineState, type State } from '../../src/agents/state/state.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { scriptedModel } from '../../src/kit/scripted-model.ts';
import { tool, type Tool } from '../../src/tools/tool.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import {
  deferred, errorsIn, fired, Listener, messageEvent, rawRequest, serve, Told, until, within,
} from '../fixtures/app.ts';

interface Order {
  cart: unknown[];
}

const order = defineState((): Order => ({ cart: [] }));

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 });
}

/** An agent that puts the caller's words into the cart and says what is in it. */
const listing = defineAgent({
  name: 'listing',
  state: order,
  onMessage({ state, text }) {
    state.cart.push(text);
    return state.cart.join();
  },
});

/** An agent whose tool puts the caller's words into the cart when the test says so. */
function withTool(
  work: (turn: MessageTurn<Order>, signal: AbortSignal) => Promise<void>,
  whenInterrupted: 'abort' | 'finish' = 'finish',
): Agent {
  return defineAgent({
    name: 'with a tool',
    state: order,
    async onMessage(turn) {
      const call = { id: 'c', name: 'add', args: JSON.stringify([turn.text]) };
      await turn.journal.runTools([call], () => ({
        whenInterrupted,
        async run({ signal }) {
          await work(turn, signal);
          turn.state.cart.push(turn.text);
          return '{}';
        },
      }));
      return turn.state.cart.join();
    },
  });
}

describe('saveState', () => {
  for (const [what, agent, words, message] of [
    ['an agent without a state', {}, {}, 'the agent has no state'],
    [
      'a turn that leaves nothing in history', { state: order }, { turn_id: null },
      'this turn stores nothing, not even its state',
    ],
  ] as const)
    it(`rejects for ${what}`, async (t) => {
      const told = new Told<unknown>();
      const save = ({ journal }: Pick<MessageTurn, 'journal'>): Promise<void> =>
        journal.saveState().then(() => told.tell('saved'), told.tell);
      const { client } = serve(t, {
        ...agent, onMessage: (turn) => save(turn), onSessionStart: (turn) => save(turn),
      });
      if ('turn_id' in words) await (await client.start(words)).text();
      else await (await client.say('Hello')).text();
      const error = await told.next();
      assert.ok(error instanceof StateError);
      assert.equal(error.message, message);
    });
});

describe('turn.state', () => {
  it('is kept from turn to turn', async (t) => {
    const { client } = serve(t, listing);
    const said: string[] = [];
    for (const text of ['one', 'two', 'three']) said.push(await (await client.say(text)).text());
    assert.deepEqual(said, ['one', 'one,two', 'one,two,three']);
  });

  it('is kept by a store that answers late', async (t) => {
    const { client } = serve(t, listing, { store: new PromisedStore(memory()) });
    await (await client.say('one')).text();
    assert.equal(await (await client.say('two')).text(), 'one,two');
  });

  it('is another for each conversation', async (t) => {
    const { client } = serve(t, listing);
    await (await client.say('one')).text();
    assert.equal(await (await client.say('two', { conversation_id: 'other' })).text(), 'two');
  });

  it('is undefined for an agent without one', async (t) => {
    const { client } = serve(t, { onMessage: (turn) => `${turn.state} ${'state' in { ...turn }}` });
    assert.equal(await (await client.say('Hi')).text(), 'undefined false');
  });

  it('is passed on with a turn that is handed on', async (t) => {
    const agent = defineAgent({
      name: 'handing on',
      state: order,
      onMessage: (turn) => JSON.stringify({ ...turn }.state),
    });
    assert.equal(await (await serve(t, agent).client.say('Hi')).text(), '{"cart":[]}');
  });

  it('is known when a caller returns', async (t) => {
    const agent = defineAgent({
      name: 'greeting',
      state: order,
      onSessionStart: ({ state }) => `You have ${state.cart.length}.`,
      onMessage: ({ state, text }) => void state.cart.push(text),
    });
    const { client } = serve(t, agent);
    await (await client.say('one')).text();
    assert.equal(await (await client.start()).text(), 'You have 1.');
  });

  it('is not kept for a session.start that leaves nothing in history', async (t) => {
    const agent = defineAgent({
      name: 'greeting',
      state: order,
      onSessionStart: ({ state }) => `You have ${state.cart.push('a')}.`,
      onMessage: ({ state }) => `You have ${state.cart.length}.`,
    });
    const { client } = serve(t, agent);
    assert.equal(await (await client.start({ turn_id: null })).text(), 'You have 1.');
    assert.equal(await (await client.say('Hi')).text(), 'You have 0.');
  });

  it('is gone when the conversation is cleared', async (t) => {
    const { app, client } = serve(t, listing);
    await (await client.say('one')).text();
    await app.conversations.clear(client.conversationId);
    assert.equal(await (await client.say('two')).text(), 'two');
  });

  it('is stored as text, out of reach of what an agent does later', async (t) => {
    const states: Order[] = [];
    const store = memory();
    const agent = defineAgent({
      name: 'keeping',
      state: order,
      onMessage: ({ state, text }) => {
        states.push(state);
        state.cart.push(text);
      },
    });
    const { client } = serve(t, agent, { store });
    await (await client.say('one')).text();
    states[0]?.cart.push('behind its back');
    assert.equal(store.read(client.conversationId)?.state, '{"cart":["one"]}');
    await (await client.say('two')).text();
    assert.deepEqual(states[1], { cart: ['one', 'two'] });
  });

  it('stays as it last was if it is no longer valid JSON, and the log says so', async (t) => {
    const agent = defineAgent({
      name: 'careless',
      state: order,
      onMessage: ({ state, text }) => {
        state.cart.push(text === 'bad' ? new Map([['my words', 1]]) : text);
        return String(state.cart.length);
      },
    });
    const { client, logLines } = serve(t, agent);
    await (await client.say('one')).text();
    assert.equal(await (await client.say('bad')).text(), '2');
    assert.equal(await (await client.say('two')).text(), '2');
    const errors = errorsIn(logLines);
    assert.deepEqual(errors, ['state not kept']);
    assert.equal(logLines.join().includes('my words'), false);
  });

  it('fails the turn if it cannot be created', async (t) => {
    const agent = defineAgent({
      name: 'wrong',
      state: (): object => [],
      onMessage: ({ state }) => `${state}`,
    });
    const { client, logLines } = serve(t, agent);
    assert.match(await (await client.say('Hi')).text(), /^Sorry/);
    assert.deepEqual(errorsIn(logLines), ['turn failed']);
  });
});

describe('a state that tools change', () => {
  it('is stored with the result of the call, before the turn is settled', async (t) => {
    const store = memory();
    const isTold = deferred();
    const agent = defineAgent({
      name: 'with a tool',
      state: order,
      async onMessage({ state, journal, text }) {
        await journal.runTools([{ id: 'c', name: 'add', args: '{}' }], () => ({
          run: () => `${state.cart.push(text)}`,
        }));
        await isTold.promise;
      },
    });
    const { client } = serve(t, agent, { store });
    const reply = client.say('one');
    const stored = (): string | undefined => store.read(client.conversationId)?.state;
    await until(() => stored() !== undefined, 'the state');
    assert.equal(stored(), '{"cart":["one"]}');
    isTold.resolve();
    await (await reply).text();
  });

  it('is kept when the turn is interrupted', async (t) => {
    const agent = defineAgent({
      name: 'changing its mind',
      state: order,
      async onMessage({ state, text, signal }, reply) {
        await reply.say(`Before: ${state.cart.length}. `);
        state.cart.push(text);
        if (text === 'stay') await fired(signal);
      },
    });
    const { client } = serve(t, agent);
    const first = new Listener(await client.say('stay'));
    await first.next();
    assert.equal(await (await client.say('two')).text(), 'Before: 1. ');
  });

  for (const text of ['Before', undefined]) {
    const heard = text ?? 'an unknown part';
    it(`is kept when the caller heard ${heard} of an interrupted turn`, async (t) => {
      const store = memory();
      const agent = defineAgent({
        name: 'changing its mind',
        state: order,
        async onMessage({ state, text, signal }, reply) {
          await reply.say(`Before: ${state.cart.length}. `);
          state.cart.push(text);
          if (text === 'stay') await fired(signal);
        },
      });
      const { client } = serve(t, agent, { store });
      const first = new Listener(await client.say('stay', { turn_id: 't-1' }));
      await first.next();
      const context = {
        previous_turn_interrupted: true,
        assistant_turn_id: 't-1',
        text_heard: text,
      };
      await (await client.say('two', { interruption_context: context })).text();
      assert.equal(store.read(client.conversationId)?.state, '{"cart":["stay","two"]}');
    });
  }

  it('is one object for a newer turn and a tool that is still running', async (t) => {
    const store = memory();
    const isDone = deferred();
    const agent = withTool(({ text }) => (text === 'slow' ? isDone.promise : Promise.resolve()));
    const { client, raw } = serve(t, agent, { store });
    const connection = await raw();
    const { conversationId } = client;
    connection.write(rawRequest(messageEvent({ conversation_id: conversationId, text: 'slow' })));
    const calls = (): string => JSON.stringify(store.read(client.conversationId)?.turns ?? []);
    await until(() => calls().includes('running'), 'the call');
    connection.socket.destroy();
    assert.equal(await (await client.say('fast')).text(), 'fast');
    isDone.resolve();
    const stored = (): string | undefined => store.read(client.conversationId)?.state;
    await until(() => stored()?.includes('slow') === true, 'the late change');
    assert.equal(stored(), '{"cart":["fast","slow"]}');
    assert.equal(await (await client.say('third')).text(), 'fast,slow,third');
  });

  it('is read again once nothing of the conversation is running here', async (t) => {
    const store = memory();
    const { client } = serve(t, withTool(async () => undefined), { store });
    assert.equal(await (await client.say('one')).text(), 'one');
    store.update(client.conversationId, (conversation) => {
      conversation.state = '{"cart":["elsewhere"]}';
    });
    assert.equal(await (await client.say('two')).text(), 'elsewhere,two');
  });

  it('is not brought back by a tool of a cleared conversation', async (t) => {
    const isDone = deferred();
    const agent = withTool(({ text }) => (text === 'slow' ? isDone.promise : Promise.resolve()));
    const store = memory();
    const { app, client, raw, logLines } = serve(t, agent, { store });
    const connection = await raw();
    const { conversationId } = client;
    connection.write(rawRequest(messageEvent({ conversation_id: conversationId, text: 'slow' })));
    const calls = (): string => JSON.stringify(store.read(client.conversationId)?.turns ?? []);
    await until(() => calls().includes('running'), 'the call');
    await app.conversations.clear(client.conversationId);
    connection.socket.destroy();
    assert.equal(await (await client.say('fast')).text(), 'fast');
    isDone.resolve();
    await until(() => logLines.some((line) => line.includes('too late')), 'the late result');
    assert.equal(await (await client.say('third')).text(), 'fast,third');
  });

  it('is not older than what another turn stored if a write is repeated', async (t) => {
    const store = new PromisedStore(memory());
    const { client } = serve(t, listing, { store });
    await (await client.say('one')).text();
    const failing = store.update.bind(store);
    let failures = 1;
    store.update = async (id, change) => {
      const result = await failing(id, change);
      // The settlement is written, but the store says that it is not. Once only.
      if (typeof result === 'boolean' && failures-- > 0) throw new Error('timed out');
      return result;
    };
    await (await client.say('two')).text();
    await (await client.say('three')).text();
    await within(store.called(7), 'the second try'); // three turns open and settle, one twice
    await store.read(client.conversationId);
    assert.equal(store.now(client.conversationId)?.state, '{"cart":["one","two","three"]}');
  });
});

describe('onSessionEnd', () => {
  async function ended(
    agent: (told: Told<SessionEndContext<Order>>) => Agent,
    t: TestContext,
    post: (client: ReturnType<typeof serve>['client']) => Promise<void>,
  ): Promise<SessionEndContext<Order>> {
    const told = new Told<SessionEndContext<Order>>();
    const { client } = serve(t, agent(told));
    await post(client);
    return told.next('the end');
  }
  const telling = (told: Told<SessionEndContext<Order>>): Agent =>
    defineAgent({
      name: 'telling',
      state: order,
      onMessage({ state, text }) {
        state.cart.push(text);
        return 'Yes.';
      },
      onSessionEnd: told.tell,
    });
  const shown = ({ state, history, caller }: SessionEndContext<Order>): unknown => [
    state,
    history.map(({ role, content }) => `${role}: ${content}`),
    caller,
  ];

  it('is given the state and the history of the session dialect', async (t) => {
    const context = await ended(telling, t, async (client) => {
      await (await client.say('one', { from_phone_number: '+1' })).text();
      const { conversationId: id } = client;
      await client.post({ type: 'session.end', session_id: 'test-session', conversation_id: id });
    });
    assert.deepEqual(shown(context), [
      { cart: ['one'] },
      ['user: one', 'assistant: Yes.'],
      { from: '+1', to: undefined },
    ]);
  });

  it('is also given them in the call dialect', async (t) => {
    const context = await ended(telling, t, async (client) => {
      await (await client.post({ type: 'transcript', call_id: 'k', transcript: 'one' })).text();
      await client.post({ type: 'call_ended', call_id: 'k' });
    });
    assert.deepEqual(shown(context), [
      { cart: ['one'] },
      ['user: one', 'assistant: Yes.'],
      undefined,
    ]);
  });

  it('is given a new state and no history if the conversation had no turn', async (t) => {
    const context = await ended(telling, t, async (client) => {
      await client.post({ type: 'session.end', session_id: 's', conversation_id: 'unknown' });
    });
    assert.deepEqual(shown(context), [{ cart: [] }, [], undefined]);
  });

  it('does not read the conversation if the agent has no such hook', async (t) => {
    const store = new PromisedStore(memory());
    const { client } = serve(t, { onMessage: () => 'Yes.' }, { store });
    await client.post({ type: 'session.end', session_id: 's', conversation_id: 'c' });
    assert.deepEqual(store.calls, []);
  });
});

describe('the state of a tool', () => {
  it('is that of its agent if it was defined with it, and otherwise undefined', async (t) => {
    const seen: Record<string, unknown> = {};
    const look = (name: string, state: State<Order> | undefined): Tool<Order> =>
      tool({
        name,
        state,
        description: 'Looks.',
        parameters: { type: 'object' },
        once(_args, context) {
          seen[`once of ${name}`] = context.state;
          return name;
        },
        run: (_args, context) => void (seen[`run of ${name}`] = context.state),
      });
    const script = [[{ call: 'own', args: {} }, { call: 'any', args: {} }], 'Done.'];
    const { client } = serve(t, defineAgent({
      name: 'shop', state: order, prompt: 'Sell.',
      model: scriptedModel(script), tools: [look('own', order), look('any', undefined)],
    }));
    assert.equal(await (await client.say('Hi')).text(), 'Done.');
    assert.deepEqual(seen, {
      'once of own': { cart: [] }, 'run of own': { cart: [] },
      'once of any': undefined, 'run of any': undefined,
    });
  });
});

describe('conversations.getState', () => {
  for (const [kind, store] of [
    ['a store that answers at once', memory()],
    ['a store that answers late', new PromisedStore(memory())],
  ] as const) {
    it(`is the state after a turn, in ${kind}`, async (t) => {
      const { app, client } = serve(t, listing, { store });
      for (const text of ['one', 'two']) await (await client.say(text)).text();
      assert.deepEqual(await app.conversations.getState(client.conversationId), {
        cart: ['one', 'two'],
      });
    });
  }

  it('is undefined if none is stored', async (t) => {
    const { app, client } = serve(t, { onMessage: () => 'Yes.' });
    await (await client.say('Hi')).text();
    assert.equal(await app.conversations.getState(client.conversationId), undefined);
    assert.equal(await app.conversations.getState('unknown'), undefined);
  });

  it('is forgotten with the conversation', async (t) => {
    const { app, client } = serve(t, listing);
    await (await client.say('one')).text();
    await app.conversations.clear(client.conversationId);
    assert.equal(await app.conversations.getState(client.conversationId), undefined);
  });

  it('is a copy: changing it changes nothing', async (t) => {
    const { app, client } = serve(t, listing);
    await (await client.say('one')).text();
    const state = await app.conversations.getState(client.conversationId);
    Reflect.deleteProperty(state ?? {}, 'cart');
    assert.equal(await (await client.say('two')).text(), 'one,two');
  });
});
