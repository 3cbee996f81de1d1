// An agent's state, from a turn to the store and back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent, MessageTurn, SessionEndContext } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { StateError } from '../../../src/core/state/state-error.ts';
import { defineState, type State } from '../../../src/core/state/state.ts';
import { tool, type Tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { fired, Listener, messageEvent, serve, Told, type Served } from '../../fixtures/app.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { heard } from './held-turns.ts';
import { memory } from './plain-deliveries.ts';

interface Order {
  cart: unknown[];
}

type Shopping = Agent<Order>;

const order = defineState((): Order => ({ cart: [] }));

function shopping(hooks: Partial<Shopping>): Agent {
  return defineAgent({ name: 'shopping', state: order, onMessage: () => undefined, ...hooks });
}

/** Puts the caller's words into the cart, and says what is in it. */
const listing = shopping({
  onMessage({ state, text }) {
    state.cart.push(text);
    return state.cart.join();
  },
});

async function says({ client }: Served, text: string, fields: object = {}): Promise<string> {
  return (await client.say(text, { ...fields })).text();
}

describe('saveState', () => {
  for (const [what, agent, isUnkept, message] of [
    ['an agent without a state', {}, false, 'the agent has no state'],
    ['a turn that leaves nothing in history', { state: order }, true,
      'this turn stores nothing, not even its state'],
  ] as const)
    it(`rejects for ${what}`, async (t) => {
      const told = new Told<unknown>();
      const save = ({ journal }: Pick<MessageTurn, 'journal'>): Promise<void> =>
        journal.saveState().then(() => told.tell('saved'), told.tell);
      const hooks = { onMessage: save, onSessionStart: save };
      const { client } = serve(t, { ...agent, ...hooks });
      await (await (isUnkept ? client.start({ turn_id: null }) : client.say('Hello'))).text();
      const error = await told.next();
      assert.ok(error instanceof StateError);
      assert.equal(error.message, message);
    });
});

describe('turn.state', () => {
  for (const [what, options] of [
    ['is kept from turn to turn, separately for each conversation', {}],
    ['is kept by a store that answers late', { store: new PromisedStore(memory()) }],
  ] as const)
    it(what, async (t) => {
      const served = serve(t, listing, options);
      const said: string[] = [];
      for (const text of ['one', 'two', 'three']) said.push(await says(served, text));
      assert.deepEqual(said, ['one', 'one,two', 'one,two,three']);
      assert.equal(await says(served, 'two', { conversation_id: 'other' }), 'two');
    });

  it('is undefined for an agent without a state', async (t) => {
    const served = serve(t, { onMessage: (turn) => `${turn.state} ${'state' in { ...turn }}` });
    assert.equal(await says(served, 'Hi'), 'undefined false');
  });

  it('is included in a copy of the turn', async (t) => {
    const agent = shopping({ onMessage: (turn) => JSON.stringify({ ...turn }.state) });
    assert.equal(await says(serve(t, agent), 'Hi'), '{"cart":[]}');
  });

  it('is known when a caller returns, but not kept from a start without history', async (t) => {
    const served = serve(t, shopping({
      onSessionStart: ({ state }) => `You have ${state.cart.push('a')}.`,
      onMessage: ({ state, text }) => `${state.cart.push(text)}`,
    }));
    assert.equal(await (await served.client.start({ turn_id: null })).text(), 'You have 1.');
    assert.equal(await says(served, 'one'), '1');
    assert.equal(await (await served.client.start()).text(), 'You have 2.');
  });
});

describe('a changed state', () => {
  it('is stored with a tool call, before the tool acts', async (t) => {
    const [store, seen] = [memory(), [] as unknown[]];
    const served = serve(t, shopping({
      async onMessage({ state, journal, text, conversationId }) {
        state.cart.push(text);
        await journal.runTools([{ id: 'c', name: 'look', args: '{}' }], () => ({
          run: () => String(seen.push(store.read(conversationId)?.state)),
        }));
      },
    }), { store });
    await says(served, 'one');
    assert.deepEqual(seen, ['{"cart":["one"]}']);
  });

  for (const [what, report] of [
    ['the turn is interrupted', {}],
    ['the caller heard only part of an interrupted turn', heard('Before')],
    ['nobody knows what was heard of an interrupted turn', heard(undefined)],
  ] as const)
    it(`is kept when ${what}`, async (t) => {
      const store = memory();
      const served = serve(t, shopping({
        async onMessage({ state, text, signal }, reply) {
          await reply.say(`Before: ${state.cart.length}. `);
          state.cart.push(text);
          if (text === 'stay') await fired(signal);
        },
      }), { store });
      await new Listener(await served.client.say('stay')).next();
      assert.equal(await says(served, 'two', report), 'Before: 1. ');
      const { state } = store.read(served.client.conversationId) ?? {};
      assert.equal(state, '{"cart":["stay","two"]}');
    });
});

describe('onSessionEnd', () => {
  for (const [what, posts, told] of [
    ['is given the state and the history in the session dialect',
      [{ ...messageEvent({ text: 'one' }), from_phone_number: '+1' },
        { type: 'session.end', session_id: 's-1', conversation_id: 'c-1' }],
      [{ cart: ['one'] }, ['user: one', 'assistant: Yes.'], { from: '+1', to: undefined }]],
    ['is given the state and the history in the call dialect, too',
      [{ type: 'transcript', call_id: 'k', transcript: 'one' },
        { type: 'call_ended', call_id: 'k' }],
      [{ cart: ['one'] }, ['user: one', 'assistant: Yes.'], undefined]],
    ['is given a new state and no history if the conversation had no turns',
      [{ type: 'session.end', session_id: 's', conversation_id: 'unknown' }],
      [{ cart: [] }, [], undefined]],
  ] as const)
    it(what, async (t) => {
      const ends = new Told<SessionEndContext<Order>>();
      const { client } = serve(t, shopping({
        onMessage({ state, text }) {
          state.cart.push(text);
          return 'Yes.';
        },
        onSessionEnd: ends.tell,
      }));
      for (const event of posts) await (await client.post(event)).response.text();
      const { state, history, caller } = await ends.next('the end');
      const words = history.map(({ role, content }) => `${role}: ${content}`);
      assert.deepEqual([state, words, caller], told);
    });

  it('causes no store reads if the agent does not define it', async (t) => {
    const store = new PromisedStore(memory());
    const { client } = serve(t, {}, { store });
    await client.post({ type: 'session.end', session_id: 's', conversation_id: 'c' });
    assert.deepEqual(store.calls, []);
  });
});

describe('the state of a tool', () => {
  it("is its agent's if the tool was defined with that state, or else undefined", async (t) => {
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
    const agent = defineAgent({
      name: 'shop', state: order, prompt: 'Sell.',
      model: scriptedModel(script), tools: [look('own', order), look('any', undefined)],
    });
    assert.equal(await says(serve(t, agent), 'Hi'), 'Done.');
    const empty = { cart: [] };
    assert.deepEqual(seen, {
      'once of own': empty, 'run of own': empty, 'once of any': undefined, 'run of any': undefined,
    });
  });
});

describe('conversations.getState', () => {
  it('returns a copy of the state after a turn, until the conversation is cleared', async (t) => {
    const served = serve(t, listing);
    const { app: { conversations }, client: { conversationId } } = served;
    await says(served, 'one');
    const state = await conversations.getState(conversationId);
    assert.deepEqual(state, { cart: ['one'] });
    Reflect.deleteProperty(state ?? {}, 'cart'); // which changes nothing
    assert.equal(await says(served, 'two'), 'one,two');
    await conversations.clear(conversationId);
    assert.equal(await conversations.getState(conversationId), undefined);
  });

  it('returns undefined if no state is stored', async (t) => {
    const served = serve(t, {});
    await says(served, 'Hi');
    const { app: { conversations }, client: { conversationId } } = served;
    for (const id of [conversationId, 'unknown'])
      assert.equal(await conversations.getState(id), undefined);
  });
});
