// Opens the store that the operator's URL names, with the package `redis` from their project.

import { readFileSync } from 'node:fs';
import module from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { codeOf } from '../../base/thrown-values.ts';
import type { Logger } from '../../log.ts';
import { mustBeConfirmed, type OnceClaims } from './once-claims.ts';
import type { PartStore } from './part-store.ts';
import { RedisChannel } from './redis-channel.ts';
import { RedisClaims } from './redis-claims.ts';
import { scopeOf } from './redis-client.ts';
import { nodeName, RedisCluster } from './redis-cluster.ts';
import { isAnswer, RedisConnection, type RedisPackage, type RedisTls } from './redis-connection.ts';
import { parseSlots, type SlotRange } from './redis-slots.ts';
import { RedisStore } from './redis-store.ts';
import {
  parseRedisUrl, type RedisAddress, type RedisTarget, type RedisTlsFiles,
} from './redis-url.ts';
import { StoreError } from './store-error.ts';

const INSTALL = 'npm install redis@6';
/** The oldest major version that has all options used here. */
const OLDEST_MAJOR = 6;

/** Errors that may go away by themselves. */
const PASSING =
  /^(LOADING|BUSY|OOM|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|ERR max number)\b/;

interface RedisOpenOptions {
  /** How safe claims must be. Default: as any write. */
  readonly claims?: OnceClaims | undefined;
  /** Where the package `redis` is looked for, and the base of relative file paths. */
  readonly directory: string;
  readonly log: Logger;
}

/**
 * Opens `redis://`, `rediss://` or `redis+sentinel://`.
 *
 * A server that cannot be reached yet is not an error: this is logged, and tried again. Rejects
 * with a `StoreError` if the URL is wrong, a file or the package is missing, or the server refuses
 * to serve: a wrong password, database or permissions, a replica, or a node of a cluster. Also if
 * it cannot confirm claims as it should.
 */
export async function openRedisStore(
  url: string,
  { directory, log, claims }: RedisOpenOptions,
): Promise<RedisStore> {
  const connection = await connectionTo(url, directory);
  const forClaims = mustBeConfirmed(claims) ? await connectionTo(url, directory) : undefined;
  forClaims?.watch();
  const confirmed = forClaims && claims && new RedisClaims(forClaims, claims);
  const close = (): void => {
    connection.close();
    forClaims?.close();
  };
  const store = new RedisStore(connection, close, confirmed);
  const connect = async (): Promise<void> => {
    await connection.connect();
    await forClaims?.connect();
  };
  const failure = await failureToBegin({ connect, close }, () => checkWrites(store));
  const refusal = failure === undefined ? await confirmed?.refusal() : undefined;
  if (refusal !== undefined) {
    close();
    throw new StoreError(refusal);
  }
  if (failure !== undefined)
    log.warn('the conversation store cannot be reached yet', { store: store.name, error: failure });
  return store;
}

/**
 * Like `openRedisStore`, for a command that reads or erases everything: if the server is a node of
 * a cluster, opens all nodes. A node that cannot be reached is not an error until it is needed.
 */
export async function openWholeRedis(url: string, options: RedisOpenOptions): Promise<PartStore> {
  const { target, tls, loaded } = await wayTo(url, options.directory);
  const open = (address: RedisAddress): RedisConnection =>
    new RedisConnection({ ...target, addresses: [address] }, tls, loaded);
  const [address] = target.addresses;
  if (address === undefined || target.sentinelName !== undefined)
    return openRedisStore(url, options);
  const asked = open(address);
  const slotsNow = async (): Promise<readonly SlotRange[]> =>
    parseSlots(await asked.clusterSlots(), address);
  let ranges: readonly SlotRange[];
  try {
    await asked.connect();
    ranges = await slotsNow();
  } catch {
    asked.close();
    return openRedisStore(url, options); // not a cluster; if it refuses to serve, this says why
  }
  const addresses = new Map(ranges.map((range) => [nodeName(range), range.address]));
  const nodes = [...addresses].map(([name, at]) => ({ name, connection: open(at) }));
  await Promise.all(nodes.map(({ connection }) => connection.connect().catch(() => undefined)));
  return new RedisCluster(nodes, ranges, { slots: slotsNow, close: () => asked.close() });
}

/**
 * Opens the channel between the processes that use the store, on a connection of its own. Rejects
 * like `openRedisStore`.
 */
