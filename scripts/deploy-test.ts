// npm run deploy-test -- [--calls N] [--turns N] [--only "what happens"] [--short] [--details]
// Runs many calls on two servers behind nginx with a real Redis. In the middle of the calls,
// something fails or is deployed. Prints the damage. Exits with 1 if there was more than is
// allowed: a rolling restart must lose nothing, and no failure may lose a caller's words. Then
// callers go on talking while payments are running, and nobody may be charged twice.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { percentile } from '../bench/stats.ts';
import { createLogger } from '../src/base/log.ts';
import { historyOf } from '../src/core/conversations/conversation.ts';
import { openStore } from '../src/core/conversations/stores/open-store.ts';
import { parseSettings } from '../src/server/settings/parse-settings.ts';
import { playCall, type SeenCall } from '../test/deploy/call.ts';
import { judge, wordsLost } from '../test/deploy/judge.ts';
import { Nginx, nginxIsMissing, SECRET, Servers } from '../test/deploy/machines.ts';
import { CuttingProxy } from '../test/fixtures/cutting-proxy.ts';
import { PEERS } from '../test/fixtures/pages.ts';
import { randomOf } from '../test/fixtures/random.ts';
import { isMissing, RedisServer } from '../test/fixtures/redis-server.ts';
import { DOUBLE_PAYMENT, tryDoublePayments } from './double-payment.ts';

/** The processes that a failure affects. */
interface Stage {
  readonly servers: Servers;
  readonly redis: RedisServer;
  /** Stands between the servers and Redis. With a replica, sentinels direct the servers instead. */
  readonly proxy: CuttingProxy;
}

interface Scenario {
  readonly name: string;
  /** Whether it is part of the short form. */
  readonly isShort?: boolean;
  /** What must not be lost. */
  readonly spares: 'everything' | 'words';
  readonly storeFails?: boolean;
  /** Processes of each server. Default: one. */
  readonly workers?: number;
  readonly hasReplica?: boolean;
  /** Replies last 9 s, and servers close their port at once. Calls have fewer turns. */
  readonly isSlow?: boolean;
  readonly fail: (stage: Stage) => Promise<void>;
}

const OUTAGE_MS = 3_000;

const SCENARIOS: readonly Scenario[] = [
  { name: 'nothing', isShort: true, spares: 'everything', fail: async () => undefined },
  { name: 'rolling restart', isShort: true, spares: 'everything', fail: restartAll },
  {
    name: 'rolling restart, replies of 9 s, no drain delay',
    isShort: true,
    spares: 'everything',
    isSlow: true,
    fail: restartAll,
  },
  {
    name: 'a server is killed (SIGKILL)',
    spares: 'words',
    isShort: true,
    async fail({ servers }) {
      await servers.kill(0);
      await sleep(1_000);
      await servers.start(0);
    },
  },
  {
    name: 'workers are killed (SIGKILL), one after another',
    spares: 'words',
    workers: 2,
    isShort: true,
    async fail({ servers }) {
      for (const index of [0, 1, 0] as const) {
        await servers.killWorker(index);
        await sleep(1_000);
      }
    },
  },
  {
    name: 'Redis is killed, and back after 1 s',
    spares: 'words',
    storeFails: true,
    isShort: true,
    async fail({ redis }) {
      await redis.kill();
      await sleep(1_000);
      await redis.start();
    },
  },
  {
    name: 'Redis is frozen for 3 s',
    spares: 'words',
    storeFails: true,
    async fail({ redis }) {
      redis.freeze();
      await sleep(OUTAGE_MS);
      redis.thaw();
    },
  },
  {
    name: 'Redis answers 200 ms late for 3 s',
    spares: 'words',
    storeFails: true,
    async fail({ proxy }) {
      proxy.delayMs = 200;
      await sleep(OUTAGE_MS);
      proxy.delayMs = 0;
    },
  },
  {
    name: 'Redis is full for 3 s',
    spares: 'words',
    storeFails: true,
    async fail({ redis }) {
      await redis.command('CONFIG', 'SET', 'maxmemory', '1');
      await sleep(OUTAGE_MS);
      await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  {
    name: 'Redis is cut off for 3 s',
    spares: 'words',
    storeFails: true,
    async fail({ proxy }) {
      proxy.isRefusing = true;
      proxy.cut();
      await sleep(OUTAGE_MS);
      proxy.isRefusing = false;
    },
  },
  {
    name: 'Redis fails over to a replica',
    spares: 'words',
    storeFails: true,
    hasReplica: true,
    fail: ({ redis }) => redis.kill(),
  },
];

async function restartAll({ servers }: Stage): Promise<void> {
  for (const index of [0, 1] as const) {
    await servers.stop(index);
    await servers.start(index);
  }
}

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '200' },
    turns: { type: 'string', default: '7' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    details: { type: 'boolean', default: false },
  },
});

