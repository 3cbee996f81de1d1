// Random talks between platforms and two processes that share a real Redis or Valkey server. Needs
// `npm ci` in this folder, and Debian's packages of the servers, which `.ci/run` installs. `npm run
// torture -- --store platforms --redis` plays other talks.

import { describe, it } from 'node:test';

import { playPlatformTalk } from '../core/turns/platform-model/play.ts';
import { SharedRedis } from '../core/turns/platform-model/shared-redis.ts';
import { composePlatformTalk } from '../core/turns/platform-model/talk.ts';
import { isMissing, REDIS_PROGRAMS } from '../fixtures/redis-server.ts';

const TALKS = 120;

for (const program of REDIS_PROGRAMS) {
  describe(`two processes that share ${program}`, { skip: isMissing(program) }, () => {
    it('answer as promised when platforms send the whole call with each request', async (t) => {
      const redis = await SharedRedis.start(program);
      t.after(() => redis.stop());
      for (let seed = 1; seed <= TALKS; seed++)
        await playPlatformTalk(composePlatformTalk(seed, redis.processes.length), redis);
    });
  });
}
