// npm run torture -- --seconds N | --seed S [--talks N]
//                    [--store memory|promised|thenable|shared|sqlite|machines|fleet|platforms]
//                    [--redis]
//                  | --hostile [--seconds N]
// Plays random talks against the server until the time is up, or the talk with the given seed and,
// with --talks, those with the seeds after it: the same ones each time. Each talk chooses a store
// unless one is named. With fleet, two or three processes share a store that fails, forgets and
// restarts; Node 24 plays these talks three times as fast as Node 20. With platforms, voice
// platforms that send the whole call with each request call one process or two. With --redis it is
// always two, which share a real Redis. If a talk goes wrong, prints it and its seed, and exits
// with 1. A real Redis may answer in a different order when the talk is played again.
// With --hostile it plays no talks: 200 clients misbehave for 5 to 600 seconds (default 120) while
// callers pay in ten calls. Exits with 1 if the calls or the server suffer more than is allowed.

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

import { FleetError, playFleetTalk } from '../test/core/turns/fleet/play.ts';
import { composeFleetTalk } from '../test/core/turns/fleet/talk.ts';
import {
  PlatformError, playPlatformTalk, shrinkPlatformTalk,
} from '../test/core/turns/platform-model/play.ts';
import { SharedRedis } from '../test/core/turns/platform-model/shared-redis.ts';
import { composePlatformTalk } from '../test/core/turns/platform-model/talk.ts';
import { playTalk, TalkError } from '../test/core/turns/play-talk.ts';
import { STORE_KINDS } from '../test/core/turns/talk-stage.ts';
import { composeTalk } from '../test/core/turns/talk.ts';
import { breachesOf, playHostile } from '../test/hostile/play.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string' },
    talks: { type: 'string', default: '1' },
    store: { type: 'string' },
    redis: { type: 'boolean', default: false },
    hostile: { type: 'boolean', default: false },
  },
});
if (values.hostile) {
  await beHostile(Math.min(600, Math.max(5, Number(values.seconds ?? 120) || 120)));
  process.exit();
}
const kinds = [...STORE_KINDS, 'fleet', 'platforms'] as const;
const store = kinds.find((kind) => kind === values.store);
if (store === undefined && values.store !== undefined)
  throw new Error(`--store must be one of ${kinds.join(', ')}, got ${values.store}`);
if (values.redis && store !== 'platforms') throw new Error('--redis needs --store platforms');
const end = performance.now() + Number(values.seconds ?? 60) * 1_000;
const first = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);

async function beHostile(seconds: number): Promise<void> {
  const figures = await playHostile({ seconds, hostileClients: 200, calls: 10 });
  const { turns, quietMs, slowestMs, quietBytes, mostBytes } = figures;
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`;
  console.log(`${turns} turns, alone ${quietMs.toFixed(1)} ms, at most ${slowestMs.toFixed(1)} ms`);
  console.log(`memory alone ${mebibytes(quietBytes)}, at most ${mebibytes(mostBytes)}`);
  const breaches = breachesOf(figures);
  for (const breach of breaches.slice(0, 20)) console.error(breach);
  if (breaches.length > 0) process.exitCode = 1;
}

/** Returns the number of steps in the talk. */
async function play(seed: number): Promise<number> {
  if (store === 'fleet') {
    const talk = composeFleetTalk(seed);
    await playFleetTalk(talk);
    return talk.steps.length;
  }
  if (store === 'platforms') return playPlatforms(seed);
  const talk = composeTalk(seed);
  return (await playTalk({ ...talk, store: store ?? talk.store })).steps;
}

/** A talk that goes wrong is played again without what it does not need. */
async function playPlatforms(seed: number): Promise<number> {
  const talk = composePlatformTalk(seed, redis?.processes.length);
  try {
    await playPlatformTalk(talk, redis);
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    await playPlatformTalk(await shrinkPlatformTalk(talk, redis), redis);
    throw error;
  }
  return talk.steps.length;
}

const redis = values.redis ? await SharedRedis.start('redis-server') : undefined;
let talks = 0;
let steps = 0;
try {
  const hasMore = (): boolean =>
    values.seed === undefined ? performance.now() < end : talks < Number(values.talks);
  for (; hasMore(); talks++) steps += await play(first + talks);
  console.log(`${talks} talks of ${steps} steps, from seed ${first} on: nothing went wrong`);
} catch (error) {
  const isWrong = [TalkError, FleetError, PlatformError].some((kind) => error instanceof kind);
  console.error(isWrong ? (error as Error).message : error);
  const again = (store === undefined ? '' : ` --store ${store}`) + (values.redis ? ' --redis' : '');
  console.error(`Again: npm run torture -- --seed ${first + talks}${again}`);
  process.exitCode = 1;
} finally {
  await redis?.stop();
}
