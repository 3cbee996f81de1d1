// What traces cost a turn, with OpenTelemetry's own SDK in the server's process.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { codeBlocks, PEERS } from '../test/fixtures/pages.ts';
import { runRounds, type Contestant, type Contestants } from './contestants.ts';
import type { NodeBinary } from './node-binaries.ts';
import type { BenchSize, Comparison } from './section.ts';
import { CONNECTIONS, describeRounds, printThroughput } from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { judge } from './verdict.ts';

const SPAN_COST = fileURLToPath(new URL('span-cost.ts', import.meta.url));
const PACKAGES = join(PEERS, 'node_modules');
const ALL = '@opentelemetry/auto-instrumentations-node/register';
/** Long ones take a while to fill, and cost a trace no more. */
const SHORT_CONVERSATIONS = { connections: CONNECTIONS, conversations: 3, fill: 0 };
/** Six set-ups take long, and differ by far more than the rounds do. */
const MOST_ROUNDS = 3;
/** Nothing is sent: a collector would take part of the machine. */
const UNSAMPLED = { OTEL_TRACES_SAMPLER: 'always_off' };
/** Every turn is recorded and sent to a port where nobody listens. */
const SAMPLED = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

/** In µs of processor time, without a server around it. */
function costOfSpan(node: NodeBinary, directory: string, rounds: number): readonly number[] {
  const argv = ['--import', import.meta.resolve('tsx'), SPAN_COST, String(rounds)];
  const output = execFileSync(node.path, argv, { cwd: directory, encoding: 'utf8' });
  return JSON.parse(output) as number[];
}

/** The set-ups of docs/tracing.md. Needs `npm ci` in test/peers. */
export async function compareTraces(
  { bare, quiet }: Contestants, size: BenchSize,
): Promise<Comparison> {
  if (!existsSync(join(PACKAGES, '@opentelemetry/api'))) {
    console.log('\nTraces: not measured without npm ci in test/peers');
    return { raw: [], verdicts: [] };
  }
  const directory = mkdtempSync(join(tmpdir(), 'microserver-bench-traces-'));
  symlinkSync(PACKAGES, join(directory, 'node_modules'));
  const light = codeBlocks.find(({ file }) => file === 'tracing.mjs')?.text ?? '';
  writeFileSync(join(directory, 'tracing.mjs'), light);
  const traced = (name: string, imported: string, settings: Contestant['settings']) => ({
    ...quiet,
    name,
    directory,
    nodeFlags: [...(quiet.nodeFlags ?? []), '--import', imported],
    settings: {
      ...quiet.settings, OTEL_METRICS_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none', ...settings,
    },
  });
  const contestants: readonly Contestant[] = [
    bare,
    quiet,
    traced('lighter set-up, unsampled', './tracing.mjs', UNSAMPLED),
    traced('lighter set-up, all sampled', './tracing.mjs', SAMPLED),
    traced('all instrumentations, unsampled', ALL, UNSAMPLED),
    traced('all instrumentations, all sampled', ALL, SAMPLED),
  ];
  const rounds = Math.min(MOST_ROUNDS, size.rounds);
  try {
    const own = costOfSpan(quiet.node, directory, rounds);
    const target = {
      what: 'our part of an unsampled span', limit: 5, kind: 'at most', unit: 'µs',
    } as const;
    const verdict = judge(target, own, own.map(() => 0), 'nothing');
    const results = await runRounds(contestants, rounds, (contestant) =>
      measureThroughput(contestant, { ...SHORT_CONVERSATIONS, ...size }));
    console.log(`\nTraces: ${describeRounds({ ...size, rounds })}`);
    printThroughput(contestants, results);
    return { raw: { results, own }, verdicts: [verdict] };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
