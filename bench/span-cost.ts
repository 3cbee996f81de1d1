// Prints what one turn's span costs when nobody samples it, and what the SDK's own calls for it
// cost, in µs of processor time, as JSON: one figure per round. Start `span-cost.ts <rounds>` in a
// folder that has the SDK.
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { createLogger } from '../src/base/log.ts';
import { loadOpenTelemetry } from '../src/server/observers/open-telemetry.ts';
import { SpanTracer } from '../src/server/observers/span-tracer.ts';

const TURNS = 100_000;
const CONVERSATIONS = 640;

interface Sdk {
  readonly AlwaysOffSampler: new () => object;
  readonly NodeTracerProvider: new (options: object) => { register(): void };
}

const require = createRequire(join(process.cwd(), 'package.json'));
const { AlwaysOffSampler, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node') as Sdk;
new NodeTracerProvider({ sampler: new AlwaysOffSampler() }).register();
const { context, propagation, trace } = loadOpenTelemetry();
const sdk = trace.getTracer('bench', '1');
const log = createLogger({ level: 'silent', write: () => undefined });
const tracer = new SpanTracer(loadOpenTelemetry(), log, () => undefined);
const headers = { host: 'localhost' };
const step = (): void => undefined;

/** Starts and ends spans as the engine does, for a turn without a model. */
function takeTurn(number: number): void {
  const follower = tracer.start(
    {
      conversationId: `conversation-${number % CONVERSATIONS}`,
      turnId: `turn-${number}`,
      wire: 'layercode',
      agent: 'echo',
    },
    headers,
  );
  follower?.note({ type: 'turnStarted', event: 'message' });
  follower?.run(step);
  follower?.note({ type: 'firstWord', afterMs: 1 });
  follower?.note({ type: 'turnEnded', outcome: 'completed' });
}

function callSdk(): void {
  const parent = propagation.extract(context.active(), headers);
  const span = sdk.startSpan('turn', { kind: 0, attributes: { turn: 'turn' } }, parent);
  context.with(trace.setSpan(parent, span), step);
}

function measure(turn: (number: number) => void): number {
  const before = process.cpuUsage();
  for (let number = 0; number < TURNS; number++) turn(number);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / TURNS;
}

for (const turn of [takeTurn, callSdk]) measure(turn); // until the compiler is done
const rounds = Array.from({ length: Number(process.argv[2]) }, () => ({
  whole: measure(takeTurn), sdk: measure(callSdk),
}));
console.log(JSON.stringify(rounds));
