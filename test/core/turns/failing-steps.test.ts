// In typical talks the n-th store call, write or timer fails, for every n. This is how SQLite tests
// its I/O.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { IS_LONG } from '../../fixtures/long.ts';
import { playTalk } from './play-talk.ts';
import type { Failure } from './talk-stage.ts';
import type { Op, Plan, Step, Talk } from './talk.ts';

const says: Op = { do: 'say' };
const waits: Op = { do: 'wait' };
const calls: Op = { do: 'call', waits: [true], hasOneId: false, hangsUp: false };

function plan(...ops: readonly Op[]): Plan {
  return { obeys: true, isText: false, ops };
}

function message(...ops: readonly Op[]): Step {
  return { do: 'message', hasId: true, plan: plan(...ops), breaks: false };
}

const again: Step = { do: 'deliver again', pick: 0, hasOtherWords: false, breaks: false };
const goOn: Step = { do: 'go on', pick: 0 };
const drop: Step = { do: 'drop', pick: 0 };
const heard = { kind: 'part', part: 0.5, names: 'no turn' } as const;

const TALKS: Readonly<Record<string, readonly Step[]>> = {
  'a welcome': [{ do: 'start', hasId: true, plan: plan(says) }, message(says)],
  'a question and its reply': [message(says, waits, says), goOn, message(says)],
  'a barge-in': [
    message(says, waits, says), drop,
    { do: 'message', hasId: true, heard, plan: plan(says), breaks: false },
  ],
  'a barge-in without a drop': [message(says, waits, says), message(says, waits, says), goOn],
  'a turn delivered again in mid-reply': [message(says, waits, says), again, goOn, message(says)],
  'a turn delivered again when it is complete': [message(says), again, message(says)],
  'a turn delivered again after a drop': [
    message(says, waits, says), drop, again, goOn, message(says),
  ],
  'a tool call': [message(says, calls, says), goOn, message(says)],
  'a tool call that is interrupted': [message(says, calls, says), drop, message(says)],
};

/** More steps than any of these talks has. Counting stops at the first failure not reached. */
const MOST_STEPS = 100;

/** A store that answers late has more steps that can fail than one that answers at once. */
const STORES = IS_LONG
  ? (['memory', 'promised', 'thenable', 'shared'] as const)
  : (['promised'] as const);

describe('history is correct', () => {
  for (const store of STORES)
    for (const agent of ['scripted', 'model'] as const)
      for (const [name, steps] of Object.entries(TALKS)) {
        // An agent with a model speaks through the same reply. Only its tools are different.
        if (agent === 'model' && !name.includes('tool')) continue;
        const talk: Talk = { seed: 0, agent, store, steps, isStopped: false };
        for (const kind of [
          'call refused', 'answer lost', 'write', 'early timer', 'late timer',
        ] as const) {
          it(`after a failure "${kind}" in ${name} (${agent} agent, ${store} store)`, async () => {
            const failures = await countFailures(talk, kind);
            assert.ok(failures > 0, 'there was nothing to fail');
          });
        }
      }
});

async function countFailures(talk: Talk, kind: Failure['kind']): Promise<number> {
  for (let n = 1; n <= MOST_STEPS; n++) {
    try {
      if (!(await playTalk(talk, { kind, n })).hasFailed) return n - 1;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`the ${n}. ${kind}: ${reason}`, { cause: error });
    }
  }
  throw new Error(`more than ${MOST_STEPS} steps`);
}
