// A restaurant on two servers, whose Redis stalls or restarts in mid-call. Default settings.
// Needs `npm ci` in this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { workplaceWithPeers } from '../fixtures/peer-workplace.ts';
import {
  isMissing, REDIS_PROGRAMS, RedisServer, type RedisProgram,
} from '../fixtures/redis-server.ts';
import { SECRET } from '../fixtures/spawned-server.ts';
import { assertPaid, order, RESTAURANT, type Bill } from '../server/process/restaurant.ts';

const DISHES = [7, 8, 9, 10, 11] as const;
const TOTAL = 45;

const workplace = workplaceWithPeers(RESTAURANT);

interface Restaurant {
  readonly redis: RedisServer;
  readonly urls: readonly string[];
}

async function open(t: TestContext, program: RedisProgram, ...args: string[]): Promise<Restaurant> {
  const redis = await RedisServer.startFor(t, program, args);
  await redis.hasRunForLong();
  const env = {
    NODE_ENV: 'production',
    DRAIN_DELAY_SECONDS: '0',
    LAYERCODE_WEBHOOK_SECRET: SECRET,
    AGENT: './agent.mjs',
    CONVERSATION_STORE: redis.url,
  };
  const servers = [workplace().spawn({ env }), workplace().spawn({ env })];
  return { redis, urls: await Promise.all(servers.map((server) => server.url())) };
}

/** Plays calls, and freezes Redis for this long, again and again, until they are over. */
async function callsDuring(
  { redis, urls }: Restaurant, stallMs: number, count: number,
): Promise<readonly Bill[]> {
  let areOver = false;
  const calls = Promise.all(Array.from({ length: count }, () => order(urls, DISHES)))
    .finally(() => (areOver = true));
  while (!areOver) {
    redis.freeze();
    await setTimeout(stallMs);
    redis.thaw();
    await setTimeout(200);
  }
  return calls;
}

for (const program of REDIS_PROGRAMS)
  describe(`callers of two servers on ${program}`, {
    skip: isMissing(program), timeout: 120_000,
  }, () => {
    for (const stallMs of [300, 600])
      it(`hear the right totals and pay once while Redis stalls for ${stallMs} ms`, async (t) => {
        const bills = await callsDuring(await open(t, program), stallMs, 16);
        assert.deepEqual(bills.flatMap(({ wrong }) => wrong), []);
        assertPaid(workplace().directory, bills);
      });

    it('pay once for everything they ordered, even if Redis is away for ten seconds', async (t) => {
      const restaurant = await open(t, program);
      const stalling = setTimeout(300).then(async () => {
        restaurant.redis.freeze();
        await setTimeout(10_000);
        restaurant.redis.thaw();
      });
      const calls = Array.from({ length: 8 }, () => order(restaurant.urls, DISHES));
      const bills = await Promise.all(calls);
      await stalling;
      assertPaid(workplace().directory, bills.map((bill) => ({ ...bill, heard: TOTAL })));
    });

    it('pay once for everything they ordered, even if Redis is restarted', async (t) => {
      const restaurant = await open(t, program, '--appendonly', 'yes');
      const calls = Promise.all(
        Array.from({ length: 8 }, () => order(restaurant.urls, DISHES)));
      await setTimeout(150);
      await restaurant.redis.kill();
      await restaurant.redis.start();
      const bills = await calls;
      assertPaid(workplace().directory, bills.map((bill) => ({ ...bill, heard: TOTAL })));
    });
  });
