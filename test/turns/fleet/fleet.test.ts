// A quick run of the model of a fleet. `npm run test:long` plays more talks, and `npm run torture`
// as many as there is time for.

import { randomInt } from 'node:crypto';
import { describe, it } from 'node:test';

import { IS_LONG } from '../../fixtures/long.ts';
import { playFleetTalk } from './play.ts';
import { composeFleetTalk } from './talk.ts';

const FIXED_TALKS = IS_LONG ? 400 : 60;
const RANDOM_TALKS = IS_LONG ? 200 : 20;

async function play(first: number, count: number): Promise<void> {
  for (let seed = first; seed < first + count; seed++) await playFleetTalk(composeFleetTalk(seed));
}

describe('a fleet keeps what it promises', () => {
  it('in the talks that are always played', () => play(1, FIXED_TALKS));

  it('in talks that nobody has seen', async (t) => {
    const first = randomInt(2 ** 31);
    const seeds = `seeds ${first} to ${first + RANDOM_TALKS - 1}`;
    t.diagnostic(`${seeds}; one again: npm run torture -- --store fleet --seed S`);
    await play(first, RANDOM_TALKS);
  });
});
