// What a durable store costs per turn, compared with the memory store.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { BenchSize, Comparison } from './comparisons.ts';
import { runRounds, type Contestant, type Contestants } from './contestants.ts';
import type { NodeBinary } from './node-binaries.ts';
import type { StoreTurnsResult } from './store-turns.ts';
import { printTable } from './table.ts';
import {
  CONNECTIONS,
  cpuOf,
  describeRounds,
  printThroughput,
  ratesOf,
} from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { judge } from './verdict.ts';

const STORE_TURNS = fileURLToPath(new URL('store-turns.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FIRST_WITH_SQLITE = 22;

/** Conversations of at most 200 messages, as in production. The log is off. */
export async function compareStores(
  { quiet }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const { node } = quiet;
  if (Number.parseInt(node.version, 10) < FIRST_WITH_SQLITE) {
    console.log(`\nStores: skipped, SQLite needs Node ${FIRST_WITH_SQLITE} (--nodes 24)`);
    return { raw: [], verdicts: [] };
  }
  const folder = mkdtempSync(join(tmpdir(), 'microserver-bench-stores-'));
  try {
    return await compareIn(folder, quiet, size);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compareIn(
  folder: string,
  quiet: Contestant,
  size: BenchSize,
): Promise<Comparison> {
  let files = 0;
  const stores = ['memory', 'sqlite'];
  const contestants = stores.map((name) => ({ ...quiet, name }));
  const results = await runRounds(contestants, size.rounds, (contestant) => {
    files += 1;
    const store = contestant.name === 'sqlite' ? `sqlite:${folder}/${files}.db` : 'memory';
    const settings = { ...contestant.settings, CONVERSATION_STORE: store };
    return measureThroughput(
      { ...contestant, settings },
      { connections: CONNECTIONS, conversations: 10, fill: 5, ...size },
    );
  });
  console.log(
    `\nStores: ${CONNECTIONS * 10} conversations, ${describeRounds(size)}, ACCESS_LOG=false`,
  );
  printThroughput(contestants, results);
  const turns = measureTurns(quiet.node, join(folder, 'turns.db'));
  printTable([
    ['', 'bytes of the first turn', 'of the 1,000th', 'longest block ms'],
    [
      'sqlite',
      ...[turns.firstBytes, turns.lastBytes].map((bytes) => bytes.toFixed(0)),
      turns.longestBlockMs.toFixed(1),
    ],
  ]);
  const [memory = [], sqlite = []] = results;
  const added = sqlite.map(({ serverCpuUsPerTurn }, round) =>
    serverCpuUsPerTurn - (cpuOf(memory)[round] ?? Number.NaN),
  );
  console.log(`  CPU that SQLite adds: ${added.map((us) => us.toFixed(0)).join(', ')} µs per turn`);
  const sqliteRate = { what: 'turns/s with SQLite', limit: 0.5, kind: 'at least' } as const;
  const flat = { what: "bytes of SQLite's 1,000th turn", limit: 1.1, kind: 'at most' } as const;
  return {
    raw: { results, turns },
    verdicts: [
      judge(sqliteRate, ratesOf(sqlite), ratesOf(memory), 'memory'),
      judge(flat, [turns.lastBytes], [turns.firstBytes], 'the first'),
    ],
  };
}

function measureTurns(node: NodeBinary, path: string): StoreTurnsResult {
  const flags = ['--import', 'tsx', STORE_TURNS, '--path', path];
  const line = execFileSync(node.path, flags, { cwd: ROOT, encoding: 'utf8' });
  return JSON.parse(line) as StoreTurnsResult;
}
