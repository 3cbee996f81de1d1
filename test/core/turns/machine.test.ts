// The states of a turn: every way through the machine is walked.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import {
  HAPPENINGS, isAnswered, isOver, moveFor, RUN_STATES, type Effect, type RunState,
} from '../../../src/core/turns/machine.ts';

/** One way through the machine. A move that stays in its state is not a step. */
interface Way {
  readonly state: RunState;
  readonly effects: readonly Effect[];
}

function* waysFrom({ state, effects }: Way, isShared: boolean): Generator<Way, void, undefined> {
  yield { state, effects };
  for (const happening of HAPPENINGS) {
    const move = moveFor(state, happening, isShared);
    if (move === undefined || move.to === state) continue;
    yield* waysFrom({ state: move.to, effects: [...effects, ...move.effects] }, isShared);
  }
}

const WAYS = [false, true].flatMap((isShared) => [
  ...waysFrom({ state: 'opening', effects: [] }, isShared),
]);

function count(effects: readonly Effect[], ...what: readonly Effect['do'][]): number {
  return effects.filter((effect) => what.includes(effect.do)).length;
}

describe('the states of a turn', () => {
  it('are in a file that imports nothing', () => {
    const source = new URL('../../../src/core/turns/machine.ts', import.meta.url);
    assert.doesNotMatch(readFileSync(source, 'utf8'), /^import /m);
  });

  it('can all be reached from the first one, and lead to the last one', () => {
    assert.deepEqual(new Set(WAYS.map(({ state }) => state)), new Set(RUN_STATES));
    for (const state of RUN_STATES) {
      const ways = [...waysFrom({ state, effects: [] }, true)];
      assert.ok(ways.some((way) => way.state === 'settled'), state);
    }
  });
});

describe('every path through a turn', () => {
  it('answers the caller once, and not before the turn is over', () => {
    for (const { state, effects } of WAYS) {
      assert.equal(count(effects, 'settle', 'end unstored'), isAnswered(state) ? 1 : 0);
      if (isAnswered(state)) assert.ok(isOver(state));
    }
  });

  it('asks the agent at most once, after older turns have been interrupted', () => {
    for (const { effects } of WAYS) {
      const asked = effects.findIndex(({ do: what }) => what === 'ask the agent');
      assert.ok(count(effects, 'ask the agent') <= 1);
      if (asked === -1) continue;
      assert.equal(count(effects.slice(0, asked), 'interrupt older turns', 'take the record'), 2);
    }
  });

  it('stops the agent once if it was asked, as soon as the turn is over', () => {
    for (const { state, effects } of WAYS)
      if (count(effects, 'ask the agent') > 0)
        assert.equal(count(effects, 'stop the agent'), isOver(state) ? 1 : 0);
  });

  it('stores a reply before its stream ends if other processes may read it', () => {
    for (const happening of ['completed', 'failed'] as const) {
      const { to = 'opening', effects = [] } = moveFor('speaking', happening, true) ?? {};
      assert.deepEqual([count(effects, 'store first'), count(effects, 'end the stream')], [1, 0]);
      assert.equal(moveFor(to, 'stored', true)?.effects.at(0)?.do, 'end the stream');
    }
  });
});

describe('a turn', () => {
  const SPEAKS = [
    'ask the agent', 'let the next agent speak', 'apologise', 'send what was sent',
  ] as const;
  const ENDS = ['settle', 'store first', 'end unstored', 'stop the agent'] as const;

  it('does not speak once it is over, and ends or begins nothing if its state is unchanged', () => {
    for (const state of RUN_STATES)
      for (const happening of HAPPENINGS) {
        const { to, effects = [] } = moveFor(state, happening, true) ?? {};
        const what = `${state}, ${happening}`;
        if (isOver(state)) assert.equal(count(effects, ...SPEAKS), 0, what);
        if (to === state)
          assert.equal(count(effects, ...ENDS, 'ask the agent', 'apologise'), 0, what);
      }
  });

  const SETTLED: Readonly<Record<RunState, string | undefined>> = {
    'opening': 'interrupted', 'speaking': 'interrupted',
    'storing': 'as it left', 'leaving': 'as it left',
    'storing a failure': undefined, 'failed early': undefined, 'cut early': undefined,
    'settled': undefined,
  };
  for (const [state, as] of Object.entries(SETTLED) as [RunState, string | undefined][])
    it(`interrupted in the state "${state}" settles ${as ? `as "${as}"` : 'no further'}`, () => {
      const effects = moveFor(state, 'interrupted', false)?.effects ?? [];
      assert.equal(effects.find((effect) => effect.do === 'settle')?.as, as);
    });
});
