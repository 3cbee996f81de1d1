import { messageOf } from '../../../base/thrown-values.ts';
import type { RedisClient, RedisScriptCall, RedisSubscriber } from './redis-client.ts';
import type { RedisAddress, RedisTarget, RedisTlsFiles } from './redis-url.ts';
import { StoreError } from './store-error.ts';

/** The part of a client of the package `redis` that is used. */
interface PackageClient extends Pick<RedisSubscriber, 'subscribe'> {
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(command: string[]): Promise<unknown>;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** The part of the package `redis` that is used. */
export interface RedisPackage {
  createClient(options: object): PackageClient;
}

/** Certificates and keys in PEM format. */
export type RedisTls = { readonly [name in keyof RedisTlsFiles]?: Buffer };

/** A connection that does not answer for this long is given up. */
const DEAD_MS = 5_000;
/** How long connecting may take. What follows, such as logging in, has the rest of `DEAD_MS`. */
const CONNECT_MS = DEAD_MS / 2;
/** Pauses between attempts to connect. */
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;
/** Time between pings on a connection that only listens. */
const PING_MS = 2_000;
/** How many commands may wait for their answers. Beyond this new ones are refused. */
const MAX_WAITING = 10_000;

/**
 * A connection that is reopened whenever it is lost, each time with a new client and, with
 * sentinels, at the address that they name then. Commands never wait for a connection: without one
 * they fail at once.
 *
 * The clients of `redis` can reconnect by themselves, but always to the same address. And if the
 * other machine vanishes, they wait until the kernel gives up, which takes minutes: each write puts
 * off their `socketTimeout`.
 */
export class RedisConnection implements RedisClient, RedisSubscriber {
  readonly #target: RedisTarget;
  readonly #tls: RedisTls | undefined;
  readonly #package: RedisPackage;
  #client: PackageClient | undefined;
  /** The sentinels, or the one server. The sentinel that answered last comes first. */
  #addresses: readonly RedisAddress[];
  /** Why there is no connection. */
  #failure: Error | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** When the first command after the last answer was sent, by `performance.now()`. */
  #silentSince: number | undefined;
  /** Subscribes a new client. Undefined on a connection for commands. */
  #subscribe: ((client: PackageClient) => Promise<unknown>) | undefined;
  #pings: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(target: RedisTarget, tls: RedisTls | undefined, redis: RedisPackage) {
    this.#target = target;
    this.#tls = tls;
    this.#package = redis;
    this.#addresses = target.addresses;
  }

  // All of these are sent as plain commands: the client's own methods add two promises.

  eval(script: string, { keys, arguments: others }: RedisScriptCall): Promise<unknown> {
    return this.command(['EVAL', script, String(keys.length), ...keys, ...others]);
  }

  evalSha(sha1: string, { keys, arguments: others }: RedisScriptCall): Promise<unknown> {
    return this.command(['EVALSHA', sha1, String(keys.length), ...keys, ...others]);
  }

  dbSize(): Promise<unknown> {
    return this.command(['DBSIZE']);
  }

  publish(channel: string, message: string): Promise<unknown> {
    return this.command(['PUBLISH', channel, message]);
  }

  /** Call it once, before `connect()`. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    this.#subscribe = (client) => client.subscribe(channel, listener);
    this.watch();
  }

  /**
   * Sends pings, on a connection that only listens, or that waits for one answer before it sends
   * anything else. Otherwise it would not notice that the other machine is gone.
   */
  watch(): void {
    const ping = (): void =>
      void this.command(['PING']).catch(() => undefined);
    this.#pings ??= setInterval(ping, PING_MS).unref();
  }

