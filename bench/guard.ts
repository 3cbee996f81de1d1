// npm run bench:guard [-- --write]
// Checks that a turn does not cost more than it used to: CPU per turn compared with a bare handler
// at the same time, the steadiest figure there is. Fails if even the best of three tries is 15 %
// above the ratio in guard-baseline.json. On a machine without a baseline it only warns. `--write`
// writes the highest of ten tries as this machine's baseline: the bare handler has fast and slow
// minutes, a fifth apart, which should not fail a build.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createContestants } from './contestants.ts';
import { MACHINE } from './machine.ts';
import { OWN_NODE } from './node-binaries.ts';
import { SERVER } from './servers.ts';
import { LONG_CONVERSATIONS } from './throughput-table.ts';
import { measureThroughput, type Throughput } from './throughput.ts';

const BASELINE = new URL('guard-baseline.json', import.meta.url);
const TRIES = 3;
const TRIES_TO_WRITE = 10;
const MAX_GROWTH = 1.15;

/** Ratios by machine and Node's major version. */
type Baseline = Readonly<Record<string, Readonly<Record<string, number>>>>;

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const [node = ''] = process.versions.node.split('.');
const baselines = JSON.parse(readFileSync(BASELINE, 'utf8')) as Baseline;
const { bare, server } = createContestants(SERVER, OWN_NODE, []);

function measure(contestant: typeof bare): Promise<Throughput> {
  return measureThroughput(contestant, {
    ...LONG_CONVERSATIONS,
    warmupSeconds: 1,
    seconds: 2,
  });
}

/**
 * Measures the bare handler before and after, to cancel out a machine that changes speed
 * meanwhile.
 */
async function ratio(): Promise<number> {
  const before = await measure(bare);
  const ours = await measure(server);
  const behind = await measure(bare);
  return (2 * ours.serverCpuUsPerTurn) / (before.serverCpuUsPerTurn + behind.serverCpuUsPerTurn);
}

if (values.write) {
  const ratios: number[] = [];
  while (ratios.length < TRIES_TO_WRITE) ratios.push(await ratio());
  const written = Number(Math.max(...ratios).toFixed(2));
  const all = { ...baselines, [MACHINE]: { ...baselines[MACHINE], [node]: written } };
  writeFileSync(BASELINE, `${JSON.stringify(all, undefined, 2)}\n`);
  console.log(`${MACHINE}, Node ${node}: ${written} × bare written`);
} else {
  const baseline = baselines[MACHINE]?.[node];
  const limit = (baseline ?? Number.NaN) * MAX_GROWTH;
  let best = Number.POSITIVE_INFINITY;
  for (let tried = 0; tried < TRIES && !(best <= limit); tried++) {
    best = Math.min(best, await ratio());
    console.log(`CPU per turn: ${best.toFixed(2)} × bare at best`);
    if (baseline === undefined) break;
  }
  if (baseline === undefined) {
    console.log(`No baseline for ${MACHINE}, Node ${node}: nothing to compare with.`);
    console.log('Write it on a quiet machine: npm run bench:guard -- --write');
  } else if (best > limit) {
    const grown = `it was ${baseline.toFixed(2)}, and may be ${limit.toFixed(2)}`;
    console.error(`A turn costs ${best.toFixed(2)} × bare; ${grown}.`);
    process.exitCode = 1;
  } else console.log(`Within ${limit.toFixed(2)}.`);
}
