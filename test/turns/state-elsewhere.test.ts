// The agent's state where several processes share the conversation: no change is undone.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../src/agents/agent.ts';
import { stateMadeBy } from '../../src/agents/state/state.ts';
import { until, type TestAgent } from '../fixtures/app.ts';
import { machines, says, type Machine } from './machines.ts';

interface Cart {
  readonly cart: string[];
}

/**
 * Puts the caller's words into the cart. For "slow", a tool does that, when the gate opens, after
 * the turn if need be. For "save", a tool puts "saved" into it and saves, when the gate opens.
 */
function shopping(gate: EventEmitter, errors: unknown[] = []): TestAgent {
  return {
    state: stateMadeBy(() => ({ cart: [] as string[] })),
    async onMessage(turn) {
      const { text, state, journal } = turn as MessageTurn<Cart>;
      if (text !== 'slow' && text !== 'save') {
        state.cart.push(text);
        return state.cart.join(' ');
      }
      void state.cart; // read now, as by a tool that begins
      await journal.runTools([{ id: 'x', name: text, args: '{}' }], () => ({
        whenInterrupted: 'finish',
        async run() {
          gate.emit('begun');
          await once(gate, 'open');
          state.cart.push(text === 'slow' ? 'late' : 'saved');
          if (text === 'save')
            await journal.saveState().catch((error: unknown) => void errors.push(error));
          gate.emit('done');
          return '"ok"';
        },
      }));
      return 'Done.';
    },
  };
}

async function stored({ app }: Machine): Promise<unknown> {
  const state = (await app.conversations.read('c'))?.state;
  return state === undefined ? undefined : (JSON.parse(state) as Cart).cart;
}

describe('a state', () => {
  it('loses nothing that another process stored while a slow tool runs here', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, shopping(gate));
    const begun = once(gate, 'begun');
    const slow = says(a, 'slow');
    await begun;
    assert.equal(await says(b, 'apple'), 'apple');
    assert.equal(await says(a, 'pear'), 'apple pear');
    assert.equal(await says(b, 'plum'), 'apple pear plum');
    const done = once(gate, 'done');
    gate.emit('open');
    await done;
    await slow;
    assert.equal(await says(b, 'cherry'), 'apple pear plum late cherry');
    assert.deepEqual(await stored(a), ['apple', 'pear', 'plum', 'late', 'cherry']);
  });

  it('is shared by a late tool and newer turns', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, shopping(gate));
    const begun = once(gate, 'begun');
    const slow = says(a, 'slow');
    await begun;
    assert.equal(await says(a, 'apple'), 'apple');
    const done = once(gate, 'done');
    gate.emit('open');
    await done;
    await slow;
    assert.equal(await says(a, 'pear'), 'apple late pear');
    assert.equal(await says(b, 'plum'), 'apple late pear plum');
  });

  it('is stored on demand, even by a turn that is no longer the newest', async (t) => {
    const gate = new EventEmitter();
    const errors: unknown[] = [];
    const { a, b } = machines(t, shopping(gate, errors));
    for (const isLate of [false, true]) {
      const begun = once(gate, 'begun');
      const saving = says(a, 'save', { turn_id: `save ${isLate}` });
      await begun;
      if (isLate) await says(b, 'apple');
      const done = once(gate, 'done');
      gate.emit('open');
      await done;
      await saving;
    }
    assert.deepEqual(errors, []);
    assert.deepEqual(await stored(b), ['saved', 'apple', 'saved']);
  });

  it('is stored with a tool\'s call, before the tool acts', async (t) => {
    const gate = new EventEmitter();
    const agent = shopping(gate);
    const { a, b } = machines(t, {
      ...agent,
      onMessage(turn, reply) {
        (turn as MessageTurn<Cart>).state.cart.push('before');
        return agent.onMessage?.(turn, reply);
      },
    });
    const begun = once(gate, 'begun');
    const slow = says(a, 'slow');
    await begun;
    assert.deepEqual(await stored(b), ['before']);
    gate.emit('open');
    await slow;
  });
});

