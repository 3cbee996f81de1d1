// The Redis and Valkey clients that a store can use.

import { isObject } from '../../base/fields.ts';

/** Keys and arguments of a script. */
export interface RedisScriptCall {
  keys: string[];
  arguments: string[];
}

/** Sends messages to other processes. */
export interface RedisPublisher {
  publish(channel: string, message: string): Promise<unknown>;
}

/** Receives messages from other processes. */
export interface RedisSubscriber {
  /** Must subscribe again by itself after it has lost its connection. */
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  /** Calls the listener whenever it has connected. */
  on?(event: 'ready', listener: () => void): unknown;
  /** False without a connection. */
  readonly isReady?: boolean | undefined;
}

/**
 * The commands that a store needs, as the package `redis` has them. Its clients can be passed as
 * they are: those of `createClient`, `createCluster` and `createSentinel`.
 */
export interface RedisClient extends RedisPublisher {
  eval(script: string, call: RedisScriptCall): Promise<unknown>;
  /** Rejects with an error that begins with `NOSCRIPT` if the server does not know the script. */
  evalSha(sha1: string, call: RedisScriptCall): Promise<unknown>;
  dbSize(): Promise<unknown>;
}

/** The part of an `ioredis` client that is used: a `Redis` or a `Cluster`. */
export interface IoredisClient {
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  evalsha(sha1: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  dbsize(): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  on(event: 'message', listener: (channel: string, message: string) => void): unknown;
  on(event: 'ready', listener: () => void): unknown;
  /** `ready` if it is connected. */
  readonly status?: string | undefined;
}

/**
 * What sets a deployment apart from others on the same server: `/1` for database 1, and `:` and the
 * prefix of the keys. Empty for a client that tells neither.
 */
export function scopeOf(client: object): string {
  const options = 'options' in client && isObject(client.options) ? client.options : {};
  const { database, db = database, keyPrefix } = options;
  const prefix = String(keyPrefix ?? '');
  return (Number(db) > 0 ? `/${String(db)}` : '') + (prefix === '' ? '' : `:${prefix}`);
}

/** Adapts an `ioredis` client. */
export function fromIoredis(client: IoredisClient): RedisClient & RedisSubscriber {
  return {
    ...('options' in client ? { options: client.options } : {}), // for `scopeOf`
    eval: (script, { keys, arguments: rest }) => client.eval(script, keys.length, ...keys, ...rest),
    evalSha: (sha1, { keys, arguments: rest }) =>
      client.evalsha(sha1, keys.length, ...keys, ...rest),
    dbSize: () => client.dbsize(),
    publish: (channel, message) => client.publish(channel, message),
    subscribe(channel, listener) {
      client.on('message', (from, message) => {
        if (from === channel) listener(message);
      });
      return client.subscribe(channel);
    },
    on: (event, listener) => client.on(event, listener),
    get isReady() {
      return client.status === undefined || client.status === 'ready';
    },
  };
}
