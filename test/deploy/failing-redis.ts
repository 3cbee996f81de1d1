// A Redis that fails, with a replica or with its file on the disk: see scripts/payment-faults.ts.

import { setTimeout as sleep } from 'node:timers/promises';

import { CuttingProxy } from '../fixtures/cutting-proxy.ts';
import { RedisServer } from '../fixtures/redis-server.ts';

/** A moment at which the store has lost claims. */
export interface Loss {
  readonly atMs: number;
  readonly kind: 'flush' | 'epoch' | 'evict' | 'fail over';
  /** Which of the given conversations had no claim after that. Undefined: all of them. */
  readonly ids: ReadonlySet<string> | undefined;
}

/** Returns those of the conversations in its arguments that have no claim. */
const LACKING = `
local lacking = {}
for _, id in ipairs(ARGV) do
  local has = false
  for _, name in ipairs(redis.call('HKEYS', 'layercode:' .. id)) do
    if string.sub(name, 1, 5) == 'once-' then has = true end
  end
  if not has then table.insert(lacking, id) end
end
return table.concat(lacking, ' ')`;

/** A Redis with two clients. Each has its own way to it, which can be cut. */
export class FailingRedis {
  readonly losses: Loss[] = [];
  readonly ways: readonly CuttingProxy[];
  #primary: RedisServer;
  #replica: RedisServer | undefined;
  /** Stands between the primary and the replica. */
  readonly #link: CuttingProxy;

  private constructor(
    primary: RedisServer, ways: readonly CuttingProxy[], link: CuttingProxy,
    replica: RedisServer | undefined,
  ) {
    this.#primary = primary;
    this.ways = ways;
    this.#link = link;
    this.#replica = replica;
  }

  /** Resolves when claims are possible. */
  static async start(hasReplica: boolean): Promise<FailingRedis> {
    const more = hasReplica ? [] : ['--appendonly', 'yes'];
    const start = (): Promise<RedisServer> =>
      RedisServer.start('redis-server', ['--repl-diskless-sync-delay', '0', ...more]);
    const primary = await start();
    const open = (): Promise<CuttingProxy> => CuttingProxy.open(primary.port);
    const [first, second, link] = await Promise.all([open(), open(), open()]);
    const replica = hasReplica ? await start() : undefined;
    const redis = new FailingRedis(primary, [first, second], link, replica);
    if (replica !== undefined) await redis.#follow(replica);
    await primary.hasRunForLong();
    return redis;
  }

  async #follow(replica: RedisServer): Promise<void> {
    await replica.command('REPLICAOF', '127.0.0.1', String(this.#link.port));
    while (!(await replica.command('INFO', 'replication')).includes('link_status:up'))
      await sleep(50); // nothing tells when
  }

  async freeze(ms: number): Promise<void> {
    this.#primary.freeze();
    await sleep(ms);
    this.#primary.thaw();
  }

  async flush(): Promise<void> {
    this.losses.push({ atMs: Date.now(), kind: 'flush', ids: undefined });
    await this.#primary.command('FLUSHALL');
  }

  async loseEpoch(): Promise<void> {
    this.losses.push({ atMs: Date.now(), kind: 'epoch', ids: new Set() });
    await this.#primary.command('DEL', 'layercode:%0009epoch');
  }

  async evict(id: string): Promise<void> {
    this.losses.push({ atMs: Date.now(), kind: 'evict', ids: new Set([id]) });
    await this.#primary.command('DEL', `layercode:${id}`);
  }

  /** Restarts the server, which keeps its file. */
  async restart(ms: number): Promise<void> {
    await this.#primary.kill();
    await sleep(ms);
    await this.#primary.start();
  }

  /**
   * Fails over to the replica, which lacks what was written in the last `ms`. `recent`:
   * conversations.
   */
  async failOver(ms: number, recent: () => readonly string[]): Promise<void> {
    const [old, next] = [this.#primary, this.#replica];
    if (next === undefined) return this.restart(ms);
    const atMs = Date.now();
    this.#link.isSwallowing = true;
    await sleep(ms);
    await old.kill();
    await next.command('REPLICAOF', 'NO', 'ONE');
    const lacking = await next.command('EVAL', LACKING, '0', ...recent());
    this.losses.push({ atMs, kind: 'fail over', ids: new Set(lacking.split(' ')) });
    [this.#primary, this.#replica] = [next, old];
    this.#link.isSwallowing = false;
    for (const way of [...this.ways, this.#link]) {
      way.target = next.port;
      way.cut();
    }
    await old.start();
    await this.#follow(old);
  }

  async close(): Promise<void> {
    for (const way of [...this.ways, this.#link]) way.close();
    await this.#primary.remove();
    await this.#replica?.remove();
  }
}