  /** Rejects if the first attempt fails. Attempts go on nevertheless, until `close()`. */
  async connect(): Promise<void> {
    await this.#connect();
    if (this.#client === undefined) throw this.#offline();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#pings);
    this.#client?.destroy();
    this.#client = undefined;
  }

  /** The commands of one tick go out on one socket, in one write. */
  async command(command: string[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined) throw this.#offline();
    const now = performance.now();
    this.#silentSince ??= now;
    if (now - this.#silentSince > DEAD_MS) {
      this.#lose(client, new Error(`no answer in ${DEAD_MS} ms`));
      throw this.#offline();
    }
    try {
      const answer = await client.sendCommand(command);
      if (client === this.#client) this.#silentSince = undefined;
      return answer;
    } catch (error) {
      const failure = this.#withoutUser(error);
      if (client === this.#client && isAnswer(failure)) this.#silentSince = undefined;
      // Another server may be the writable one now: connect again.
      if (failure.message.startsWith('READONLY ')) this.#lose(client, failure);
      throw failure;
    }
  }

  #offline(): StoreError {
    const reason = this.#failure === undefined ? '' : `: ${this.#failure.message}`;
    return new StoreError(`there is no connection to Redis${reason}`, { cause: this.#failure });
  }

  /** Does nothing for a client that is no longer in use. */
  #lose(client: PackageClient, failure: Error): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#failure = failure;
    client.destroy();
    this.#connectLater();
  }

  #connectLater(): void {
    if (this.#isClosed) return;
    // Random, so that processes do not all connect at once.
    const ms = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => void this.#connect(), ms).unref();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  async #connect(): Promise<void> {
    const { sentinelName, username, password, database } = this.#target;
    try {
      const address =
        sentinelName === undefined ? this.#addresses[0] : await this.#askSentinels(sentinelName);
      const login = { username, password, database };
      const client = await this.#open(address, login, this.#subscribe);
      if (this.#isClosed) return client.destroy();
      this.#client = client;
      this.#silentSince = undefined;
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      this.#failure = this.#withoutUser(error);
      this.#connectLater();
    }
  }

  async #open(
    address: RedisAddress | undefined,
    options: object,
    prepare?: (client: PackageClient) => Promise<unknown>,
  ): Promise<PackageClient> {
    const client = this.#package.createClient({
      ...options,
      socket: {
        ...address,
        ...(this.#tls === undefined ? {} : { tls: true, ...this.#tls }),
        connectTimeout: CONNECT_MS,
        reconnectStrategy: false,
      },
      commandOptions: { timeout: 0 }, // covers unsent commands only, and costs each an AbortSignal
      commandsQueueMaxLength: MAX_WAITING,
      disableOfflineQueue: true,
      maintNotifications: 'disabled',
    });
    client.on('error', (error) => this.#lose(client, this.#withoutUser(error)));
    const tooLate = setTimeout(() => client.destroy(), DEAD_MS);
    try {
      await client.connect();
      await prepare?.(client);
    } catch (error) {
      client.destroy();
      throw error;
    } finally {
      clearTimeout(tooLate);
    }
    return client;
  }

  /** The address of the server that takes writes. */
  async #askSentinels(name: string): Promise<RedisAddress> {
    const failures: unknown[] = [];
    for (const sentinel of this.#addresses) {
      let answer: unknown;
      const ask = async (opened: PackageClient): Promise<void> => {
        answer = await opened.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]);
      };
      try {
        const client = await this.#open(sentinel, {}, ask);
        client.destroy();
        const address = addressIn(answer);
        this.#addresses = [sentinel, ...this.#addresses.filter((other) => other !== sentinel)];
        return address;
      } catch (error) {
        failures.push(error);
      }
    }
    throw new AggregateError(failures, 'no sentinel knows the address');
  }

  /** Servers name the user in a refusal. */
  #withoutUser(error: unknown): Error {
    if (!(error instanceof Error)) return new Error(messageOf(error));
    const named = `User ${this.#target.username ?? 'default'} `;
    if (!error.message.includes(named)) return error;
    return new Error(error.message.replace(named, 'The user '));
  }
}

/** Whether it is the server's answer, not a lost connection: `WRONGPASS invalid username…`. */
export function isAnswer({ message }: Error): boolean {
  return /^[A-Z]{2,} /.test(message);
}

function addressIn(answer: unknown): RedisAddress {
  const [host, port]: unknown[] = Array.isArray(answer) ? answer : [];
  if (typeof host !== 'string' || typeof port !== 'string')
    throw new Error('the sentinel knows no server of that name');
  return { host, port: Number(port) };
}
