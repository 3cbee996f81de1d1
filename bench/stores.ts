// What a durable store costs a turn, compared with memory, and what a second worker brings.
import { execFileSync } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { newFolder } from '../test/fixtures/folder.ts';
import { PEERS } from '../test/fixtures/pages.ts';
import { isMissing, RedisServer } from '../test/fixtures/redis-server.ts';
import { runRounds, withFlags, type Contestant, type Contestants } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import { formatSummary, median } from './stats.ts';
import type { StoreTurnsResult } from './store-turns.ts';
import { printTable } from './table.ts';
import {
  COLUMNS,
  CONNECTIONS,
  cpuOf,
  describeRounds,
  p99sOf,
  printFigures,
  ratesOf,
} from './throughput-table.ts';
import { measureThroughput, type Throughput } from './throughput.ts';
import { judge, type Verdict } from './verdict.ts';

const STORE_TURNS = fileURLToPath(new URL('store-turns.ts', import.meta.url));
const FIRST_WITH_SQLITE = 22;
/** Conversations of each connection, and the turns that each of them has before the warm-up. */
const CONVERSATIONS = 10;
const FILL = 5;

interface Store {
  readonly name: 'memory' | 'SQLite' | 'Redis';
  /**
   * Called before each start of the server. Gives an empty store, and the process that serves it,
   * if any.
   */
  readonly begin: () => Promise<{ readonly url: string; readonly pid?: number }>;
}

interface StoreContestant extends Contestant {
  readonly store: Store;
  readonly workers: 1 | 2;
}

/** Compares with SQLite, and with Redis where it is installed. The log is off. */
export async function compareStores(
  { quiet }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const folder = newFolder();
  const packages = join(PEERS, 'node_modules');
  if (existsSync(packages)) symlinkSync(packages, join(folder, 'node_modules'));
  const redis = await startRedis(packages);
  const end = (): void => void redis?.kill();
  process.once('exit', end);
  try {
    const stores = openStores(folder, quiet, redis);
    return await compareThem(stores, { ...quiet, directory: folder }, size);
  } finally {
    process.off('exit', end);
    await redis?.remove();
  }
}

async function startRedis(packages: string): Promise<RedisServer | undefined> {
  const missing = existsSync(join(packages, 'redis'))
    ? isMissing('redis-server')
    : 'no package redis: npm ci in test/peers';
  if (missing === false) return RedisServer.start('redis-server');
  console.log(`\nRedis is left out: ${missing}`);
  return undefined;
}

function openStores(
  folder: string,
  { node }: Contestant,
  redis: RedisServer | undefined,
): readonly Store[] {
  const stores: Store[] = [{ name: 'memory', begin: async () => ({ url: 'memory' }) }];
  if (Number.parseInt(node.version, 10) >= FIRST_WITH_SQLITE) {
    let files = 0;
    const begin = async () => ({ url: `sqlite:${folder}/${(files += 1)}.db` });
    stores.push({ name: 'SQLite', begin });
  } else console.log(`\nSQLite is left out: it needs Node ${FIRST_WITH_SQLITE} (--nodes 24)`);
  if (redis !== undefined) {
    const begin = async () => {
      await redis.command('FLUSHALL');
      return { url: redis.url, pid: redis.pid };
    };
    stores.push({ name: 'Redis', begin });
  }
  return stores;
}

async function compareThem(
  stores: readonly Store[],
  quiet: Contestant,
  size: BenchSize,
): Promise<Comparison> {
  const contestants = stores.flatMap((store): StoreContestant[] => {
    const one = { ...quiet, name: store.name, store, workers: 1 } as const;
    // Workers need a store that they share.
    return store.name === 'memory'
      ? [one, withFlags(one)]
      : [one, { ...one, name: `${store.name}, 2 workers`, workers: 2 }, withFlags(one)];
  });
  const results = await runRounds(contestants, size.rounds, (it) => measure(it, size));
  const conversations = CONNECTIONS * CONVERSATIONS;
  const rounds = describeRounds(size);
  console.log(`\nStores: ${conversations} conversations, ${rounds}, ACCESS_LOG=false`);
  printFigures(contestants, results, [
    ...COLUMNS,
    { name: 'Redis CPU µs/turn', digits: 1, figure: ({ storeCpuUsPerTurn }) => storeCpuUsPerTurn },
  ]);
  describeCores(contestants, results);
  const turns = await measureTurns(stores, quiet);
  const of = (store: Store['name'], workers: 1 | 2 = 1): readonly Throughput[] =>
    results[contestants.findIndex((it) => it.store.name === store && it.workers === workers)] ?? [];
  const verdicts = stores.flatMap(({ name }) => {
    if (name === 'memory') return [];
    const first = [turns.get(name)?.firstBytes ?? Number.NaN];
    const last = [turns.get(name)?.lastBytes ?? Number.NaN];
    const what = `bytes of the 1,000th turn, ${name}`;
    return [
      ...(name === 'SQLite' ? judgeSqlite : judgeRedis)(of(name), of('memory')),
      judge({ what, limit: 1.1, kind: 'at most' }, last, first, 'the first'),
      ...judgeWorkers(name, of(name, 1), of(name, 2)),
    ];
  });
  return { raw: { results, turns: Object.fromEntries(turns) }, verdicts };
}

