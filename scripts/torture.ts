// npm run torture -- --seconds N [--seed S]
// Plays random talks against the server until the time is up; with a seed, that talk alone. When
// one goes wrong it prints the talk and its seed, and exits with 1.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

import { playTalk, TalkError } from '../test/turns/play-talk.ts';
import { composeTalk } from '../test/turns/talk.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
  },
});
const end = performance.now() + Number(values.seconds) * 1_000;
const first = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
let talks = 0;
let steps = 0;
try {
  for (; talks === 0 || (values.seed === undefined && performance.now() < end); talks++) {
    steps += (await playTalk(composeTalk(first + talks))).steps;
  }
  console.log(`${talks} talks of ${steps} steps, from seed ${first} on: nothing went wrong`);
} catch (error) {
  console.error(error instanceof TalkError ? error.message : error);
  console.error(`Again: npm run torture -- --seed ${first + talks}`);
  process.exitCode = 1;
}