describe('the state of a turn that still runs here while another process has newer ones', () => {
  // Was: the older turn settled when the newer one had the state, and stored its own over it.
  for (const [what, loses] of [
    ['no message arrives', () => true],
    ['its interruption gets lost', (message: string) => message.includes('interrupt')],
  ] as const)
    it(`takes nothing away, if ${what}`, async (t) => {
      const gate = new EventEmitter();
      const { a, b, post } = machines(t, shopping(gate));
      post.loses = loses;
      const begun = once(gate, 'begun');
      const slow = says(a, 'slow');
      await begun;
      assert.equal(await says(b, 'apple'), 'apple');
      assert.equal(await says(a, 'pear'), 'apple pear');
      const done = once(gate, 'done');
      gate.emit('open');
      await done;
      await slow;
      assert.equal(await says(b, 'plum'), 'apple pear late plum');
    });

  it('is the later one if both have set it, and that is counted', async (t) => {
    const gates = new EventEmitter();
    const { a, b } = machines(t, {
      state: stateMadeBy(() => ({ total: 0, cart: [] as string[] })),
      async onMessage(turn) {
        const { state, text } = turn as MessageTurn<Cart & { total: number }>;
        state.cart.push(text);
        state.total += text.length;
        gates.emit(text);
        if (text === 'slow') await once(gates, 'go');
        return `${state.cart.join(' ')} ${state.total}`;
      },
    });
    const begun = once(gates, 'slow');
    const slow = says(a, 'slow');
    await begun;
    assert.equal(await says(b, 'apple'), 'apple 5');
    await slow;
    assert.equal(await says(b, 'plum'), 'apple slow plum 8');
    assert.deepEqual([a, b].map(({ store }) => store.health().stateCollisions), [1, 0]);
  });
});

describe('the state of turns while the store stalls', () => {
  for (const stalls of ['a moment', 'so long that it counts as away'])
    it(`has everyone's changes, in order, if it stalls for ${stalls}`, async (t) => {
      const gate = new EventEmitter();
      const { a, b } = machines(t, shopping(gate), { STORE_TIMEOUT_MS: '50' }, 50);
      const both = [a.parts, b.parts];
      assert.equal(await says(a, 'apple'), 'apple');
      assert.equal(await says(b, 'pear'), 'apple pear');
      const begun = once(gate, 'begun');
      const slow = says(a, 'slow');
      await begun;
      for (const parts of both) parts.hold();
      const done = once(gate, 'done');
      gate.emit('open');
      await done;
      let isOver = false;
      void slow.then(() => (isOver = true));
      const isLate = (): boolean => a.store.health().turnsWaiting > 0;
      const isAway = (): boolean => a.store.health().isDegraded;
      await until(stalls === 'a moment' ? isLate : isAway, 'the store to be late');
      assert.equal(isOver, false, 'the reply has ended before the store had it');
      for (const parts of both) parts.release();
      assert.equal(await slow, 'Done.');
      assert.equal(await says(b, 'plum'), 'apple pear late plum');
      assert.equal(await says(a, 'cherry'), 'apple pear late plum cherry');
    });

  it('has what was changed in both processes while neither could store it', async (t) => {
    const { a, b } = machines(t, shopping(new EventEmitter()), undefined, 20);
    assert.equal(await says(a, 'apple'), 'apple');
    assert.equal(await says(b, 'pear'), 'apple pear');
    for (const { parts } of [a, b]) parts.failWith = new Error('it is away');
    assert.equal(await says(a, 'plum'), 'apple plum');
    assert.equal(await says(b, 'cherry'), 'apple pear cherry');
    for (const { parts } of [a, b]) parts.failWith = undefined;
    for (const { store } of [a, b])
      await until(() => store.health().turnsWaiting === 0, 'the store to have all');
    const cart = await stored(a);
    assert.deepEqual((cart as string[]).toSorted(), ['apple', 'cherry', 'pear', 'plum']);
    assert.equal(await says(b, 'fig'), `${(cart as string[]).join(' ')} fig`);
  });

  it('has what was changed in two processes in which the call began without the store', async (t) => {
    const { a, b } = machines(t, shopping(new EventEmitter()), undefined, 20);
    for (const { parts } of [a, b]) parts.failWith = new Error('it is away');
    assert.equal(await says(a, 'apple'), 'apple');
    assert.equal(await says(b, 'pear'), 'pear');
    for (const { parts } of [a, b]) parts.failWith = undefined;
    for (const { store } of [a, b])
      await until(() => store.health().turnsWaiting === 0, 'the store to have all');
    assert.deepEqual(((await stored(a)) as string[]).toSorted(), ['apple', 'pear']);
  });

  it('has no change twice if a failed write was made after all', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, shopping(gate), undefined, 20);
    const begun = once(gate, 'begun');
    const slow = says(a, 'slow');
    await begun;
    a.parts.failsAfterWriting = true;
    a.parts.failWith = new Error('the answer got lost');
    gate.emit('open');
    await until(() => a.store.health().isDegraded, 'the write to fail');
    assert.equal(await says(b, 'plum'), 'late plum');
    a.parts.failWith = undefined;
    await slow;
    await until(() => a.store.health().turnsWaiting === 0, 'the store to have all');
    assert.equal(await says(a, 'fig'), 'late plum fig');
    assert.deepEqual(await stored(b), ['late', 'plum', 'fig']);
  });
});
