// A quick run of the model of a fleet. `npm run torture -- --store fleet` plays as many talks as
// there is time for.

import { describe, it } from 'node:test';

import { playFleetTalk } from './play.ts';
import { composeFleetTalk } from './talk.ts';

const TALKS = 80;

describe('a fleet', () => {
  it('keeps what it promises in the talks that are always played', async () => {
    for (let seed = 1; seed <= TALKS; seed++) await playFleetTalk(composeFleetTalk(seed));
  });
});
