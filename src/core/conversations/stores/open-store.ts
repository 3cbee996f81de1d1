import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { Channel } from '../../../base/channel.ts';
import { checkFields, type FieldNames } from '../../../base/check-fields.ts';
import type { Logger } from '../../../base/log.ts';
import { codeOf } from '../../../base/thrown-values.ts';
import { MemoryStore } from '../memory-store.ts';
import type { ConversationStore } from '../store.ts';
import { SAME_SETTINGS } from './file-failure.ts';
import { mustBeConfirmed, type OnceClaims } from './once-claims.ts';
import type { PartStore } from './part-store.ts';
import type { RedisClient, RedisSubscriber } from './redis-client.ts';
import { StoreError } from './store-error.ts';

const SQLITE = 'sqlite:';

/** The settings of a store. */
export interface StoreSettings {
  /** `memory`, `sqlite:<path>`, or the URL of a Redis or Valkey server. */
  readonly conversationStore: string;
  readonly conversationTtlSeconds: number;
  readonly maxConversations: number;
  readonly maxHistoryCharacters: number;
  readonly storeTimeoutMs: number;
  readonly sqliteSynchronous: 'normal' | 'full';
  /** Default: the store must have them; with SQLite, on the disk. */
  readonly onceClaims?: OnceClaims | undefined;
}

/** Options of `openStore`. */
export interface OpenStoreOptions {
  readonly log: Logger;
  /** Base of relative paths in the settings. Default: the working directory. */
  readonly directory?: string;
  /**
   * A connected Redis or Valkey client. Conversations are kept there, whatever the settings say. It
   * stays open when the store is closed.
   */
  readonly redis?: RedisClient;
  /**
   * Another connected client for the same server, such as `client.duplicate()`, which receives the
   * messages of other processes. Default: no messages are exchanged.
   */
  readonly redisSubscriber?: RedisSubscriber;
}

const OPTIONS: FieldNames<OpenStoreOptions> = {
  log: true, directory: true, redis: true, redisSubscriber: true,
};

/**
 * Opens the store that `CONVERSATION_STORE` names. Rejects with a `StoreError` if it cannot be
 * used. Close it, or hand it to an app, which closes it.
 */
export async function openStore(
  settings: StoreSettings,
  options: OpenStoreOptions,
): Promise<ConversationStore> {
  checkFields('the options of openStore', options, OPTIONS);
  const { conversationStore, maxConversations, maxHistoryCharacters: maxCharacters } = settings;
  const ttlMs = settings.conversationTtlSeconds * 1_000;
  if (conversationStore === 'memory' && options.redis === undefined)
    return new MemoryStore({ ttlMs, maxConversations, maxCharacters });
  const { SharedStore } = await import('./shared-store.ts');
  const parts = await openParts(settings, options);
  try {
    const store = new SharedStore(parts, {
      ttlMs,
      maxRemembered: maxConversations,
      maxCharacters,
      timeoutMs: settings.storeTimeoutMs,
      log: options.log,
      channel: await openChannel(settings, options),
    });
    // This way /ready and the metrics know before the first call whether the store answers. Nobody
    // has this id.
    void store.read('\tfirst');
    return store;
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** Undefined if the store has no channel of its own. */
async function openChannel(
  { conversationStore }: StoreSettings,
  { log, directory = process.cwd(), redis, redisSubscriber }: OpenStoreOptions,
): Promise<Channel | undefined> {
  if (redis !== undefined) {
    if (redisSubscriber === undefined) return undefined;
    const { RedisChannel } = await import('./redis-channel.ts');
    const channel = new RedisChannel(redis);
    await channel.subscribe(redisSubscriber);
    return channel;
  }
  if (conversationStore.startsWith(SQLITE)) return undefined;
  const { openRedisChannel } = await import('./redis-open.ts');
  return openRedisChannel(conversationStore, { directory, log });
}

/**
 * Opens any store except memory. Each kind is loaded on demand. `mustExist`: for commands that read
 * or erase everything. They never create a file: rejects with a `StoreError` if there is none.
 */
export async function openParts(
  settings: StoreSettings,
  { log, directory = process.cwd(), redis }: OpenStoreOptions,
  mustExist = false,
): Promise<PartStore> {
  const { conversationStore, onceClaims: claims } = settings;
  if (redis !== undefined) {
    if (mustBeConfirmed(claims))
      throw new StoreError('ONCE_CLAIMS must be "stored" with a client of your own');
    const { RedisStore } = await import('./redis-store.ts');
    return new RedisStore(redis);
  }
  if (!conversationStore.startsWith(SQLITE)) {
    const { openRedisStore } = await import('./redis-open.ts');
    return openRedisStore(conversationStore, { directory, log, claims });
  }
  const { openSqliteThread } = await import('./sqlite-thread.ts');
  const { AWAY_MS } = await import('./outage.ts');
  const path = resolve(directory, conversationStore.slice(SQLITE.length));
  if (mustExist) await checkExists(path);
  // It waits for a lock as long as callers wait for the store.
  const timeoutMs = Math.max(settings.storeTimeoutMs, AWAY_MS);
  const areClaimsSynced = claims?.isOnDisk ?? true;
  const { sqliteSynchronous: synchronous } = settings;
  return openSqliteThread({ path, synchronous, areClaimsSynced, timeoutMs });
}

/** Anything else that is wrong with the file is reported when it is opened. */
async function checkExists(path: string): Promise<void> {
  await lstat(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') return;
    const message = `the conversations in ${path} cannot be used: there is no such file`;
    throw new StoreError(`${message}; ${SAME_SETTINGS}`, { cause: error });
  });
}
