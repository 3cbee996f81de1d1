// What traces cost a turn, with OpenTelemetry's own SDK in the server's process.
import { execFileSync } from 'node:child_process';
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { newFolder } from '../test/fixtures/folder.ts';
import { codeBlocks, PEERS } from '../test/fixtures/pages.ts';
import { runRounds, type Contestant, type Contestants } from './contestants.ts';
import type { NodeBinary } from './node-binaries.ts';
import type { BenchSize, Comparison } from './section.ts';
import { formatSummary } from './stats.ts';
import {
  COLUMNS,
  CONNECTIONS,
  cpuOf,
  describeRounds,
  printFigures,
} from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { judge } from './verdict.ts';

const SPAN_COST = fileURLToPath(new URL('span-cost.ts', import.meta.url));
const PACKAGES = join(PEERS, 'node_modules');
const ALL = '@opentelemetry/auto-instrumentations-node/register';
/** Long conversations take a while to fill, and a trace costs the same in them. */
const SHORT_CONVERSATIONS = { connections: CONNECTIONS, conversations: 3, fill: 0 };
/** Eight set-ups take long, and differ by far more than the rounds do. */
const MOST_ROUNDS = 3;
/** Nothing is sent: a collector would take part of the machine. */
const UNSAMPLED = { OTEL_TRACES_SAMPLER: 'always_off' };
/** Every turn is recorded and sent to a port where nobody listens. */
const SAMPLED = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };

/** An SDK that samples nothing, without any instrumentations. */
const SDK = `
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
new NodeTracerProvider().register();
`;
/**
 * The same work for each request, but hidden from the server: the SDK is not there when it starts.
 */
const SDK_ALONE = `
import { subscribe } from 'node:diagnostics_channel';
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
const step = () => undefined;
let tracer;
subscribe('http.server.request.start', () => {
  if (tracer === undefined) {
    new NodeTracerProvider().register();
    tracer = trace.getTracer('alone');
  }
  const span = tracer.startSpan('turn', { attributes: { turn: 'turn' } }, ROOT_CONTEXT);
  context.with(trace.setSpan(ROOT_CONTEXT, span), step);
});
`;

interface SpanCost {
  readonly whole: number;
  /** The part of it spent in calls to the SDK. */
  readonly sdk: number;
}

/** The cost in µs of processor time, without a server around the span. */
function costOfSpan(node: NodeBinary, directory: string, rounds: number): readonly SpanCost[] {
  const argv = ['--import', import.meta.resolve('tsx'), SPAN_COST, String(rounds)];
  const output = execFileSync(node.path, argv, { cwd: directory, encoding: 'utf8' });
  return JSON.parse(output) as SpanCost[];
}

/** Compares the set-ups in docs/tracing.md. Needs `npm ci` in test/peers. */
export async function compareTraces(
  { bare, quiet }: Contestants, size: BenchSize,
): Promise<Comparison> {
  if (!existsSync(join(PACKAGES, '@opentelemetry/api'))) {
    console.log('\nTraces: not measured without npm ci in test/peers');
    return { raw: [], verdicts: [] };
  }
  const directory = newFolder();
  symlinkSync(PACKAGES, join(directory, 'node_modules'));
  const light = codeBlocks.find(({ file }) => file === 'tracing.mjs')?.text ?? '';
  for (const [file, text] of [['tracing', light], ['sdk', SDK], ['sdk-alone', SDK_ALONE]] as const)
    writeFileSync(join(directory, `${file}.mjs`), text);
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
    traced('SDK alone, unsampled', './sdk-alone.mjs', UNSAMPLED),
    traced('turns traced, unsampled', './sdk.mjs', UNSAMPLED),
    traced('lighter set-up, unsampled', './tracing.mjs', UNSAMPLED),
    traced('lighter set-up, all sampled', './tracing.mjs', SAMPLED),
    traced('all instrumentations, unsampled', ALL, UNSAMPLED),
    traced('all instrumentations, all sampled', ALL, SAMPLED),
  ];
  const rounds = Math.min(MOST_ROUNDS, size.rounds);
  const spans = costOfSpan(quiet.node, directory, rounds);
  const sdk = spans.map((cost) => cost.sdk);
  const target = {
    what: 'an unsampled span', limit: 5, kind: 'at most', unit: 'µs',
  } as const;
  const ofSdk = `calls of the SDK, which take ${formatSummary(sdk, 2)} µs,`;
  const verdict = judge(target, spans.map(({ whole }) => whole), sdk, ofSdk);
  const results = await runRounds(contestants, rounds, (contestant) =>
    measureThroughput(contestant, { ...SHORT_CONVERSATIONS, ...size }));
  console.log(`\nTraces: ${describeRounds({ ...size, rounds })}`);
  printFigures(contestants, results, COLUMNS);
  const [, without = [], alone = [], unsampled = []] = results.map(cpuOf);
  const atMost = { limit: 1.05, kind: 'at most' } as const;
  const verdicts = [
    verdict,
    judge({ what: 'CPU of a turn, unsampled', ...atMost }, unsampled, without, 'without SDK'),
    judge({ what: 'CPU of a turn, unsampled', ...atMost }, unsampled, alone, 'SDK alone'),
  ];
  return { raw: { results, spans }, verdicts };
}
