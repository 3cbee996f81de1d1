// The sections of `npm run bench`: each measures the contestants, prints a table, and judges.
import { execFileSync } from 'node:child_process';
import { runRounds, withFlags, type Contestants } from './contestants.ts';
import { profileTurns } from './profile.ts';
import type { BenchSize, Compare, Comparison } from './section.ts';
import { LATER_AGENT } from './servers.ts';
import { measureStartup } from './startup.ts';
import { formatSummary } from './stats.ts';
import { compareStores } from './stores.ts';
import { measureStreams, type OpenStreams } from './streams.ts';
import { printTable } from './table.ts';
import {
  CONNECTIONS,
  cpuOf,
  describeRounds,
  LONG_CONVERSATIONS,
  MEBIBYTE,
  p99sOf,
  printThroughput,
  ratesOf,
  rssOf,
} from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { compareTraces } from './traces.ts';
import { judge } from './verdict.ts';
import { compareWires } from './wires.ts';

const STREAMS = 10_000;
/** Descriptors a process needs besides those of its streams. */
const SPARE_DESCRIPTORS = 100;

/** A hundred conversations per connection, which are still short when the window ends. */
async function compareYoung(
  { bare, server, quiet }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const contestants = [bare, server, quiet, withFlags(server)];
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, {
      connections: CONNECTIONS,
      conversations: 100,
      fill: 0,
      ...size,
    }),
  );
  console.log(
    `\nTurns of young conversations: ${CONNECTIONS * 100} conversations, ${describeRounds(size)}`,
  );
  printThroughput(contestants, results);
  const [bareRounds = [], serverRounds = [], quietRounds = []] = results;
  return {
    raw: results,
    verdicts: [
      judge(
        { what: 'turns/s with the defaults', limit: 0.8, kind: 'at least' },
        ratesOf(serverRounds),
        ratesOf(bareRounds),
      ),
      judge(
        { what: 'turns/s with ACCESS_LOG=false', limit: 0.9, kind: 'at least' },
        ratesOf(quietRounds),
        ratesOf(bareRounds),
      ),
      judge(
        { what: 'CPU per turn with ACCESS_LOG=false', limit: 1.1, kind: 'at most' },
        cpuOf(quietRounds),
        cpuOf(bareRounds),
      ),
    ],
  };
}

/** About 200 conversations with the maximum of 200 messages, so every turn removes the oldest. */
async function compareFull(
  { bare, server, quiet, peers }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const contestants = [bare, server, quiet, ...peers, withFlags(server)];
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, { ...LONG_CONVERSATIONS, ...size }),
  );
  console.log(
    `\nTurns of long conversations: ${CONNECTIONS * LONG_CONVERSATIONS.conversations} of 200 messages each, ${describeRounds(size)}`,
  );
  printThroughput(contestants, results);
  const [bareRounds = [], serverRounds = [], quietRounds = [], ...peerRounds] = results;
  const verdicts = [
    judge(
      { what: 'turns/s with the defaults', limit: 0.9, kind: 'at least' },
      ratesOf(serverRounds),
      ratesOf(bareRounds),
    ),
    judge(
      { what: 'turns/s with ACCESS_LOG=false', limit: 0.95, kind: 'at least' },
      ratesOf(quietRounds),
      ratesOf(bareRounds),
    ),
    judge(
      { what: 'CPU per turn with ACCESS_LOG=false', limit: 1.05, kind: 'at most' },
      cpuOf(quietRounds),
      cpuOf(bareRounds),
    ),
    judge(
      { what: 'first event p99 with the defaults', limit: 1.2, kind: 'at most' },
      p99sOf(serverRounds),
      p99sOf(bareRounds),
    ),
    judge(
      { what: 'RSS after the load', limit: 1.4, kind: 'at most' },
      rssOf(serverRounds),
      rssOf(bareRounds),
    ),
  ];
  for (const [index, { name }] of peers.entries()) {
    const rates = ratesOf(peerRounds[index] ?? []);
    verdicts.push(
      judge(
        { what: `turns/s with the defaults, against ${name}`, limit: 1, kind: 'at least' },
        ratesOf(serverRounds),
        rates,
        name,
      ),
    );
  }
  return { raw: results, verdicts };
}

/** Young conversations, with a new connection for each turn: a proxy without keep-alive. */
async function compareConnections(
  { bare, server, quiet, peers }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const contestants = [bare, quiet, server, ...peers, withFlags(server)];
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, {
      connections: CONNECTIONS,
      conversations: 100,
      fill: 0,
      renewsConnections: true,
      ...size,
    }),
  );
  console.log(`\nA new connection for each turn: at most ${describeRounds(size)}`);
  printThroughput(contestants, results);
  const [bareRounds = [], quietRounds = [], serverRounds = []] = results;
  return {
    raw: results,
    verdicts: [
      judge(
        { what: 'turns/s with ACCESS_LOG=false', limit: 0.8, kind: 'at least' },
        ratesOf(quietRounds),
        ratesOf(bareRounds),
      ),
      judge(
        { what: 'turns/s with the defaults', limit: 0.8, kind: 'at least' },
        ratesOf(serverRounds),
        ratesOf(bareRounds),
      ),
    ],
  };
}

