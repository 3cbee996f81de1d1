// The parts of the real clients in test/peers that tests use.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import type {
  IoredisClient, RedisClient, RedisSubscriber,
} from '../../src/core/conversations/stores/redis-client.ts';
import { PEERS } from '../fixtures/pages.ts';

interface NodeRedis extends RedisClient, RedisSubscriber {
  connect(): Promise<unknown>;
  destroy(): void;
  duplicate(): NodeRedis;
  keys(pattern: string): Promise<string[]>;
  hGetAll(key: string): Promise<Readonly<Record<string, string>>>;
  on(event: 'error' | 'ready', listener: (error: Error) => void): this;
}

interface Ioredis extends IoredisClient {
  duplicate(): Ioredis;
  disconnect(): void;
}

const require = createRequire(join(PEERS, 'package.json'));

export const { createClient, createCluster } = require('redis') as {
  readonly createClient: (options: { url: string }) => NodeRedis;
  readonly createCluster: (options: { rootNodes: { url: string }[] }) => NodeRedis;
};

export const { Cluster, Redis } = require('ioredis') as {
  readonly Cluster: new (urls: string[]) => Ioredis;
  readonly Redis: new (url: string) => Ioredis;
};
