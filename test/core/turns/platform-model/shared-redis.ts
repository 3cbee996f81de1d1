// A real Redis that the processes of a talk share, for their conversations and for messages between
// them. Needs `npm ci` in test/peers, and Debian's package redis-server or valkey-server.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { PEERS } from '../../../fixtures/pages.ts';
import { isMissing, RedisServer, type RedisProgram } from '../../../fixtures/redis-server.ts';

interface ScriptCall {
  keys: string[];
  arguments: string[];
}

/** What is used from a client of the package `redis`. */
interface PackageClient {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  eval(script: string, call: ScriptCall): Promise<unknown>;
  evalSha(sha1: string, call: ScriptCall): Promise<unknown>;
  dbSize(): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  flushDb(): Promise<unknown>;
}

/** The clients of one process. They count what is under way. */
class RedisOfProcess {
  readonly #commands: PackageClient;
  readonly #messages: PackageClient;
  readonly #channels = new Set<string>();
  /** Commands without an answer. */
  #waiting = 0;
  /** How many listeners Redis says were sent a message, and how many messages arrived here. */
  sent = 0;
  received = 0;
  onNews = (): void => undefined;

  constructor(open: () => PackageClient) {
    this.#commands = open();
    this.#messages = open();
  }

  async connect(): Promise<this> {
    await Promise.all([this.#commands.connect(), this.#messages.connect()]);
    return this;
  }

  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  readonly eval: PackageClient['eval'] = (...given) => this.#watch(this.#commands.eval(...given));
  readonly evalSha: PackageClient['evalSha'] = (...given) =>
    this.#watch(this.#commands.evalSha(...given));
  readonly dbSize: PackageClient['dbSize'] = () => this.#watch(this.#commands.dbSize());

  async publish(channel: string, message: string): Promise<unknown> {
    return this.#watch(this.#commands.publish(channel, message).then((listeners) => {
      this.sent += Number(listeners);
      return listeners;
    }));
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<unknown> {
    this.#channels.add(channel);
    return this.#messages.subscribe(channel, (message) => {
      this.received += 1;
      this.onNews();
      listener(message);
    });
  }

  /** Prepares for the next talk. */
  async clear(): Promise<void> {
    for (const channel of this.#channels) await this.#messages.unsubscribe(channel);
    this.#channels.clear();
    [this.sent, this.received] = [0, 0];
    await this.#commands.flushDb();
  }

  destroy(): void {
    this.#commands.destroy();
    this.#messages.destroy();
  }

  async #watch<T>(answer: Promise<T>): Promise<T> {
    this.#waiting += 1;
    this.onNews();
    try {
      return await answer;
    } finally {
      this.#waiting -= 1;
      this.onNews();
    }
  }
}

/** A server, and the clients of each process. One talk after another uses them. */
export class SharedRedis {
  readonly processes: readonly RedisOfProcess[];
  readonly #server: RedisServer;

  private constructor(server: RedisServer, processes: readonly RedisOfProcess[]) {
    this.#server = server;
    this.processes = processes;
  }

  static async start(program: RedisProgram, processes = 2): Promise<SharedRedis> {
    const missing = isMissing(program);
    if (missing !== false) throw new Error(missing);
    assert.ok(existsSync(join(PEERS, 'node_modules/redis')), 'npm ci in test/peers first');
    const require = createRequire(join(PEERS, 'package.json'));
    const { createClient } = require('redis') as {
      createClient: (options: { url: string }) => PackageClient;
    };
    const server = await RedisServer.start(program);
    const open = (): PackageClient => {
      const client = createClient({ url: server.url });
      client.on('error', () => undefined); // its command rejects
      return client;
    };
    const clients = Array.from({ length: processes }, () => new RedisOfProcess(open).connect());
    return new SharedRedis(server, await Promise.all(clients));
  }

  set onNews(onNews: () => void) {
    for (const process of this.processes) process.onNews = onNews;
  }

  /** Whether an answer or a message has yet to arrive. */
  get isBusy(): boolean {
    const sum = (count: (process: RedisOfProcess) => number): number =>
      this.processes.reduce((total, process) => total + count(process), 0);
    return (
      this.processes.some(({ isWaiting }) => isWaiting)
      || sum(({ received }) => received) < sum(({ sent }) => sent)
    );
  }

  /** Forgets all conversations and listeners. */
  async clear(): Promise<void> {
    for (const process of this.processes) await process.clear();
  }

  async stop(): Promise<void> {
    for (const process of this.processes) process.destroy();
    await this.#server.remove();
  }
}