export async function openRedisChannel(
  url: string,
  { directory, log }: RedisOpenOptions,
): Promise<RedisChannel> {
  const connection = await connectionTo(url, directory);
  const scope = scopeOf({ options: parseRedisUrl(url) });
  const channel = new RedisChannel(connection, scope, () => connection.close());
  await channel.subscribe(connection);
  const failure = await failureToBegin(connection, async () => {
    await channel.check();
    channel.mayLackOthers = await hasJustBegun(connection, log);
    if (channel.mayLackOthers)
      log.info('Redis has just begun: no tool that acts once starts here yet', {
        seconds: RECONNECT_SECONDS,
      });
  });
  if (failure !== undefined)
    log.warn('messages from other processes do not arrive yet', { error: failure });
  return channel;
}

/** After a restart all processes connect again within 5 s. */
const RECONNECT_SECONDS = 5;

/** False if the server does not say since when it runs: it may not permit `INFO`. */
async function hasJustBegun(connection: RedisConnection, log: Logger): Promise<boolean> {
  try {
    const seconds = /^uptime_in_seconds:(\d+)/m.exec(String(await connection.info()))?.[1];
    return Number(seconds ?? Infinity) < RECONNECT_SECONDS;
  } catch (error) {
    log.warn('Redis does not say how long it has run', { error });
    return false;
  }
}

async function connectionTo(url: string, directory: string): Promise<RedisConnection> {
  const { target, tls, loaded } = await wayTo(url, directory);
  return new RedisConnection(target, tls, loaded);
}

interface WayToRedis {
  readonly target: RedisTarget;
  readonly tls: RedisTls | undefined;
  readonly loaded: RedisPackage;
}

async function wayTo(url: string, directory: string): Promise<WayToRedis> {
  const target = parseRedisUrl(url);
  const tls = target.tls && readFiles(target.tls, directory);
  return { target, tls, loaded: await loadRedis(directory) };
}

/** Why the connection cannot be used yet. If the server refuses to serve, closes it and rejects. */
async function failureToBegin(
  connection: Pick<RedisConnection, 'connect' | 'close'>,
  check: () => Promise<void>,
): Promise<unknown> {
  try {
    await connection.connect();
    await check();
    return undefined;
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal === undefined) return error;
    connection.close();
    throw new StoreError(`the server of CONVERSATION_STORE refuses to serve: ${refusal}`);
  }
}

/** Uses an id that no conversation has, and leaves nothing behind. */
async function checkWrites(store: RedisStore): Promise<void> {
  const begin = { from: undefined, to: 'test', set: new Map(), remove: [], ttlMs: 1_000 };
  await store.write('', begin);
  await store.write('', { ...begin, from: 'test', to: undefined });
}

function refusalIn(error: unknown): string | undefined {
  if (error instanceof StoreError) return refusalIn(error.cause);
  if (!(error instanceof Error) || !isAnswer(error)) return undefined;
  if (PASSING.test(error.message)) return undefined;
  if (!/^(MOVED|ASK) /.test(error.message)) return error.message;
  return 'it is a node of a cluster, which needs a client of your own: docs/library.md';
}

function readFiles(files: RedisTlsFiles, directory: string): RedisTls {
  const contents = Object.entries(files).map(([name, path]: [string, string]) => {
    try {
      return [name, readFileSync(resolve(directory, path))];
    } catch (cause) {
      const reason = String(codeOf(cause) ?? 'unreadable');
      throw new StoreError(`CONVERSATION_STORE: ${name}=… cannot be read: ${reason}`, { cause });
    }
  });
  return Object.fromEntries(contents);
}

async function loadRedis(directory: string): Promise<RedisPackage> {
  // Not imported by name: webpack warns of a `createRequire` whose path it cannot know.
  const require = module.createRequire(join(resolve(directory), 'package.json'));
  let path: string;
  try {
    path = require.resolve('redis');
  } catch (cause) {
    const needed = `CONVERSATION_STORE=redis://… needs the package redis in ${resolve(directory)}`;
    throw new StoreError(`${needed}: ${INSTALL}`, { cause });
  }
  const { version }: { version: string } = require('redis/package.json');
  if (Number.parseInt(version, 10) < OLDEST_MAJOR)
    throw new StoreError(`CONVERSATION_STORE needs redis 6, not ${version}: ${INSTALL}`);
  const { href } = pathToFileURL(path);
  const loaded: RedisPackage = await import(/* webpackIgnore: true */ href);
  return loaded;
}
