// What traces cost a turn, with OpenTelemetry's own SDK in the server's process.
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { codeBlocks, PEERS } from '../test/fixtures/pages.ts';
import { runRounds, type Contestant, type Contestants } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import {
  cpuOf, describeRounds, LONG_CONVERSATIONS, printThroughput,
} from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { judge } from './verdict.ts';

const PACKAGES = join(PEERS, 'node_modules');
const ALL = '@opentelemetry/auto-instrumentations-node/register';
/** Nothing is sent: a collector would take part of the machine. */
const UNSAMPLED = { OTEL_TRACES_SAMPLER: 'always_off' };
/** Every turn is recorded and sent to a port where nobody listens. */
const SAMPLED = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

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
  try {
    const results = await runRounds(contestants, size.rounds, (contestant) =>
      measureThroughput(contestant, { ...LONG_CONVERSATIONS, ...size }));
    console.log(`\nTraces: ${describeRounds(size)}`);
    printThroughput(contestants, results);
    const [, plain = [], unsampled = []] = results;
    const target = {
      what: 'CPU per turn with an unsampled span', limit: 5, kind: 'at most', unit: 'µs',
    } as const;
    const verdicts = [judge(target, cpuOf(unsampled), cpuOf(plain), 'without an SDK')];
    return { raw: results, verdicts };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