/** An agent that waits for a round of the event loop, as any does that asks somebody else. */
async function compareLater(
  { bare, quiet }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const settings = { ...quiet.settings, AGENT: LATER_AGENT };
  const contestants = [bare, quiet, { ...quiet, name: 'the same, answering later', settings }];
  const results = await runRounds(contestants, size.rounds, (contestant) =>
    measureThroughput(contestant, {
      connections: CONNECTIONS,
      conversations: 10,
      fill: 5,
      ...size,
    }),
  );
  console.log(
    `\nAn agent that answers later: ${CONNECTIONS * 10} conversations, ${describeRounds(size)}`,
  );
  printThroughput(contestants, results);
  const [, atOnce = [], later = []] = results;
  return {
    raw: results,
    verdicts: [
      judge(
        { what: 'turns/s of an agent that answers later', limit: 0.85, kind: 'at least' },
        ratesOf(later),
        ratesOf(atOnce),
        'at once',
      ),
      judge(
        { what: 'first event p99 of an agent that answers later', limit: 1.5, kind: 'at most' },
        p99sOf(later),
        p99sOf(atOnce),
        'at once',
      ),
    ],
  };
}

function firstEventsOf(rounds: readonly OpenStreams[] = []): number[] {
  return rounds.map(({ firstEventP99Ms }) => firstEventP99Ms);
}

async function compareStreams(
  { bare, bareWithAgent, server }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const descriptors = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  const streams =
    descriptors === 'unlimited'
      ? STREAMS
      : Math.min(STREAMS, Number(descriptors) - SPARE_DESCRIPTORS);
  const contestants = [bare, server, bareWithAgent];
  const results = await runRounds(contestants, size.streamRounds, (contestant) =>
    measureStreams(contestant, streams),
  );

  console.log(
    `\nOpen streams: ${streams.toLocaleString('en-US')} at once, opened within four seconds, ${size.streamRounds} rounds, all ended well`,
  );
  if (streams < STREAMS)
    console.log(`  fewer than ${STREAMS}, because \`ulimit -n\` is ${descriptors}`);
  printTable([
    ['', 'KiB/stream', 'MiB idle', 'MiB open', 'first event p99 ms'],
    ...contestants.map(({ name }, index) => {
      const rounds = results[index] ?? [];
      return [
        name,
        formatSummary(
          rounds.map((result) => result.bytesPerStream / 1024),
          2,
        ),
        formatSummary(
          rounds.map((result) => result.idleBytes / MEBIBYTE),
          1,
        ),
        formatSummary(
          rounds.map((result) => result.openBytes / MEBIBYTE),
          1,
        ),
        formatSummary(firstEventsOf(rounds), 1),
      ];
    }),
  ]);
  const [bareBytes = [], serverBytes = [], agentBytes = []] = results.map((rounds) =>
    rounds.map((result) => result.bytesPerStream),
  );
  return {
    raw: results,
    verdicts: [
      judge(
        { what: 'first event p99, opened in 4 s', limit: 360, kind: 'at most', unit: 'ms' },
        firstEventsOf(results[1]),
        firstEventsOf(results[0]),
      ),
      judge(
        { what: 'memory of an open stream', limit: 1.15, kind: 'at most' },
        serverBytes,
        bareBytes,
      ),
      judge(
        {
          what: 'memory of an open stream, against the bare handler with the same agent',
          limit: 1.15,
          kind: 'at most',
        },
        serverBytes,
        agentBytes,
        'bare with the agent',
      ),
    ],
  };
}

/**
 * From Node 22 on, a plain import of `node:http` loads so much that the server must start even
 * sooner than the bare handler.
 */
async function compareStart(
  { bare, bareRequired, server }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const contestants = [bare, bareRequired, server];
  const results = await runRounds(contestants, size.starts, (contestant) =>
    measureStartup(contestant, 0),
  );
  const times = results.map((rounds) => rounds.map((result) => result.startMs));
  const [bareMs = [], bareRequiredMs = [], serverMs = []] = times;
  const limit = Number.parseInt(server.node.version, 10) >= 22 ? 1 : 1.3;

  console.log(`\nStart: from the spawn to the first 200 of /health, ${size.starts} starts each`);
  printTable([
    ['', 'ms'],
    ...contestants.map(({ name }, index) => [name, formatSummary(times[index] ?? [])]),
  ]);
  return {
    raw: results,
    verdicts: [
      judge({ what: 'start', limit, kind: 'at most' }, serverMs, bareMs),
      judge(
        { what: 'start, against bare by require', limit: 1.5, kind: 'at most' },
        serverMs,
        bareRequiredMs,
        'bare by require',
      ),
    ],
  };
}

async function compareMemory({ bare, server }: Contestants, size: BenchSize): Promise<Comparison> {
  const contestants = [bare, server];
  const results = await runRounds(contestants, size.idles, (contestant) =>
    measureStartup(contestant, 2000),
  );
  const bytes = results.map((rounds) => rounds.map((result) => result.idleBytes ?? Number.NaN));
  const [bareBytes = [], serverBytes = []] = bytes;

  console.log(`\nMemory: resident after the start and 2 s of quiet, ${size.idles} starts each`);
  printTable([
    ['', 'MiB'],
    ...contestants.map(({ name }, index) => [
      name,
      formatSummary(
        (bytes[index] ?? []).map((value) => value / MEBIBYTE),
        1,
      ),
    ]),
  ]);
  return {
    raw: results,
    verdicts: [judge({ what: 'idle memory', limit: 1.1, kind: 'at most' }, serverBytes, bareBytes)],
  };
}

export const COMPARISONS: Readonly<Record<string, Compare>> = {
  young: compareYoung,
  full: compareFull,
  profile: profileTurns,
  later: compareLater,
  streams: compareStreams,
  start: compareStart,
  memory: compareMemory,
  stores: compareStores,
  wires: compareWires,
  traces: compareTraces,
  connections: compareConnections,
};
