// The load generator, in a process of its own: load.ts '{"port":8000,"streams":10000}'. Prints its
// result as one line of JSON, and other lines for its progress. Exits 1 if a turn fails.
import { runStreams, type StreamsLoad } from './load-streams.ts';
import { runTurns, type TurnsLoad } from './load-turns.ts';

const load = JSON.parse(process.argv[2] ?? '') as TurnsLoad | StreamsLoad;
const result = 'streams' in load
  ? await runStreams(load, (open) => print({ open }))
  : await runTurns(load, (turns) => print({ turns }));

for (const fault of result.faults) console.error(`load: ${fault}`);
print(result);
process.exitCode = result.failures > 0 ? 1 : 0;

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
