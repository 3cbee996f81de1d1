// npm run bench:scale -- [--measure] [--turns-per-minute 6] [--cores 4] …
// How many machines a number of simultaneous calls needs, what a million turns cost, what runs out
// first, and how long callers wait on a busy machine. Every input is printed and is an option.
// `--measure` measures what a turn costs on this machine instead of using the figures below; it
// needs redis-server, and `npm ci` in test/peers.
import { parseArgs } from 'node:util';

import { limitsOfOne, plan, type Assumptions, type Inputs, type Plan } from './scale-model.ts';
import { waitsIn } from './scale-queue.ts';

/** From `npm run bench:scale -- --measure`, Node 20, on two busy cores of an AMD EPYC. */
const INPUTS = {
  serverCpuUsPerTurn: [4_000, 'µs of CPU of a server per turn: 60 tokens of a model, Redis'],
  bytesPerOpenTurn: [72_000, 'bytes of memory per open turn'],
  callerBytesPerTurn: [7_100, 'bytes between caller and server per turn'],
  modelBytesPerTurn: [26_000, 'bytes between server and model per turn'],
  redisCpuUsPerTurn: [65, 'µs of CPU of Redis per turn'],
  redisBytesPerTurn: [740, 'bytes of memory of Redis per turn that it keeps'],
  redisWireBytesPerTurn: [1_400, 'bytes between server and Redis per turn'],
  redisCpuUsPerMessage: [1.1, 'µs of CPU of Redis per message between processes'],
} satisfies Figures<Inputs>;

const ASSUMPTIONS = {
  turnsPerMinute: [6, 'turns per call and minute'],
  turnSeconds: [4, 'seconds that a turn is open'],
  callMinutes: [5, 'minutes per call'],
  ttlSeconds: [3_600, '`CONVERSATION_TTL_SECONDS`'],
  messagesPerTurn: [0.2, 'messages between processes per turn: interruptions, second deliveries'],
  utilisation: [0.5, 'share of everything that is planned for; the rest is for bursts'],
  cores: [4, 'cores of a server (`WORKERS=auto`)'],
  memoryGib: [8, 'GiB of memory of a server'],
  networkGbits: [1, 'Gbit/s of a server, and of a shard'],
  pricePerHour: [0.2, 'price of a server per hour'],
  maxStreams: [10_000, '`MAX_STREAMS` of a server'],
  descriptors: [65_536, 'file descriptors of a server (`LimitNOFILE`)'],
  redisMemoryGib: [8, 'GiB of memory of a shard of Redis'],
  redisClients: [10_000, '`maxclients` of Redis'],
  redisReplicas: [1, 'replicas of a shard'],
  redisPricePerHour: [0.2, 'price of a shard, and of a replica, per hour'],
  balancerStreams: [50_000, 'turns that a balancer can hold open'],
  balancerGbits: [10, 'Gbit/s of a balancer'],
} satisfies Figures<Assumptions>;

type Figures<T> = Readonly<Record<keyof T, readonly [value: number, meaning: string]>>;

const CALLS = [1e3, 1e4, 1e5, 1e6, 1e7];
const BUSY = [0.3, 0.5, 0.7, 0.9];
const BURSTS = [2, 3];
const BURST_SECONDS = 3;
const TOKENS = 60;

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const { values } = parseArgs({
  options: {
    measure: { type: 'boolean', default: false },
    ...Object.fromEntries(
      Object.keys({ ...INPUTS, ...ASSUMPTIONS }).map((name) => [
        flagOf(name),
        { type: 'string' as const },
      ]),
    ),
  },
});

const options: Readonly<Record<string, string | boolean | undefined>> = values;

/** The figures, replaced by those that were given as options. */
function chosen<T extends string>(
  figures: Readonly<Record<T, readonly [number, string]>>,
): Record<T, number> {
  const entries = Object.entries<readonly [number, string]>(figures).map(([name, [fallback]]) => {
    const given = options[flagOf(name)];
    const value = given === undefined ? fallback : Number(given);
    if (Number.isFinite(value) && value >= 0) return [name, value];
    throw new RangeError(`--${flagOf(name)} must be a number of at least 0, got "${given}"`);
  });
  return Object.fromEntries(entries) as Record<T, number>;
}

function list(
  title: string,
  figures: Readonly<Record<string, number>>,
  texts: Readonly<Record<string, readonly [number, string]>>,
): void {
  console.log(`${title}:`);
  for (const [name, [, meaning]] of Object.entries(texts))
    console.log(`  --${flagOf(name)} ${Number(figures[name]?.toPrecision(5))}: ${meaning}`);
}

function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** Two digits, because more would suggest precision that is not there. */
function about(value: number): string {
  return count(Number(value.toPrecision(2)));
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const [, ...others] = head;
  console.log([line(head), `|---${others.map(() => '|--:').join('')}|`, ...rows.map(line)].join('\n'));
}

function rowOf(planned: Plan): string[] {
  const { calls, turnsPerSecond, openTurns, servers, balancers, shards, cells } = planned;
  const cost = planned.costPerMillionTurns;
  const next = limits.find((limit) => limit.calls > calls);
  return [
    count(calls), count(turnsPerSecond), count(openTurns), count(servers), count(balancers),
    count(shards), count(cells), cost.toFixed(2),
    next === undefined ? '–' : `${next.what}, at ${about(next.calls)}`,
  ];
}

const fromOptions = chosen(INPUTS); // checks the options, even if everything is measured
const assumptions = chosen(ASSUMPTIONS);
const inputs = values.measure
  ? await (await import('./scale-inputs.ts')).measureInputs()
  : fromOptions;
const limits = limitsOfOne(inputs, assumptions);
list(values.measure ? 'Measured now' : 'Measured', { ...inputs }, INPUTS);
list('Assumed', assumptions, ASSUMPTIONS);
console.log();
table(
  ['calls at once', 'turns/s', 'open turns', 'servers', 'balancers', 'shards of Redis',
    'installations', 'price of a million turns', 'what runs out next'],
  CALLS.map((calls) => rowOf(plan(calls, inputs, assumptions))),
);
console.log();
table(
  ['one server, balancer or shard', 'can carry, in calls'],
  limits.map(({ what, calls }) => [what, about(calls)]),
);
console.log();
table(
  [
    'a process works', 'waits, p99, ms',
    ...BURSTS.map((factor) => `× ${factor} for ${BURST_SECONDS} s of each minute: p99, ms`),
  ],
  BUSY.map((utilisation) => [
    `${utilisation * 100} % of its time`,
    ...[1, ...BURSTS].map((factor) => {
      const burst = { seconds: BURST_SECONDS, factor };
      const { serverCpuUsPerTurn: cpuUsPerTurn } = inputs;
      const { turnSeconds } = assumptions;
      const crowd = { utilisation, burst, cpuUsPerTurn, pieces: TOKENS, turnSeconds };
      return waitsIn({ ...crowd, minutes: 1, seed: 1 }).p99Ms.toFixed(1);
    }),
  ]),
);
