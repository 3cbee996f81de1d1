// Conversations in real servers of Redis and Valkey, through the real clients. Needs `npm ci` in
// this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  fromIoredis, type IoredisClient, type RedisClient,
} from '../../src/conversations/redis-client.ts';
import { RedisStore } from '../../src/conversations/redis-store.ts';
import { SharedStore } from '../../src/conversations/shared-store.ts';
import { createLogger } from '../../src/log.ts';
import { partStoreContract } from '../conversations/part-store-contract.ts';
import { storeContract } from '../conversations/store-contract.ts';
import { turnContract } from '../conversations/turn-contract.ts';
import { PEERS } from '../fixtures/pages.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';

assert.ok(existsSync(join(PEERS, 'node_modules/redis')), 'npm ci in test/peers first');

interface NodeRedis extends RedisClient {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): this;
}

interface Ioredis extends IoredisClient {
  disconnect(): void;
}

const require = createRequire(join(PEERS, 'package.json'));
const { createClient, createCluster } = require('redis') as {
  createClient: (options: { url: string }) => NodeRedis;
  createCluster: (options: { rootNodes: { url: string }[] }) => NodeRedis;
};
const { Cluster, Redis } = require('ioredis') as {
  Cluster: new (urls: string[]) => Ioredis;
  Redis: new (url: string) => Ioredis;
};

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

    const clients: Readonly<Record<string, RedisClient>> = {
      redis: client,
      ioredis: fromIoredis(ioredis),
      'a cluster of redis': cluster,
      'a cluster of ioredis': fromIoredis(ioredisCluster),
    };
    for (const [name, each] of Object.entries(clients))
      partStoreContract(`${program} through ${name}`, () => new RedisStore(each), sleep);

    const open = (): SharedStore =>
      new SharedStore(new RedisStore(client), {
        ttlMs: 3_600_000,
        maxRemembered: 1_000,
        timeoutMs: 1_000,
        log: createLogger({ level: 'silent', write: () => undefined }),
      });
    storeContract(program, open);
    turnContract(program, open);
  });
}
