// The agent's state where several processes share the conversation: no change is undone.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../src/agents/agent.ts';
import { StateError } from '../../src/agents/state/live-state.ts';
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
    await until(() => a.logLines.join('').includes('changes of the state were dropped'), 'the log');
    assert.deepEqual(await stored(b), ['apple', 'pear', 'plum']);
  });

  it('is shared by a late tool and newer turns, until another process opens one', async (t) => {
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

  it('is stored on demand, and not by a process that may not write it any more', async (t) => {
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
    assert.equal(errors.length, 1);
    assert.ok(errors[0] instanceof StateError);
    assert.deepEqual(await stored(b), ['saved', 'apple']);
  });

  it('is stored with the call of a tool, before the tool acts', async (t) => {
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