/** All calls begin within this time. Then something fails in the middle of all of them. */
const BEGIN_MS = 2_500;
const FAILS_AFTER_MS = 4_000;
/** A turn that takes longer has failed. */
const PATIENCE_MS = 10_000;

/** A reply has eleven words. */
const SLOW: Readonly<Record<string, string>> = {
  WORD_MS: '820',
  DRAIN_DELAY_SECONDS: '0',
  SHUTDOWN_TIMEOUT_SECONDS: '20',
};
const SLOW_TURNS = 3;
const SLOW_PATIENCE_MS = 20_000;

/** The damage done in a scenario. */
interface Cost {
  readonly scenario: Scenario;
  readonly turns: number;
  readonly failures: readonly string[];
  readonly wordsLost: number;
  readonly lostMessages: readonly string[];
  readonly wrongReplies: readonly string[];
  readonly faults: readonly string[];
  readonly toolsTwice: readonly string[];
  readonly firstWordMs: number[];
}

/** These end the processes that a scenario has started, the last one first. */
const cleanups: (() => Promise<unknown> | void)[] = [];

async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => void cleanUp().finally(() => process.exit(130)));

async function run(scenario: Scenario): Promise<Cost> {
  try {
    const redis = await RedisServer.start('redis-server', ['--appendonly', 'yes']);
    cleanups.push(() => redis.remove());
    const proxy = await CuttingProxy.open(redis.port);
    cleanups.push(() => proxy.close());
    let storeUrl = `redis://127.0.0.1:${proxy.port}`;
    if (scenario.hasReplica === true) {
      const replicaof = ['--replicaof', `127.0.0.1 ${redis.port}`];
      const replica = await RedisServer.start('redis-server', replicaof);
      cleanups.push(() => replica.remove());
      const sentinel = await RedisServer.watch('redis-server', redis);
      cleanups.push(() => sentinel.remove());
      while (!(await sentinel.command('SENTINEL', 'REPLICAS', 'main')).includes(`${replica.port}`))
        await sleep(50);
      storeUrl = `redis+sentinel://127.0.0.1:${sentinel.port}/main`;
    }
    // Unless the store fails, a busy machine must not look like a failing store.
    const timeoutMs = scenario.storeFails === true ? undefined : 2_000;
    const environment = scenario.isSlow === true ? SLOW : {};
    const { workers } = scenario;
    const servers = await Servers.start(storeUrl, { timeoutMs, workers, environment });
    cleanups.push(() => servers.clear());
    const nginx = await Nginx.start(servers.ports);
    cleanups.push(() => nginx.stop());
    const failing = sleep(FAILS_AFTER_MS).then(() => scenario.fail({ servers, redis, proxy }));
    const talking = talk(`http://127.0.0.1:${nginx.port}`, scenario);
    const [calls] = await Promise.all([talking, failing]);
    await Promise.all([servers.stop(0), servers.stop(1)]); // this makes them write everything
    const doubled = [...servers.effects()].filter(([, count]) => count > 1).map(([key]) => key);
    return await costOf(scenario, calls, storeUrl, doubled);
  } finally {
    await cleanUp();
  }
}

async function talk(origin: string, { isSlow = false }: Scenario): Promise<SeenCall[]> {
  const turns = isSlow ? SLOW_TURNS : Number(values.turns);
  const patienceMs = isSlow ? SLOW_PATIENCE_MS : PATIENCE_MS;
  const calls = Number(values.calls);
  return Promise.all(
    Array.from({ length: calls }, async (_, number) => {
      await sleep((number / calls) * BEGIN_MS);
      const random = randomOf(Number(values.seed) * 10_000 + number);
      return playCall(origin, SECRET, { number, turns, random, patienceMs });
    }),
  );
}

