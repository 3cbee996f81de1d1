import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import {
  modelCaller, type CallerMove, type PlayedCaller,
} from '../../../src/kit/eval/played-caller.ts';
import type { PlayedTurn } from '../../../src/kit/eval/result.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { failuresOf, play, problems } from './eval-stage.ts';
import { playedTurn } from './played-turn.ts';

const ADA = { persona: 'a hurried customer', goal: 'a table for two' };

function turn(said: string | undefined, heard: string): PlayedTurn {
  return playedTurn({ said, heard });
}

describe('modelCaller', () => {
  it('is shown its role and what was said, and says the next thing', async () => {
    const model = scriptedModel(['{"say": "For\\ntwo, please."}']);
    const turns = [turn(undefined, 'Hello.'), turn('A table', 'When?')];
    const move = await modelCaller(model)(ADA, turns);
    assert.deepEqual(move, { say: 'For two, please.' });
    const [, asked] = model.requests[0]?.messages ?? [];
    assert.equal(asked?.content, [
      'You are: a hurried customer',
      'You want: a table for two',
      '',
      'The call so far, one JSON object per line:',
      '{"agent":"Hello."}',
      '{"you":"A table"}',
      '{"agent":"When?"}',
    ].join('\n'));
  });

  it('hangs up, and says that it did not reach its goal, and why', async () => {
    const answer = '{"hang_up": true, "reached": false, "reason": "They are full."}';
    assert.deepEqual(await modelCaller(scriptedModel([answer]))(ADA, []), {
      hangsUp: true, hasReachedGoal: false, reason: 'They are full.',
    });
  });

  for (const nonsense of [
    'For two.', '{}', '{"say": " "}', '{"hang_up": true}', '{"hang_up": "yes", "reached": true}',
    '{"hang_up": true, "reached": 1, "reason": "Done."}',
  ]) {
    it(`asks once more after ${nonsense}, then gives up`, async () => {
      const again = scriptedModel([nonsense, '{"say": "Two."}']);
      assert.deepEqual(await modelCaller(again)(ADA, []), { say: 'Two.' });
      await assert.rejects(
        modelCaller(scriptedModel([nonsense, nonsense]))(ADA, []), /^Error: neither of two answers/,
      );
    });
  }

  it('says no more than 500 characters', async () => {
    const model = scriptedModel([JSON.stringify({ say: 'x'.repeat(2_000) })]);
    const move = await modelCaller(model)(ADA, []);
    assert.ok('say' in move && move.say.length === 500);
  });
});

const LINE = 'caller "a hurried customer" wants "a table for two" in 2 turns\n';
const DONE: CallerMove = { hangsUp: true, hasReachedGoal: true, reason: 'Booked.' };
const echo = defineAgent({
  name: 'echo',
  onMessage: ({ text }, reply) =>
    text === 'Bye' ? reply.hangup({ say: 'Goodbye.' }) : `You said: ${text}`,
});

/** A caller who makes these moves. */
function making(...moves: readonly CallerMove[]): PlayedCaller {
  const left = [...moves];
  return () => {
    const move = left.shift();
    return move === undefined ? Promise.reject(new Error('no more moves')) : Promise.resolve(move);
  };
}

describe('a caller line', () => {
  it('plays turns until the caller hangs up; what follows is about the last reply', async () => {
    const playedCaller = making({ say: 'One' }, { say: 'Two' }, DONE);
    const { outcome, turns } = await play(echo, `${LINE}expect You said: Two`, { playedCaller });
    assert.equal(outcome, 'passed');
    assert.deepEqual(turns.map(({ said }) => said), [undefined, 'One', 'Two']);
  });

  it('counts as an expectation', async () => {
    assert.equal((await play(echo, LINE, { playedCaller: making(DONE) })).outcome, 'passed');
  });

  for (const [what, moves, reason] of [
    ['the caller gives up', [{ hangsUp: true, hasReachedGoal: false, reason: 'Full.' }],
      'the caller gave up: Full.'],
    ['the turns are used up', [{ say: 'One' }, { say: 'Two' }, { say: 'Three' }],
      'the caller did not get what they wanted within 2 turns'],
    ['the agent hangs up on the caller', [{ say: 'Bye' }, { say: 'Wait!' }],
      'the agent had hung up before: Wait!'],
  ] as const) {
    it(`fails if ${what}`, async () => {
      const result = await play(echo, LINE, { playedCaller: making(...moves) });
      assert.deepEqual(failuresOf(result), [[1, reason]]);
    });
  }

  it('passes if the agent hangs up once the caller has what they want', async () => {
    const result = await play(echo, LINE, { playedCaller: making({ say: 'Bye' }, DONE) });
    assert.equal(result.outcome, 'passed');
  });

  it('leaves the run undecided if the model fails', async () => {
    const { outcome, undecided } = await play(echo, LINE, { playedCaller: making() });
    assert.equal(outcome, 'undecided');
    assert.deepEqual(undecided, ['line 1: the caller failed: no more moves']);
  });

  it('needs a model', async () => {
    assert.deepEqual(await problems(echo, LINE), [
      'line 1: caller needs a model to play the caller: --eval-model openai:gpt-6-luna',
    ]);
  });

  for (const [what, script, message] of [
    ['no goal', 'caller "a customer" in 2 turns', /line 1: caller takes a role, a goal/],
    ['no limit', 'caller "a customer" wants "bread"', /line 1: caller takes a role, a goal/],
    ['no turns', 'caller "a" wants "b" in 0 turns', /line 1: a played caller takes 1 to 50 turns/],
    ['too many turns', 'caller "a" wants "b" in 51 turns', /takes 1 to 50 turns/],
    ['lines for the agent\'s model', `${LINE}model says Hi.`, /line 1: nobody knows what a played/],
  ] as const) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(async () => problems(echo, script), { name: 'ScriptError', message });
    });
  }
});
