// The quick run of the model of the turn; `npm run torture -- --seconds N` is the long one.

import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';

import { playTalk } from './play-talk.ts';
import { composeTalk } from './talk.ts';

/** Each rule of turns, broken by hand, shows in some of these. */
const FIXED_TALKS = 200;
const RANDOM_TALKS = 40;

async function play(first: number, count: number): Promise<void> {
  for (let seed = first; seed < first + count; seed++) await playTalk(composeTalk(seed));
}

describe('history', () => {
  it('is true after the talks that are always played', () => play(1, FIXED_TALKS));

  it('is true after talks that nobody has seen', async (t) => {
    const first = randomInt(2 ** 31);
    t.diagnostic(
      `seeds ${first} to ${first + RANDOM_TALKS - 1}; one again: npm run torture -- --seed S`,
    );
    await play(first, RANDOM_TALKS);
  });
});
