// The states of a turn: every way through the machine is walked.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import {
  HAPPENINGS, isAnswered, isOver, moveFor, RUN_STATES, type Effect, type RunState,
} from '../../src/turns/machine.ts';

/** One way through the machine. A move that stays in its state is no step. */
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
    const source = new URL('../../src/turns/machine.ts', import.meta.url);
    assert.doesNotMatch(readFileSync(source, 'utf8'), /^import /m);
  });

  it('can all be reached from the first one', () => {
    assert.deepEqual(new Set(WAYS.map(({ state }) => state)), new Set(RUN_STATES));
  });

  it('can all be left for the last one', () => {
    for (const state of RUN_STATES) {
      const ways = [...waysFrom({ state, effects: [] }, true)];
      assert.ok(ways.some((way) => way.state === 'settled'), state);
    }
  });
});

describe('on every path through a turn', () => {
  it('its caller is answered once, and by then it is over', () => {
    for (const { state, effects } of WAYS) {
      assert.equal(count(effects, 'settle', 'end unstored'), isAnswered(state) ? 1 : 0);
      if (isAnswered(state)) assert.ok(isOver(state));
    }
  });

  it('the agent is asked at most once, after older turns were interrupted', () => {
    for (const { effects } of WAYS) {
      const asked = effects.findIndex(({ do: what }) => what === 'ask the agent');
      assert.ok(count(effects, 'ask the agent') <= 1);
      if (asked === -1) continue;
      assert.equal(count(effects.slice(0, asked), 'interrupt older turns', 'take the record'), 2);
    }
  });

  it('an agent that was asked is stopped once, as soon as the turn is over', () => {
    for (const { state, effects } of WAYS) {
      if (count(effects, 'ask the agent') === 0) continue;
      assert.equal(count(effects, 'stop the agent'), isOver(state) ? 1 : 0);
    }
  });

  it('a turn that is over never speaks again', () => {
    for (const { state } of WAYS) {
      if (!isOver(state)) continue;
      for (const happening of HAPPENINGS) {
        const effects = moveFor(state, happening, true)?.effects ?? [];
        const spoken = count(
          effects, 'ask the agent', 'let the next agent speak', 'apologise', 'send what was sent',
        );
        assert.equal(spoken, 0, `${state}, ${happening}`);
      }
    }
  });

  it('a reply is stored before its stream ends, where other processes may read it', () => {
    for (const happening of ['completed', 'failed'] as const) {
      const { to = 'opening', effects = [] } = moveFor('speaking', happening, true) ?? {};
      assert.equal(count(effects, 'store first'), 1);
      assert.equal(count(effects, 'end the stream'), 0);
      assert.equal(moveFor(to, 'stored', true)?.effects.at(0)?.do, 'end the stream');
    }
  });
});

describe('an interruption', () => {
  const CASES: readonly (readonly [state: RunState, as: string | undefined])[] = [
    ['opening', 'interrupted'],
    ['speaking', 'interrupted'],
    ['storing', 'as it left'],
    ['storing a failure', undefined],
    ['leaving', 'as it left'],
    ['failed early', undefined],
    ['cut early', undefined],
    ['settled', undefined],
  ];

  for (const [state, as] of CASES) {
    it(`${as === undefined ? 'changes nothing' : `settles ${as}`}: ${state}`, () => {
      const effects = moveFor(state, 'interrupted', false)?.effects ?? [];
      const settled = effects.find((effect) => effect.do === 'settle');
      assert.equal(settled?.as, as);
    });
  }
});

describe('an event that leaves the state unchanged', () => {
  for (const state of RUN_STATES) {
    it(`neither begins nor ends anything: ${state}`, () => {
      for (const happening of HAPPENINGS) {
        const { to, effects = [] } = moveFor(state, happening, true) ?? {};
        if (to !== state) continue;
        const ends = count(effects, 'settle', 'store first', 'end unstored', 'stop the agent');
        assert.equal(ends + count(effects, 'ask the agent', 'apologise'), 0, happening);
      }
    });
  }
});
