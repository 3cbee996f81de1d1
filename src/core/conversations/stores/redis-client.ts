// The Redis and Valkey clients that a store can use.

import { createHash } from 'node:crypto';

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
  /** Removes that listener. Some clients have listeners for bytes, too. */
  unsubscribe?(channel: string, listener: (message: unknown) => void): Promise<unknown>;
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
  off?(event: 'message', listener: (channel: string, message: string) => void): unknown;
}

/** Adapts an `ioredis` client. */
export function fromIoredis(client: IoredisClient): RedisClient & RedisSubscriber {
  const listeners = new Map<string, Set<(message: string) => void>>();
  const receive = (channel: string, message: string): void => {
    for (const listener of listeners.get(channel) ?? []) listener(message);
  };
  return {
    eval: (script, { keys, arguments: rest }) => client.eval(script, keys.length, ...keys, ...rest),
    evalSha: (sha1, { keys, arguments: rest }) =>
      client.evalsha(sha1, keys.length, ...keys, ...rest),
    dbSize: () => client.dbsize(),
    publish: (channel, message) => client.publish(channel, message),
    subscribe(channel, listener) {
      if (listeners.size === 0) client.on('message', receive);
      listeners.set(channel, (listeners.get(channel) ?? new Set()).add(listener));
      return client.subscribe(channel);
    },
    // The subscription itself stays: the client may need it for others, too.
    async unsubscribe(channel, listener) {
      const left = listeners.get(channel);
      left?.delete(listener);
      if (left?.size === 0) listeners.delete(channel);
      if (listeners.size === 0) client.off?.('message', receive);
    },
  };
}

/** A script, and the hash under which a server remembers it. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

/** A script for `eval` and `evalSha`. */
export function scriptOf(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}
