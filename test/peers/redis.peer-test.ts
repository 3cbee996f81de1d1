// Conversations in real servers of Redis and Valkey, through the real clients. Needs `npm ci` in
// this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createLogger } from '../../src/base/log.ts';
import { fromIoredis, type RedisClient } from '../../src/core/conversations/stores/redis-client.ts';
import { RedisStore } from '../../src/core/conversations/stores/redis-store.ts';
import { SharedStore } from '../../src/core/conversations/stores/shared-store.ts';
import { calls } from '../../src/kit/commands/calls.ts';
import { createTestClient, type TestClient } from '../../src/kit/test-client.ts';
import type { App } from '../../src/server/app/app.ts';
import { openServer } from '../../src/server/process/open-server.ts';
import type { CallRecord } from '../../src/server/records/call-record.ts';
import { openCallArchive } from '../../src/server/records/open-call-records.ts';
import { parseSettings } from '../../src/server/settings/parse-settings.ts';
import { storeContract } from '../core/conversations/store-contract.ts';
import { partStoreContract } from '../core/conversations/stores/part-store-contract.ts';
import { turnContract } from '../core/conversations/turn-contract.ts';
import { PEERS, typeErrors, writeProject } from '../fixtures/pages.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import { RecordedTerminal } from '../kit/terminal/recorded-terminal.ts';
import { Cluster, createClient, createCluster, Redis } from './redis-clients.ts';

const SECRET = 'whsec_redis_peers';
const PASSWORD = 'tipsy@parrot/';

/** Clients that fit without a cast. The types are the test. */
const SOURCE = `
import { Cluster, Redis } from 'ioredis';
import { fromIoredis, type RedisClient } from 'layercode-microserver';
import { createClient, createClientPool, createCluster, createSentinel } from 'redis';

export const clients: readonly RedisClient[] = [
  createClient(),
  createClient({ RESP: 2 }),
  createClientPool(),
  createCluster({ rootNodes: [] }),
  createSentinel({ name: 'main', sentinelRootNodes: [] }),
  fromIoredis(new Redis()),
  fromIoredis(new Cluster([])),
];
`;

describe('clients of redis and ioredis', () => {
  it('fit the type RedisClient without a cast', () => {
    const files = new Map([['clients.ts', SOURCE]]);
    assert.equal(typeErrors(writeProject(files, { withPeers: true })), '');
  });
});

interface Serving {
  readonly origin: string;
  readonly app: App;
  readonly caller: TestClient;
  readonly lines: readonly string[];
}

