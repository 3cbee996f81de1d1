// A quick run of the model of platforms that send the whole call with each request. `npm run
// test:long` plays more talks, and `npm run torture -- --store platforms` as many as there is time
// for.

import { describe, it } from 'node:test';

import { IS_LONG } from '../../../fixtures/long.ts';
import { playPlatformTalk } from './play.ts';
import { composePlatformTalk } from './talk.ts';

const TALKS = IS_LONG ? 1_000 : 60;
/**
 * Something once went wrong in these talks: the state of a turn whose calls never began, a reply
 * that was only a filler, half a filler, the words of an earlier run, "Yes." said twice, words that
 * a process inserted in vain, half a filler of another process, a run that learnt too late that
 * another process had ended it, a delivery that waited while the caller went on, one whose turn was
 * replaced meanwhile, the state of a turn that another process discarded, and the first letter of a
 * reply to "Yes.".
 */
const FAULTY = [2, 10, 43, 27, 102, 105, 43_298, 482, 7_229, 77_519, 3_555, 101_154];

async function play(seeds: Iterable<number>): Promise<void> {
  for (const seed of seeds) await playPlatformTalk(composePlatformTalk(seed));
}

describe('a platform that sends the whole call with each request', () => {
  it('is answered as promised in the talks that are always played', () =>
    play(Array.from({ length: TALKS }, (_, index) => index + 1)));

  it('is answered as promised in talks that once went wrong', () =>
    play(FAULTY));
});
