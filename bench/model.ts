// npm run bench:model -- [--quick]
// What an agent with a model adds to a plain generator that forwards the same deltas: the tool loop
// and the speech transform. A measurement, not a test: a missed target is printed, and only a
// failure to run ends with exit code 1.
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { measureAdded } from './model-added.ts';
import { formatSummary } from './stats.ts';

const FULL = { rounds: 9, turns: 400, deltas: 500 };
const QUICK = { rounds: 3, turns: 100, deltas: 200 };

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const size = values.quick ? QUICK : FULL;

console.log(
  `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, node ${process.version}, load average ${loadavg()
    .map((load) => load.toFixed(2))
    .join(' ')}`,
);
console.log(`
Two agents take turns on one fake model: a generator that yields its deltas unchanged, and a prompt with
three tools. Everything runs in this process, with the turn's record but without event stream and socket,
which both would share and which would hide the difference. First token: ${size.turns} turns of one delta
after 20 turns of history. Next tokens: 20 turns of ${size.deltas} deltas each, as prose and as Markdown.
Figures are differences of medians within a round, and their median (minimum–maximum) over
${size.rounds} rounds after one round of warm-up.
`);

const added = await measureAdded(size);
const results = [
  report(
    'first token, added',
    added.map((round) => round.firstTokenUs),
    1_000,
  ),
  report(
    'next token, added, plain prose',
    added.map((round) => round.nextTokenUs),
    50,
  ),
  report(
    'next token, added, Markdown',
    added.map((round) => round.nextMarkdownUs),
    50,
  ),
];
console.log(
  `\n${results.filter(Boolean).length} of ${results.length} targets met; load average now ${loadavg()[0]?.toFixed(2)}`,
);

function report(what: string, micros: readonly number[], limit: number): boolean {
  const sorted = [...micros].sort((a, b) => a - b);
  const isMet = (sorted[sorted.length >> 1] ?? Number.NaN) < limit;
  console.log(
    `  ${isMet ? 'ok    ' : 'missed'}  ${what}: ${formatSummary(micros, 2)} µs, target < ${limit.toLocaleString('en-US')} µs`,
  );
  return isMet;
}
