// The sections of `npm run bench`. Each measures the contestants, prints a table, and judges.
import { execFileSync } from 'node:child_process';
import { compareLoad, type Goal } from './compare-load.ts';
import { runRounds, withFlags, type Contestants } from './contestants.ts';
import { profileTurns } from './profile.ts';
import type { BenchSize, Compare, Comparison } from './section.ts';
import { LATER_AGENT } from './servers.ts';
import { measureStartup } from './startup.ts';
import { compareStores } from './stores.ts';
import { measureStreams } from './streams.ts';
import { CONNECTIONS, LONG_CONVERSATIONS, MEBIBYTE, printFigures } from './throughput-table.ts';
import { compareTraces } from './traces.ts';
import { judge } from './verdict.ts';
import { compareWires } from './wires.ts';

const STREAMS = 10_000;
/** Descriptors that a process needs besides those for its streams. */
const SPARE_DESCRIPTORS = 100;

/** A hundred conversations per connection, all still short when the window ends. */
const YOUNG = { connections: CONNECTIONS, conversations: 100, fill: 0 };

const compareYoung: Compare = ({ bare, server, quiet }, size) =>
  compareLoad({
    title: `Turns of young conversations: ${CONNECTIONS * 100} conversations,`,
    contestants: [bare, server, quiet, withFlags(server)],
    load: YOUNG,
    size,
    goals: [
      { figure: 'turns/s', when: 'with the defaults', of: server, limit: 0.8 },
      { figure: 'turns/s', when: 'with ACCESS_LOG=false', of: quiet, limit: 0.9 },
      { figure: 'CPU per turn', when: 'with ACCESS_LOG=false', of: quiet, limit: 1.1 },
    ],
  });

/** About 200 conversations with the maximum of 200 messages, so every turn removes the oldest. */
const compareFull: Compare = ({ bare, server, quiet, peers }, size) => {
  const conversations = CONNECTIONS * LONG_CONVERSATIONS.conversations;
  return compareLoad({
    title: `Turns of long conversations: ${conversations} of 200 messages each,`,
    contestants: [bare, server, quiet, ...peers, withFlags(server)],
    load: LONG_CONVERSATIONS,
    size,
    goals: [
      { figure: 'turns/s', when: 'with the defaults', of: server, limit: 0.9 },
      { figure: 'turns/s', when: 'with ACCESS_LOG=false', of: quiet, limit: 0.95 },
      { figure: 'CPU per turn', when: 'with ACCESS_LOG=false', of: quiet, limit: 1.05 },
      { figure: 'first event p99', when: 'with the defaults', of: server, limit: 1.2 },
      { figure: 'RSS', when: 'after the load', of: server, limit: 1.4 },
      ...peers.map((peer): Goal => {
        const when = `with the defaults, against ${peer.name}`;
        return { figure: 'turns/s', when, of: server, limit: 1, than: peer, against: peer.name };
      }),
    ],
  });
};

/** Young conversations, with a new connection for each turn, as from a proxy without keep-alive. */
const compareConnections: Compare = ({ bare, server, quiet, peers }, size) =>
  compareLoad({
    title: 'A new connection for each turn: at most',
    contestants: [bare, quiet, server, ...peers, withFlags(server)],
    load: { ...YOUNG, renewsConnections: true },
    size,
    goals: [
      { figure: 'turns/s', when: 'with ACCESS_LOG=false', of: quiet, limit: 0.8 },
      { figure: 'turns/s', when: 'with the defaults', of: server, limit: 0.8 },
    ],
  });

/** An agent that waits for a round of the event loop, as any agent that asks somebody else does. */
const compareLater: Compare = ({ bare, quiet }, size) => {
  const settings = { ...quiet.settings, AGENT: LATER_AGENT };
  const of = { ...quiet, name: 'the same, answering later', settings };
  const goal = { when: 'of an agent that answers later', of, than: quiet, against: 'at once' };
  return compareLoad({
    title: `An agent that answers later: ${CONNECTIONS * 10} conversations,`,
    contestants: [bare, quiet, of],
    load: { connections: CONNECTIONS, conversations: 10, fill: 5 },
    size,
    goals: [
      { ...goal, figure: 'turns/s', limit: 0.85 },
      { ...goal, figure: 'first event p99', limit: 1.5 },
    ],
  });
};

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
  printFigures(contestants, results, [
    { name: 'KiB/stream', digits: 2, figure: ({ bytesPerStream }) => bytesPerStream / 1024 },
    { name: 'MiB idle', digits: 1, figure: ({ idleBytes }) => idleBytes / MEBIBYTE },
    { name: 'MiB open', digits: 1, figure: ({ openBytes }) => openBytes / MEBIBYTE },
    { name: 'first event p99 ms', digits: 1, figure: ({ firstEventP99Ms }) => firstEventP99Ms },
  ]);
  const [bareWaits = [], serverWaits = []] = results.map((rounds) =>
    rounds.map(({ firstEventP99Ms }) => firstEventP99Ms),
  );
  const [bareBytes = [], serverBytes = [], agentBytes = []] = results.map((rounds) =>
    rounds.map(({ bytesPerStream }) => bytesPerStream),
  );
  return {
    raw: results,
    verdicts: [
      judge(
        { what: 'first event p99, opened in 4 s', limit: 360, kind: 'at most', unit: 'ms' },
        serverWaits,
        bareWaits,
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
  printFigures(contestants, results, [{ name: 'ms', digits: 0, figure: ({ startMs }) => startMs }]);
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
  printFigures(contestants, results, [
    { name: 'MiB', digits: 1, figure: ({ idleBytes = Number.NaN }) => idleBytes / MEBIBYTE },
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