/** A server that keeps its calls at `url`. */
async function serve(
  t: TestContext,
  url: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Serving> {
  const lines: string[] = [];
  const own = { CONVERSATION_STORE: url, AGENT: 'echo', PORT: '0', HOST: '127.0.0.1' };
  const environment = { ...own, ...more };
  const { app, origin } = await openServer(
    parseSettings({ ...environment, LAYERCODE_WEBHOOK_SECRET: SECRET }, []),
    { directory: PEERS, write: (line) => lines.push(line), isTerminal: false },
  );
  t.after(() => app.close());
  return { app, origin, lines, caller: createTestClient(origin, { secret: SECRET }) };
}

for (const program of REDIS_PROGRAMS) {
  describe(program, { skip: isMissing(program), timeout: 60_000 }, async () => {
    if (isMissing(program) !== false) return;
    const server = await RedisServer.start(program);
    const client = createClient({ url: server.url });
    client.on('error', () => undefined);
    await client.connect();
    const ioredis = new Redis(server.url);
    const nodes = await RedisServer.startCluster(program);
    const [{ url }] = nodes;
    const cluster = createCluster({ rootNodes: [{ url }] });
    cluster.on('error', () => undefined);
    await cluster.connect();
    const ioredisCluster = new Cluster([url]);
    after(async () => {
      client.destroy();
      ioredis.disconnect();
      cluster.destroy();
      ioredisCluster.disconnect();
      await Promise.all([server, ...nodes].map((each) => each.remove()));
    });

    it('accepts changes with more parts than a script can unpack at once', async () => {
      const store = new RedisStore(client);
      const set = new Map(Array.from({ length: 12_345 }, (_, n) => [String(n), `"${n}"`] as const));
      const change = { from: undefined, to: 'v1', set, remove: [], ttlMs: 60_000 };
      assert.equal(await store.write('many', change), true);
      assert.deepEqual(await store.read('many'), { version: 'v1', parts: set });
      const remove = [...set.keys()].slice(1);
      const less = { from: 'v1', to: 'v2', set: new Map(), remove, ttlMs: 60_000 };
      assert.equal(await store.write('many', less), true);
      const parts = new Map([['0', '"0"']]);
      assert.deepEqual(await store.read('many'), { version: 'v2', parts });
    });

    it('keeps call records for a user with the permissions that the pages name', async (t) => {
      const may = [
        '~layercode:* +eval +evalsha +dbsize +hget +hgetall +hset +hdel +del +pexpire',
        '&layercode:* +publish +subscribe +ping +info +time +hmget +client|setinfo',
      ].join(' ').split(' ');
      await server.command('ACL', 'LOG', 'RESET');
      await server.command('ACL', 'SETUSER', 'bot', 'on', '>word', ...may);
      const url = server.url.replace('//', '//bot:word@');
      const { app, caller } = await serve(t, url, { CALL_RECORDS: 'store' });
      const { conversationId } = caller;
      const ids = { session_id: 's-1', conversation_id: conversationId };
      const message = { type: 'message', ...ids, turn_id: 't-1', text: 'One' };
      await (await caller.post(message)).events();
      assert.equal((await caller.post({ type: 'session.end', ...ids })).status, 200);
      await app.close();
      assert.equal(await server.command('ACL', 'LOG'), '');

      const settings = parseSettings({ CALL_RECORDS: 'store', CONVERSATION_STORE: url }, []);
      const log = createLogger({ level: 'silent', write: () => undefined });
      const archive = await openCallArchive(settings, { log, directory: PEERS });
      assert.ok(archive !== undefined);
      const sessionsIn = async (records: AsyncIterable<CallRecord>): Promise<string[]> => {
        const ids: string[] = [];
        for await (const record of records) ids.push(record.sessionId);
        return ids;
      };
      await assert.rejects(sessionsIn(archive.all()), {
        name: 'StoreError', message: /^the store cannot list its keys: .*\bscan\b/i,
      });
      await server.command('ACL', 'SETUSER', 'bot', '+scan');
      assert.deepEqual(await sessionsIn(archive.all()), ['s-1']);
      assert.deepEqual(await sessionsIn(archive.erase(conversationId)), ['s-1']);
      assert.deepEqual(await sessionsIn(archive.all()), []);
      await archive.close();
    });

    // The words of an erased call were in that file 67 times.
    for (const kept of ['no', 'yes'])
      it(`makes erase warn of an append-only file only if it has one: ${kept}`, async (t) => {
        const own = await RedisServer.startFor(t, program, ['--appendonly', kept]);
        const url = `redis://127.0.0.1:${own.port}`;
        const { caller } = await serve(t, url);
        await (await caller.say('One')).events();
        const terminal = new RecordedTerminal({ CONVERSATION_STORE: url }, PEERS);
        assert.equal(await calls.run(['erase', caller.conversationId], terminal), 0);
        assert.equal(/append-only file, .*BGREWRITEAOF/.test(terminal.out), kept === 'yes');
      });

    it('leaks no password when it fails in mid-call', async (t) => {
      const locked = await RedisServer.startFor(t, program, ['--requirepass', PASSWORD]);
      const login = `default:${encodeURIComponent(PASSWORD)}`;
      const serving = await serve(t, `redis://${login}@127.0.0.1:${locked.port}`);
      await (await serving.caller.say('One')).events();
      await locked.kill();
      await (await serving.caller.say('Two')).events();
      const ready = await fetch(new URL('/ready', serving.origin));
      assert.equal(ready.status, 200);
      const shown = serving.lines.join('') + (await ready.text());
      assert.match(shown, /calls continue from memory/);
      assert.equal(/tipsy/.test(shown), false);
    });

    const clients: Readonly<Record<string, RedisClient>> = {
      redis: client,
      ioredis: fromIoredis(ioredis),
      'a cluster of redis': cluster,
      'a cluster of ioredis': fromIoredis(ioredisCluster),
    };
    for (const [name, each] of Object.entries(clients))
      partStoreContract(`${program} through ${name}`, () => new RedisStore(each), sleep, {
        listsAll: !name.startsWith('a cluster'),
      });

    const open = (): SharedStore =>
      new SharedStore(new RedisStore(client), {
        ttlMs: 3_600_000,
        maxRemembered: 1_000,
        timeoutMs: 1_000,
        log: createLogger({ level: 'silent', write: () => undefined }),
      });
    storeContract(program, open, { countsKeys: true });
    turnContract(program, open);
  });
}
