// A quick run of the model of the turn. `npm run test:long` plays more talks, and `npm run torture
// -- --seconds N` plays as many as there is time for.

import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';

import { IS_LONG } from '../../fixtures/long.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { playTalk } from './play-talk.ts';
import { composeTalk, type Talk } from './talk.ts';

/** In the long run, enough to show most broken rules of turns. */
const FIXED_TALKS = IS_LONG ? 320 : 40;
const RANDOM_TALKS = IS_LONG ? 200 : 20;

const SQLITE_TALKS = IS_LONG ? 100 : 10;

async function play(first: number, count: number, more: Partial<Talk> = {}): Promise<void> {
  for (let seed = first; seed < first + count; seed++)
    await playTalk({ ...composeTalk(seed), ...more });
}

describe('history', () => {
  it('is correct after the talks that are always played', () => play(1, FIXED_TALKS));

  it('is correct after the same talks over SQLite', { skip: WITHOUT_SQLITE }, () =>
    play(1, SQLITE_TALKS, { store: 'sqlite' }));

  it('is correct if a reply breaks off and another process takes its turn over', async () => {
    const ops = [{ do: 'wait' }, { do: 'say' }] as const;
    await playTalk({
      seed: 0,
      agent: 'scripted',
      store: 'machines',
      isStopped: false,
      steps: [
        { do: 'message', hasId: true, plan: { obeys: true, isText: false, ops }, breaks: true },
        { do: 'deliver again', pick: 0, hasOtherWords: false, breaks: true },
      ],
    });
  });

  it('is correct after talks that have never been played', async (t) => {
    const first = randomInt(2 ** 31);
    t.diagnostic(
      `seeds ${first} to ${first + RANDOM_TALKS - 1}; one again: npm run torture -- --seed S`,
    );
    await play(first, RANDOM_TALKS);
  });
});
