import { resolve } from 'node:path';

import type { Channel } from '../../base/channel.ts';
import { checkFields, type FieldNames } from '../../base/check-fields.ts';
import type { Logger } from '../../log.ts';
import { MemoryStore } from '../memory-store.ts';
import type { ConversationStore } from '../store.ts';
import type { PartStore } from './part-store.ts';
import type { RedisClient, RedisSubscriber } from './redis-client.ts';
import { SharedStore } from './shared-store.ts';

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
   * Another connected client of the same server, such as `client.duplicate()`, which receives the
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
  const parts = await openParts(settings, options);
  try {
    return new SharedStore(parts, {
      ttlMs,
      maxRemembered: maxConversations,
      maxCharacters,
      timeoutMs: settings.storeTimeoutMs,
      log: options.log,
      channel: await openChannel(settings, options),
    });
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/**
 * Opens the channel between the servers that use the store. Undefined if the store has none of its
 * own.
 */
export async function openChannel(
  { conversationStore }: StoreSettings,
  { log, directory = process.cwd(), redis, redisSubscriber }: OpenStoreOptions,
): Promise<Channel | undefined> {
  if (redis !== undefined) {
    if (redisSubscriber === undefined) return undefined;
    const { RedisChannel } = await import('./redis-channel.ts');
    const { scopeOf } = await import('./redis-client.ts');
    const channel = new RedisChannel(redis, scopeOf(redis));
    await channel.subscribe(redisSubscriber);
    return channel;
  }
  if (conversationStore.startsWith(SQLITE)) return undefined;
  const { openRedisChannel } = await import('./redis-open.ts');
  return openRedisChannel(conversationStore, { directory, log });
}

/** Opens any store except memory. Each kind is loaded on demand. */
export function openParts(settings: StoreSettings, options: OpenStoreOptions): Promise<PartStore> {
  return open(settings, options, 'openRedisStore');
}

/** The same with all nodes of a Redis cluster, for commands that read or erase everything. */
export function openAllParts(
  settings: StoreSettings,
  options: OpenStoreOptions,
): Promise<PartStore> {
  return open(settings, options, 'openWholeRedis');
}

async function open(
  { conversationStore, sqliteSynchronous: synchronous, storeTimeoutMs: timeoutMs }: StoreSettings,
  { log, directory = process.cwd(), redis }: OpenStoreOptions,
  redisOpener: 'openRedisStore' | 'openWholeRedis',
): Promise<PartStore> {
  if (redis !== undefined) {
    const { RedisStore } = await import('./redis-store.ts');
    return new RedisStore(redis);
  }
  if (!conversationStore.startsWith(SQLITE)) {
    const redis = await import('./redis-open.ts');
    return redis[redisOpener](conversationStore, { directory, log });
  }
  const { openSqliteThread } = await import('./sqlite-thread.ts');
  const path = resolve(directory, conversationStore.slice(SQLITE.length));
  return openSqliteThread({ path, synchronous, timeoutMs });
}
