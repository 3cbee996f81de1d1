// Workers of a server that keep their conversations in a real Redis or Valkey server, and tell each
// other about turns through it. Needs `npm ci` in this folder, and Debian's packages of the
// servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { workplaceWithPeers } from '../fixtures/peer-workplace.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import {
  AGENT, say, sayToNew, serving, workerOf, WORKERS_ENV, workerTurnsContract, type Service,
} from '../server/process/worker-turns.ts';

const workplace = workplaceWithPeers(AGENT);

for (const program of REDIS_PROGRAMS) {
  const skip = isMissing(program);
  let starting: Promise<RedisServer> | undefined;
  after(async () => (await starting)?.remove());

  async function serve(): Promise<Service> {
    const redis = await (starting ??= RedisServer.start(program));
    // A busy machine must not look like a failing store.
    const store = { CONVERSATION_STORE: redis.url, STORE_TIMEOUT_MS: '5000' };
    return serving(workplace().spawn({ env: { ...WORKERS_ENV, ...store } }));
  }

  workerTurnsContract(`on ${program}`, skip, serve);

  describe(`a server with workers on ${program}`, { timeout: 30_000, skip }, () => {
    it('replaces all workers on SIGHUP without cutting off a call', async () => {
      const { server, url, workers } = await serve();
      const held = await say(url, 'hold', 'c');
      server.kill('SIGHUP');
      await server.line('workers replaced');
      held.release();
      assert.equal(await held.rest(), ' Done.');
      const next = await sayToNew(url, workers, 'c');
      assert.equal(await next.rest(), ' Done.');
      server.kill('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.deepEqual(server.log.filter(({ level }) => level === 'error'), []);
      const listening = server.log.filter(({ msg }) => msg === 'listening');
      assert.equal(new Set(listening.map(workerOf)).size, 4);
    });
  });
}
