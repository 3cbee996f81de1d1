// The agent's state where several processes share the conversation: no change is undone.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { stateMadeBy } from '../../../src/core/state/state.ts';
import { deferred, fired, until, type TestAgent } from '../../fixtures/app.ts';
import { machines, says, type Machine, type Machines } from './machines.ts';

interface Cart {
  readonly cart: string[];
  total: number;
}

interface Shop extends Machines {
  /** Asks for a tool in process `a`. Resolves when it has begun. */
  begins(words: 'slow' | 'save', turnId?: string): Promise<Late>;
  readonly errors: unknown[];
}

interface Late {
  readonly reply: Promise<string>;
  /** Lets the tool go on. Resolves when it has done its work. */
  ends(): Promise<void>;
}

/**
 * Agents put the caller's words into the cart. For "slow", a tool puts "late" into it when
 * released, after the turn if need be. For "save", a tool puts "saved" into it and saves.
 */
function shops(t: TestContext, hooks: TestAgent = {}, ms?: number, environment = {}): Shop {
  let [begun, open, done] = [deferred(), deferred(), deferred()];
  const errors: unknown[] = [];
  const all = machines(t, {
    state: stateMadeBy(() => ({ cart: [] as string[], total: 0 })),
    async onMessage(turn) {
      const { text, state, journal } = turn as MessageTurn<Cart>;
      if (text !== 'slow' && text !== 'save') {
        state.cart.push(text);
        return state.cart.join(' ');
      }
      void state.cart; // read now, as if by a tool that begins
      await journal.runTools([{ id: 'x', name: text, args: '{}' }], () => ({
        whenInterrupted: 'finish',
        async run() {
          begun.resolve();
          await open.promise;
          state.cart.push(text === 'slow' ? 'late' : 'saved');
          if (text === 'save')
            await journal.saveState().catch((error: unknown) => void errors.push(error));
          done.resolve();
          return '"ok"';
        },
      }));
      return 'Done.';
    },
    ...hooks,
  }, environment, ms);
  const begins: Shop['begins'] = async (words, turnId = words) => {
    [begun, open, done] = [deferred(), deferred(), deferred()];
    const reply = says(all.a, words, { turn_id: turnId });
    await begun.promise;
    const ends = (): Promise<void> => (open.resolve(), done.promise);
    return { reply, ends };
  };
  return { ...all, begins, errors };
}

async function stored({ app }: Machine): Promise<string[]> {
  const state = (await app.conversations.read('c'))?.state ?? assert.fail('no state');
  return (JSON.parse(state) as Cart).cart;
}

describe('a state', () => {
  it('is shared by a late tool, newer turns here and turns of another process', async (t) => {
    const { a, b, begins } = shops(t);
    const late = await begins('slow');
    assert.equal(await says(b, 'apple'), 'apple');
    assert.equal(await says(a, 'pear'), 'apple pear');
    assert.equal(await says(b, 'plum'), 'apple pear plum');
    await late.ends();
    await late.reply;
    assert.equal(await says(b, 'cherry'), 'apple pear plum late cherry');
    assert.deepEqual(await stored(a), ['apple', 'pear', 'plum', 'late', 'cherry']);
    assert.equal(await says(a, 'fig'), 'apple pear plum late cherry fig');
  });

  it('is stored on demand, even by a turn that is no longer the newest', async (t) => {
    const { b, begins, errors } = shops(t);
    for (const isLate of [false, true]) {
      const saving = await begins('save', `save ${isLate}`);
      if (isLate) await says(b, 'apple');
      await saving.ends();
      await saving.reply;
    }
    assert.deepEqual([errors, await stored(b)], [[], ['saved', 'apple', 'saved']]);
  });
});

describe('a state that an older turn here and a newer one in another process both set', () => {
  it('has the later value, and the collision is counted', async (t) => {
    const begun = deferred();
    const { a, b } = shops(t, {
      async onMessage(turn) {
        const { state, text, signal } = turn as MessageTurn<Cart>;
        state.cart.push(text);
        state.total += text.length;
        if (text === 'slow') {
          begun.resolve();
          await fired(signal);
        }
        return `${state.cart.join(' ')} ${state.total}`;
      },
    });
    const slow = says(a, 'slow');
    await begun.promise;
    assert.equal(await says(b, 'apple'), 'apple 5');
    await slow;
    assert.equal(await says(b, 'plum'), 'apple slow plum 8');
    assert.deepEqual([a, b].map(({ store }) => store.health().stateCollisions), [1, 0]);
  });
});

describe('the state of turns while the store stalls', () => {
  for (const stalls of ['a moment', 'so long that it counts as away'])
    it(`for ${stalls} has everyone's changes, in order`, async (t) => {
      const { a, b, begins } = shops(t, {}, 50, { STORE_TIMEOUT_MS: '50' });
      assert.equal(await says(a, 'apple'), 'apple');
      assert.equal(await says(b, 'pear'), 'apple pear');
      const late = await begins('slow');
      for (const { parts } of [a, b]) parts.hold();
      await late.ends();
      let isOver = false;
      void late.reply.then(() => (isOver = true));
      const isLate = (): boolean => a.store.health().turnsWaiting > 0;
      const isAway = (): boolean => a.store.health().isDegraded;
      await until(stalls === 'a moment' ? isLate : isAway, 'the store to be late');
      assert.equal(isOver, false, 'the reply has ended before the store had it');
      for (const { parts } of [a, b]) parts.release();
      assert.equal(await late.reply, 'Done.');
      assert.equal(await says(b, 'plum'), 'apple pear late plum');
      assert.equal(await says(a, 'cherry'), 'apple pear late plum cherry');
    });
});
