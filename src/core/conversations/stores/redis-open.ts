// Opens the store that the operator's URL names, with the package `redis` from their project.

import { readFileSync } from 'node:fs';
import module from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Logger } from '../../../base/log.ts';
import { codeOf } from '../../../base/thrown-values.ts';
import { mustBeConfirmed, type OnceClaims } from './once-claims.ts';
import { RedisChannel } from './redis-channel.ts';
import { RedisClaims } from './redis-claims.ts';
import { isAnswer, RedisConnection, type RedisPackage, type RedisTls } from './redis-connection.ts';
import { UNTOLD } from './redis-failover.ts';
import { RedisStore } from './redis-store.ts';
import { parseRedisUrl, type RedisTlsFiles } from './redis-url.ts';
import { StoreError } from './store-error.ts';

const INSTALL = 'npm install redis@6';
/** The oldest major version that has all options used here. */
const OLDEST_MAJOR = 6;

/** Errors that may go away by themselves. */
const PASSING =
  /^(LOADING|BUSY|OOM|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|ERR max number)\b/;

interface RedisOpenOptions {
  /** How safe claims must be. Default: as safe as any write. */
  readonly claims?: OnceClaims | undefined;
  /** Where the package `redis` is looked for, and the base of relative file paths. */
  readonly directory: string;
  readonly log: Logger;
}

/**
 * Opens `redis://`, `rediss://` or `redis+sentinel://`.
 *
 * A server that cannot be reached yet is not an error: this is logged, and retried. Rejects with a
 * `StoreError` if the URL is wrong, a file or the package is missing, or the server refuses to
 * serve: a wrong password, database or permissions, a replica, or a node of a cluster. Also rejects
 * if the server cannot confirm claims as it should.
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
  const send = (command: string[]): Promise<unknown> => connection.command(command);
  const store = new RedisStore(connection, close, confirmed, send);
  const connect = async (): Promise<void> => {
    await connection.connect();
    await forClaims?.connect();
  };
  const failure = await failureToBegin({ connect, close }, async () => {
    await checkWrites(store);
    await tellEpoch(store, log);
  });
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
 * Opens the channel between the processes that use the store, on a connection of its own. Rejects
 * like `openRedisStore`.
 */
export async function openRedisChannel(
  url: string,
  { directory, log }: RedisOpenOptions,
): Promise<RedisChannel> {
  const connection = await connectionTo(url, directory);
  const channel = new RedisChannel(connection, () => connection.close());
  await channel.subscribe(connection);
  const failure = await failureToBegin(connection, () => channel.check());
  if (failure !== undefined)
    log.warn('messages from other processes do not arrive yet', { error: failure });
  return channel;
}

/** Logs what the epoch means for tools that act once. */
async function tellEpoch(store: RedisStore, log: Logger): Promise<void> {
  const { id, restMs } = await store.epoch();
  if (id.startsWith(UNTOLD))
    log.warn('Redis does not report its run_id: after a restart, a tool with once may act again');
  if (restMs > 0)
    log.info('Redis has just started: tools that act once must wait', {
      seconds: Math.ceil(restMs / 1_000),
    });
}

async function connectionTo(url: string, directory: string): Promise<RedisConnection> {
  const target = parseRedisUrl(url);
  const tls = target.tls && readFiles(target.tls, directory);
  return new RedisConnection(target, tls, await loadRedis(directory));
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
    throw new StoreError(`the CONVERSATION_STORE server refuses commands: ${refusal}`);
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
  // Not imported by name: webpack warns about a `createRequire` whose path it cannot know.
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