async function costOf(
  scenario: Scenario,
  calls: readonly SeenCall[],
  storeUrl: string,
  doubled: readonly string[],
): Promise<Cost> {
  const settings = parseSettings({ CONVERSATION_STORE: storeUrl, STORE_TIMEOUT_MS: '5000' }, []);
  const log = createLogger({ level: 'warn', write: (lines) => process.stderr.write(lines) });
  const store = await openStore(settings, { log, directory: PEERS });
  const turns = calls.flatMap((call) => call.turns);
  const lostMessages: string[] = [];
  const wrongReplies: string[] = [];
  const faults: string[] = [];
  const toolsTwice = doubled.map((key) => `a tool acted twice for one key: ${key}`);
  try {
    for (const call of calls) {
      const conversation = await store.read(call.conversationId);
      const verdict = judge(call, conversation === undefined ? [] : historyOf(conversation));
      lostMessages.push(...verdict.lostMessages);
      wrongReplies.push(...verdict.wrongReplies);
      faults.push(...verdict.faults);
    }
  } finally {
    await store.close();
  }
  return {
    scenario,
    turns: turns.length,
    failures: turns.flatMap(({ turnId, end }) =>
      end.kind === 'failed' ? [`${turnId}: ${end.failure}`] : []),
    wordsLost: turns.reduce((sum, turn) => sum + wordsLost(turn), 0),
    lostMessages,
    wrongReplies,
    faults,
    toolsTwice,
    // Without welcomes, which are spoken before anything fails.
    firstWordMs: turns.flatMap(({ words, firstWordMs }) =>
      words === undefined ? [] : (firstWordMs ?? [])),
  };
}

function row(cost: Cost, calm: Cost | undefined): string {
  const figures = [0.5, 0.99].map((share) => {
    const ms = percentile(cost.firstWordMs, share);
    if (calm === undefined || calm === cost) return ms.toFixed(0);
    const added = Math.max(0, ms - percentile(calm.firstWordMs, share));
    return `+ ${added.toFixed(0)}`;
  });
  const cells = [
    cost.scenario.name, cost.turns, cost.failures.length, cost.wordsLost,
    cost.lostMessages.length, cost.wrongReplies.length + cost.faults.length,
    cost.toolsTwice.length, ...figures,
  ];
  return `| ${cells.join(' | ')} |`;
}

const missing = nginxIsMissing() ?? (isMissing('redis-server') || undefined);
if (missing !== undefined) throw new Error(missing);
const chosen = SCENARIOS.filter(
  ({ name, isShort }) =>
    (!values.short || isShort === true) &&
    (values.only === undefined || name.includes(values.only)),
);
if (chosen.length > 0) {
  console.log('| what happens | turns | failed turns | words not spoken | caller\'s words lost |'
    + ' faults in history | tools run twice | first word p50, ms | p99, ms |');
  console.log('|---|--:|--:|--:|--:|--:|--:|--:|--:|');
}
let calm: Cost | undefined;
for (const scenario of chosen) {
  const cost = await run(scenario);
  if (scenario.name === 'nothing') calm = cost;
  console.log(row(cost, calm));
  const { spares, workers } = scenario;
  const unanswered = cost.failures.filter((failure) => failure.includes('nothing for'));
  const wrong = [
    ...cost.lostMessages,
    // The server survives when its worker dies: each turn is answered or breaks off.
    ...(workers === undefined ? [] : unanswered),
    ...(spares === 'words' && !values.details
      ? []
      : [...cost.failures, ...cost.wrongReplies, ...cost.faults, ...cost.toolsTwice]),
  ];
  report(wrong);
}
if (values.only === undefined || DOUBLE_PAYMENT.includes(values.only))
  report(await tryDoublePayments());

function report(wrong: readonly string[]): void {
  for (const line of wrong) console.error(`  ${line}`);
  if (wrong.length > 0) process.exitCode = 1;
}
// Otherwise Node 20 sometimes spins for ever in its last loop, with nothing left to wait for.
process.exit();
