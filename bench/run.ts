// npm run bench -- [--quick] [--only throughput|streams|start|memory] [--json <file>] [--server <script>]
// The server against a bare node:http handler under the same load. A measurement, not a test: a missed target is printed,
// and only what failed to run ends with exit code 1. `--server bench/bare.mjs` shows the noise of the machine.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createContestants, runRounds } from './contestants.ts';
import { SERVER } from './servers.ts';
import { measureStartup } from './startup.ts';
import { formatSummary } from './stats.ts';
import { measureStreams } from './streams.ts';
import { printTable } from './table.ts';
import { measureThroughput } from './throughput.ts';
import { judge, type Verdict } from './verdict.ts';

const SECTIONS = ['throughput', 'streams', 'start', 'memory'] as const;
type Section = (typeof SECTIONS)[number];

const FULL = { rounds: 5, warmupSeconds: 2, seconds: 4, streamRounds: 3, starts: 11, idles: 5 };
const QUICK = { rounds: 2, warmupSeconds: 1, seconds: 2, streamRounds: 1, starts: 7, idles: 2 };

const STREAMS = 10_000;
/** Descriptors a process needs besides those of its streams. */
const SPARE_DESCRIPTORS = 100;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    server: { type: 'string', default: SERVER },
  },
});
if (values.only !== undefined && !SECTIONS.includes(values.only as Section)) {
  throw new Error(`--only must be one of ${SECTIONS.join(', ')}, got "${values.only}"`);
}

const size = values.quick ? QUICK : FULL;
const { bare, server, quiet } = createContestants(resolve(values.server));
const verdicts: Verdict[] = [];
const raw: Partial<Record<Section, unknown>> = {};
const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.version,
  loadAverage: loadavg().map((load) => Number(load.toFixed(2))),
};

console.log(`${machine.cpu}, ${machine.cores} cores, node ${machine.node}, load average ${machine.loadAverage.join(' ')}`);
console.log(`
The contestants run one at a time, each as a fresh process, in turn and for several rounds; figures are medians over the
rounds (least–greatest), ratios are taken within a round before their median is. The load is one other process on the same
machine: signed \`message\` events over keep-alive connections of 127.0.0.1, a new turn when the last has ended, a hundred
conversations a connection, every answer checked.`);

if (isWanted('throughput')) await compareThroughput();
if (isWanted('streams')) await compareStreams();
if (isWanted('start')) await compareStart();
if (isWanted('memory')) await compareMemory();