async function measure(contestant: StoreContestant, size: BenchSize): Promise<Throughput> {
  const { url, pid } = await contestant.store.begin();
  const settings = {
    ...contestant.settings,
    CONVERSATION_STORE: url,
    WORKERS: String(contestant.workers),
  };
  return measureThroughput(
    { ...contestant, settings },
    {
      connections: CONNECTIONS,
      conversations: CONVERSATIONS,
      fill: FILL,
      ...size,
      ...(pid === undefined ? {} : { storePid: pid }),
    },
  );
}

/** The same turns without a server around them. */
async function measureTurns(
  stores: readonly Store[],
  { node, directory }: Contestant,
): Promise<ReadonlyMap<Store['name'], StoreTurnsResult>> {
  const turns = new Map<Store['name'], StoreTurnsResult>();
  for (const { name, begin } of stores) {
    const { url } = await begin();
    const flags = ['--import', import.meta.resolve('tsx'), STORE_TURNS, '--store', url];
    const line = execFileSync(node.path, flags, { cwd: directory, encoding: 'utf8' });
    turns.set(name, JSON.parse(line) as StoreTurnsResult);
  }
  console.log('\n  Turns on the store alone, 64 at a time:');
  printTable([
    ['', 'bytes of the first turn', 'of the 1,000th', 'p99 ms', 'longest block ms'],
    ...[...turns].map(([name, { firstBytes, lastBytes, turnP99Ms, longestBlockMs }]) => [
      name,
      ...[firstBytes, lastBytes].map((bytes) => bytes.toFixed(0)),
      ...[turnP99Ms, longestBlockMs].map((ms) => ms.toFixed(1)),
    ]),
  ]);
  console.log('');
  return turns;
}

function judgeSqlite(rounds: readonly Throughput[], memory: readonly Throughput[]): Verdict[] {
  const rate = { what: 'turns/s, SQLite', limit: 0.5, kind: 'at least' } as const;
  return [judge(rate, ratesOf(rounds), ratesOf(memory), 'memory')];
}

function judgeRedis(rounds: readonly Throughput[], memory: readonly Throughput[]): Verdict[] {
  const cpu = { what: 'server CPU per turn, Redis', limit: 45, unit: 'µs' } as const;
  const p99 = { what: 'first event p99, Redis', limit: 2, unit: 'ms' } as const;
  return [
    judge({ ...cpu, kind: 'at most' }, cpuOf(rounds), cpuOf(memory), 'memory'),
    judge({ ...p99, kind: 'at most' }, p99sOf(rounds), p99sOf(memory), 'memory'),
  ];
}

/**
 * How many turns two workers complete, compared with one, if each has a core of its own. On a
 * machine with two cores, which they share with the load generator and Redis, turns per second of
 * processor time (over all the server's processes) say more about that than turns per second. They
 * leave out time in which the workers only wait, as for SQLite's lock: the idle cores show that
 * time.
 */
function judgeWorkers(
  name: Exclude<Store['name'], 'memory'>,
  one: readonly Throughput[],
  two: readonly Throughput[],
): Verdict[] {
  const perCore = (rounds: readonly Throughput[]): number[] => cpuOf(rounds).map((us) => 1e6 / us);
  const both = perCore(two).map((turns) => 2 * turns);
  if (name === 'Redis') {
    const target = { what: `2 × ${PER_CORE}, 2 workers, Redis`, limit: 1.7 };
    return [judge({ ...target, kind: 'at least' }, both, perCore(one), 'one worker')];
  }
  // No target: SQLite has one lock for writing, whoever holds it.
  const ratios = both.map((turns, round) => turns / (perCore(one)[round] ?? Number.NaN));
  console.log(
    `          2 × ${PER_CORE}, 2 workers, ${name}: ${formatSummary(ratios, 2)} × one worker`,
  );
  return [];
}

const PER_CORE = 'turns per second of server CPU';

/** How many cores each process kept busy. */
function describeCores(contestants: readonly Contestant[], results: readonly Throughput[][]): void {
  for (const [index, { name }] of contestants.entries()) {
    const rounds = results[index] ?? [];
    const shares = [
      rounds.map((it) => (it.turnsPerSecond * it.serverCpuUsPerTurn) / 1e6),
      rounds.map(({ clientCpuShare }) => clientCpuShare),
      rounds.map((it) => (it.turnsPerSecond * it.storeCpuUsPerTurn) / 1e6),
    ].map(median);
    const idle = availableParallelism() - shares.reduce((sum, share) => sum + share, 0);
    const [server, load, redis, rest] = [...shares, idle].map((share) => share.toFixed(2));
    const others = `load generator ${load}, Redis ${redis}, idle or busy elsewhere ${rest}`;
    console.log(`  cores, ${name}: server ${server}, ${others}`);
  }
}
