// npm run torture -- --seconds N | --seed S [--talks N]
//                    [--store memory|promised|thenable|shared|sqlite|machines]
// Plays random talks against the server until the time is up, or the talk of the given seed and,
// with --talks, those of the seeds after it: the same ones each time. Each talk chooses a store
// unless one is named. If one goes wrong, prints the talk and its seed, and exits with 1.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

import { playTalk, TalkError } from '../test/turns/play-talk.ts';
import { composeTalk, type Talk } from '../test/turns/talk.ts';
import { STORE_KINDS } from '../test/turns/talk-stage.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    talks: { type: 'string', default: '1' },
    store: { type: 'string' },
  },
});
const store = STORE_KINDS.find((kind) => kind === values.store);
if (store === undefined && values.store !== undefined)
  throw new Error(`--store must be one of ${STORE_KINDS.join(', ')}, got ${values.store}`);
const end = performance.now() + Number(values.seconds) * 1_000;
const first = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const talkOf = (seed: number): Talk => {
  const talk = composeTalk(seed);
  return { ...talk, store: store ?? talk.store };
};
let talks = 0;
let steps = 0;
try {
  const hasMore = (): boolean =>
    values.seed === undefined ? performance.now() < end : talks < Number(values.talks);
  for (; hasMore(); talks++) {
    steps += (await playTalk(talkOf(first + talks))).steps;
  }
  console.log(`${talks} talks of ${steps} steps, from seed ${first} on: nothing went wrong`);
} catch (error) {
  console.error(error instanceof TalkError ? error.message : error);
  const again = store === undefined ? '' : ` --store ${store}`;
  console.error(`Again: npm run torture -- --seed ${first + talks}${again}`);
  process.exitCode = 1;
}