const missed = verdicts.filter((verdict) => !verdict.isMet);
console.log(`\n${verdicts.length - missed.length} of ${verdicts.length} targets met; load average now ${loadavg()[0]?.toFixed(2)}`);
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine, size, verdicts, raw }, null, 2)}\n`);
}

function isWanted(section: Section): boolean {
  return values.only === undefined || values.only === section;
}

async function compareThroughput(): Promise<void> {
  const connections = 64;
  const contestants = [bare, server, quiet];
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, { connections, warmupSeconds: size.warmupSeconds, seconds: size.seconds }),
  );
  raw.throughput = results;
  const rates = results.map((rounds) => rounds.map((result) => result.turnsPerSecond));
  const p99s = results.map((rounds) => rounds.map((result) => result.firstEventP99Ms));

  console.log(
    `\nThroughput: ${connections} connections, ${size.rounds} rounds of ${size.seconds} s after ${size.warmupSeconds} s of warm-up`,
  );
  printTable([
    ['', 'turns/s', 'first event p50 ms', 'p99 ms', 'server CPU µs/turn', 'load generator CPU'],
    ...contestants.map(({ name }, index) => {
      const rounds = results[index] ?? [];
      return [
        name,
        formatSummary(rates[index] ?? []),
        formatSummary(rounds.map((result) => result.firstEventP50Ms), 2),
        formatSummary(p99s[index] ?? [], 2),
        formatSummary(rounds.map((result) => result.serverCpuUsPerTurn), 1),
        formatSummary(rounds.map((result) => result.clientCpuShare), 2),
      ];
    }),
  ]);
  const [bareRates = [], serverRates = [], quietRates = []] = rates;
  const [bareP99s = [], serverP99s = [], quietP99s = []] = p99s;
  verdicts.push(
    judge({ what: 'turns/s with the defaults', limit: 0.8, kind: 'at least' }, serverRates, bareRates),
    judge({ what: 'turns/s with ACCESS_LOG=false', limit: 0.9, kind: 'at least' }, quietRates, bareRates),
    judge({ what: 'first event p99 with the defaults', limit: 1.25, kind: 'at most' }, serverP99s, bareP99s),
    judge({ what: 'first event p99 with ACCESS_LOG=false', limit: 1.25, kind: 'at most' }, quietP99s, bareP99s),
  );
}

async function compareStreams(): Promise<void> {
  const descriptors = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  const streams = descriptors === 'unlimited' ? STREAMS : Math.min(STREAMS, Number(descriptors) - SPARE_DESCRIPTORS);
  const contestants = [bare, server];
  const results = await runRounds(contestants, size.streamRounds, (contestant) => measureStreams(contestant, streams));
  raw.streams = results;

  console.log(`\nOpen streams: ${streams.toLocaleString('en-US')} at once, ${size.streamRounds} rounds, all ended as they should`);
  if (streams < STREAMS) console.log(`  fewer than ${STREAMS}, because \`ulimit -n\` is ${descriptors}`);
  printTable([
    ['', 'KiB/stream', 'MiB idle', 'MiB open', 'opened in s'],
    ...contestants.map(({ name }, index) => {
      const rounds = results[index] ?? [];
      return [
        name,
        formatSummary(rounds.map((result) => result.bytesPerStream / 1024), 2),
        formatSummary(rounds.map((result) => result.idleBytes / 2 ** 20), 1),
        formatSummary(rounds.map((result) => result.openBytes / 2 ** 20), 1),
        formatSummary(rounds.map((result) => result.openSeconds), 1),
      ];
    }),
  ]);
  const [bareBytes = [], serverBytes = []] = results.map((rounds) => rounds.map((result) => result.bytesPerStream));
  verdicts.push(judge({ what: 'memory a stream', limit: 1.3, kind: 'at most' }, serverBytes, bareBytes));
}

async function compareStart(): Promise<void> {
  const results = await runRounds([bare, server], size.starts, (contestant) => measureStartup(contestant, 0));
  raw.start = results;
  const [bareMs = [], serverMs = []] = results.map((rounds) => rounds.map((result) => result.startMs));

  console.log(`\nStart: from the spawn to the first 200 of /health, ${size.starts} starts each`);
  printTable([
    ['', 'ms'],
    [bare.name, formatSummary(bareMs)],
    [server.name, formatSummary(serverMs)],
  ]);
  verdicts.push(judge({ what: 'start', limit: 1.5, kind: 'at most' }, serverMs, bareMs));
}

async function compareMemory(): Promise<void> {
  const results = await runRounds([bare, server], size.idles, (contestant) => measureStartup(contestant, 2000));
  raw.memory = results;
  const [bareBytes = [], serverBytes = []] = results.map((rounds) => rounds.map((result) => result.idleBytes ?? Number.NaN));

  console.log(`\nMemory: resident after the start and 2 s of quiet, ${size.idles} starts each`);
  printTable([
    ['', 'MiB'],
    [bare.name, formatSummary(bareBytes.map((bytes) => bytes / 2 ** 20), 1)],
    [server.name, formatSummary(serverBytes.map((bytes) => bytes / 2 ** 20), 1)],
  ]);
  verdicts.push(judge({ what: 'idle memory', limit: 1.3, kind: 'at most' }, serverBytes, bareBytes));
}
