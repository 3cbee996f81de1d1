// npm run soak -- [--quick] [--turns 1000000] [--server <script>]
// Whether turns cost more, and the server holds more, after many conversations and turns. The exit
// code is 1 if something grows faster than it may. `--quick` uses smaller windows and leaves out
// the last section. Use fewer turns only to try that section out: at 200,000 the heap is still
// growing to its size, and the verdict is FAILED for a server that is flat at a million.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import {
  MAX_CONVERSATIONS,
  measureConversations,
  measureLengths,
  type GrowthSize,
  type TurnCosts,
} from './growth.ts';
import { formatLoad, MACHINE } from './machine.ts';
import { measureResident } from './resident.ts';
import { SERVER } from './servers.ts';
import { fitLine, growthPerTenfold, type Point } from './slope.ts';
import { formatSummary, median } from './stats.ts';
import { printTable } from './table.ts';

const FULL: GrowthSize = { rounds: 15, turns: 1_000, warmUp: 30_000 };
const QUICK: GrowthSize = { rounds: 7, turns: 500, warmUp: 10_000 };

/** How much a turn's CPU time may grow when there are ten times as many. */
const MAX_COST_PERCENT = 5;
/** How far the heap may be off a straight line below the limit, as a share of its growth. */
const MAX_BEND_PERCENT = 10;
/** What a conversation beyond the limit may add, as a share of what one below the limit takes. */
const MAX_BEYOND_PERCENT = 2;
const MAX_RESIDENT_PERCENT = 10;
/**
 * The young generation starts at its full size. By default V8 doubles it now and then. These steps
 * come to an end, but look like growth.
 */
const NODE_FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16'];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    turns: { type: 'string', default: '1000000' },
    server: { type: 'string', default: SERVER },
  },
});
const turns = Number(values.turns);
if (!Number.isInteger(turns) || turns < 1000)
  throw new Error(`--turns must be a whole number from 1000, got "${values.turns}"`);
const size = values.quick ? QUICK : FULL;
const server = { script: resolve(values.server), nodeFlags: NODE_FLAGS };
let isFlat = true;

console.log(
  `${MACHINE}, node ${process.version} ` +
    `${NODE_FLAGS.join(' ')}, load average ${formatLoad()}
CPU time of the server per turn, with one connection: windows of ${formatCount(size.turns)} turns, which alternate
within a round. Medians of ${size.rounds} rounds (least–greatest).`,
);

console.log('\nConversations: one server for each number; a conversation keeps one turn');
const { costs, held } = await measureConversations(server, size);
reportCosts('conversations seen', costs);

console.log('\nHeap held by conversations of one turn, after a full collection');
reportHeld(held);

console.log('\nLength: conversations of one server, which keep 200 messages at most');
reportCosts('turns of the conversation', await measureLengths(server, size));

if (!values.quick) {
  console.log(`\nResident memory over ${formatCount(turns)} turns of 100,000 conversations`);
  const { early, late } = await measureResident(server, turns);
  const growth = (late / early - 1) * 100;
  const medians = `${mebibytes(early)} MiB in the second quarter, ${mebibytes(late)} in the last`;
  judge(growth, MAX_RESIDENT_PERCENT, `${medians}, ${growth.toFixed(1)} % more`);
}

console.log(`\nload average now ${formatLoad()}`);
process.exitCode = isFlat ? 0 : 1;

function reportCosts(what: string, costs: TurnCosts): void {
  const counts = costs[0]?.map(({ x }) => x) ?? [];
  printTable([
    [what, 'µs of CPU per turn'],
    ...counts.map((count, index) => [
      formatCount(count),
      formatSummary(costs.map((points) => points[index]?.y ?? Number.NaN), 1),
    ]),
  ]);
  const growths = costs.map((points) => growthPerTenfold(points) * 100);
  const growth = `grows by ${formatSummary(growths, 1)} % per tenfold`;
  judge(median(growths), MAX_COST_PERCENT, growth);
}

function reportHeld(held: readonly Point[]): void {
  printTable([
    ['conversations seen', 'MiB'],
    ...held.map(({ x, y }) => [formatCount(x), mebibytes(y)]),
  ]);
  const below = held.filter(({ x }) => x <= MAX_CONVERSATIONS);
  const beyond = held.filter(({ x }) => x >= MAX_CONVERSATIONS);
  const { slope, intercept } = fitLine(below);
  const bends = below.map(({ x, y }) => Math.abs(y - intercept - slope * x));
  const bend = (Math.max(...bends) / (slope * MAX_CONVERSATIONS)) * 100;
  const each = `${slope.toFixed(0)} bytes per conversation`;
  judge(bend, MAX_BEND_PERCENT, `${each}, ${bend.toFixed(1)} % off a straight line`);
  const after = fitLine(beyond).slope;
  const share = (after / slope) * 100;
  const more = `${after.toFixed(1)} bytes per conversation beyond ${formatCount(MAX_CONVERSATIONS)}`;
  judge(share, MAX_BEYOND_PERCENT, `${more}, ${share.toFixed(1)} % of that`);
}

function judge(percent: number, limit: number, what: string): void {
  const isMet = percent <= limit;
  isFlat &&= isMet;
  console.log(`  ${isMet ? 'ok    ' : 'FAILED'}  ${what} (at most ${limit} %)`);
}

function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
