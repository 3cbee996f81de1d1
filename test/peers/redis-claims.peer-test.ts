// Payments on a Redis whose replica, or whose disk, must get the claim first. Needs `npm ci` in
// this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { noLog } from '../../src/base/log.ts';
import { addMessage } from '../../src/core/conversations/conversation.ts';
import { openStore } from '../../src/core/conversations/stores/open-store.ts';
import { openRedisStore } from '../../src/core/conversations/stores/redis-open.ts';
import { calls } from '../../src/kit/commands/calls.ts';
import { parseSettings } from '../../src/server/settings/parse-settings.ts';
import { PEERS } from '../fixtures/pages.ts';
import { workplaceWithPeers } from '../fixtures/peer-workplace.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import { SECRET, type SpawnedServer } from '../fixtures/spawned-server.ts';
import { RecordedTerminal } from '../kit/terminal/recorded-terminal.ts';
import { assertPaid, caller, order, RESTAURANT } from '../server/process/restaurant.ts';

const workplace = workplaceWithPeers(RESTAURANT);

function serverOn({ url }: RedisServer, ONCE_CLAIMS: string): SpawnedServer {
  return workplace().spawn({
    env: {
      NODE_ENV: 'production',
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      AGENT: './agent.mjs',
      CONVERSATION_STORE: url,
      ONCE_CLAIMS,
    },
  });
}

for (const program of REDIS_PROGRAMS) {
  const start = (t: TestContext, ...args: string[]): Promise<RedisServer> =>
    RedisServer.startFor(t, program, ['--repl-diskless-sync-delay', '0', ...args]);
  const replicaOf = async (primary: RedisServer, t: TestContext): Promise<RedisServer> => {
    const replica = await start(t, '--replicaof', `127.0.0.1 ${primary.port}`);
    const isFollowing = async (): Promise<boolean> =>
      /state=online,offset=[1-9]\d*,/.test(await primary.command('INFO', 'replication'));
    while (!(await isFollowing())) await setTimeout(50); // nothing tells when
    return replica;
  };

  describe(`a server with ${program}`, { skip: isMissing(program), timeout: 180_000 }, () => {
    it('begins payments only once the replica has their claims, or not at all', async (t) => {
      const primary = await start(t);
      const replica = await replicaOf(primary, t);
      await primary.hasRunForLong();
      const say = caller([await serverOn(primary, 'replicated').url()]);
      await say('add 7');
      replica.freeze();
      const begunMs = performance.now();
      assert.match(await say('pay'), /not started/);
      assert.ok(performance.now() - begunMs < 3_000); // 0.4 s on an idle machine
      replica.thaw();
      await primary.command('WAIT', '1', '5000');
      assert.match(await say('pay'), /"paid":7/);
      assert.equal(readFileSync(join(workplace().directory, 'bank'), 'utf8').split('\n').length, 2);
    });

    it('does not count an earlier copy on the replica for a claim sent again', async (t) => {
      const primary = await start(t);
      const replica = await replicaOf(primary, t);
      const claims = { replicas: 1, isOnDisk: false };
      const store = await openRedisStore(primary.url, { directory: PEERS, log: noLog(), claims });
      t.after(() => store.close());
      const claim = {
        from: undefined, to: 'v1', set: new Map(), remove: [], ttlMs: 60_000, isClaim: true,
      };
      assert.equal(await store.write('c', claim), true);
      replica.freeze();
      await assert.rejects(async () => store.write('c', claim), { name: 'UnsafeClaim' });
    });

    it('lets a conversation be erased, with a warning unless a replica confirms it', async (t) => {
      const primary = await start(t);
      const erase = async (): Promise<string> => {
        const store = await openStore(settings, { directory: PEERS, log: noLog() });
        await store.update('c', (conversation) =>
          addMessage(conversation, { role: 'user', content: 'Hello', turnId: 't' }));
        await store.close();
        const terminal = new RecordedTerminal(environment, PEERS);
        assert.equal(await calls.run(['erase', 'c'], terminal), 0);
        assert.match(terminal.out, /^erased the conversation c$/m);
        assert.equal(terminal.err, '');
        return terminal.out;
      };
      const environment = { CONVERSATION_STORE: primary.url };
      const settings = parseSettings(environment, []);
      const unconfirmed =
        /should Redis lose its last minute of writes: no replica has confirmed the erasure/;
      assert.match(await erase(), unconfirmed);
      const replica = await replicaOf(primary, t);
      assert.doesNotMatch(await erase(), unconfirmed);
      replica.freeze();
      assert.match(await erase(), unconfirmed);
    });

    it('makes each payment only once with claims on the disk', async (t) => {
      const redis = await start(t, '--appendonly', 'yes');
      await redis.hasRunForLong();
      const servers = [serverOn(redis, 'fsynced'), serverOn(redis, 'fsynced')];
      const urls = await Promise.all(servers.map((server) => server.url()));
      const bills = await Promise.all(Array.from({ length: 12 }, () => order(urls)));
      assertPaid(workplace().directory, bills);
    });

    it('does not start without the replicas, or the disk, that ONCE_CLAIMS needs', async (t) => {
      const redis = await start(t);
      for (const [claims, needs] of [
        ['replicated:2', 'needs a Redis with at least 2 replicas: WAIT returned 0'],
        ['fsynced', 'needs a Redis with an append-only file: '],
      ] as const) {
        const server = serverOn(redis, claims);
        assert.equal((await server.exit).code, 1);
        assert.ok(server.stderr.includes(`ONCE_CLAIMS ${needs}`), server.stderr);
      }
    });
  });
}
