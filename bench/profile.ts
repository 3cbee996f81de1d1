// Where a turn's time goes: CPU profiles of the bare handler and the server under the same load.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { originalFrame } from '../src/base/source-positions.ts';
import { newFolder } from '../test/fixtures/folder.ts';
import type { Contestant, Contestants } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import { printTable } from './table.ts';
import { LONG_CONVERSATIONS } from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';

const SAMPLE_EVERY_US = 200;
/** Parts below this many µs per turn with every contestant are added up into one. */
const SMALLEST_PART_US = 0.15;

/** The part of a `.cpuprofile` that is read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
  }[];
  /** The node that each sample saw. */
  readonly samples: readonly number[];
  /** µs before each sample. */
  readonly timeDeltas: readonly number[];
}

interface TurnProfile {
  readonly name: string;
  readonly usByPart: ReadonlyMap<string, number>;
  readonly totalUs: number;
}

/** How V8's profiler names time spent outside JavaScript. */
const NATIVE_PARTS: Readonly<Record<string, string>> = {
  '(garbage collector)': 'garbage collector',
  '(program)': 'reading, parsing and the event loop, in C++',
  writeUtf8String: 'write to the socket',
  writeLatin1String: 'write to the socket',
  writev: 'write to the socket',
  writeBuffer: 'write to the log',
};

/**
 * The load is that of the long conversations. Nothing is judged. Shares are those of the main
 * thread, scaled to the CPU of all threads.
 */
export async function profileTurns(
  { bare, quiet, server }: Contestants,
  size: BenchSize,
): Promise<Comparison> {
  const profiles: TurnProfile[] = [];
  for (const contestant of [bare, quiet, server]) profiles.push(await profile(contestant, size));
  const parts = [...new Set(profiles.flatMap(({ usByPart }) => [...usByPart.keys()]))];
  const rows = parts
    .map((part) => ({ part, us: profiles.map(({ usByPart }) => usByPart.get(part) ?? 0) }))
    .toSorted((one, other) => Math.max(...other.us) - Math.max(...one.us));
  const isSmall = ({ us }: (typeof rows)[number]): boolean => Math.max(...us) < SMALLEST_PART_US;
  const small = rows.filter(isSmall);
  const rest = profiles.map((_, index) => small.reduce((sum, { us }) => sum + (us[index] ?? 0), 0));

  console.log('\nWhere the time of a turn goes, in µs of CPU while the profiler slows it down');
  printTable([
    ['', ...profiles.map(({ name }) => name)],
    ...rows.filter((row) => !isSmall(row)).map(({ part, us }) => [part, ...us.map(inUs)]),
    [`${small.length} smaller parts`, ...rest.map(inUs)],
    ['all', ...profiles.map(({ totalUs }) => inUs(totalUs))],
  ]);
  return { raw: rows, verdicts: [] };
}

async function profile(contestant: Contestant, size: BenchSize): Promise<TurnProfile> {
  const folder = newFolder();
  const nodeFlags = [
    ...(contestant.nodeFlags ?? []),
    '--cpu-prof',
    `--cpu-prof-dir=${folder}`,
    `--cpu-prof-interval=${SAMPLE_EVERY_US}`,
  ];
  const { serverCpuUsPerTurn } = await measureThroughput(
    { ...contestant, nodeFlags },
    { ...LONG_CONVERSATIONS, ...size },
  );
  const [file] = readdirSync(folder);
  if (file === undefined) throw new Error(`${contestant.name} left no profile`);
  const usByPart = timeByPart(JSON.parse(readFileSync(join(folder, file), 'utf8')));
  const sum = [...usByPart.values()].reduce((all, us) => all + us, 0);
  for (const [part, us] of usByPart) usByPart.set(part, (us / sum) * serverCpuUsPerTurn);
  return { name: contestant.name, usByPart, totalUs: serverCpuUsPerTurn };
}

/** µs in which the processor was not idle during the profile, by part. */
function timeByPart({ nodes, samples, timeDeltas }: CpuProfile): Map<string, number> {
  const partOfNode = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame)]));
  const usByPart = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const part = partOfNode.get(id);
    if (part === undefined) continue;
    usByPart.set(part, (usByPart.get(part) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return usByPart;
}

/** Undefined while the processor was idle. */
function partOf(frame: CpuProfile['nodes'][number]['callFrame']): string | undefined {
  const { functionName, url, lineNumber, columnNumber } = frame;
  if (functionName === '(idle)') return undefined;
  if (url === '') return NATIVE_PARTS[functionName] ?? 'other functions in C++';
  if (url.startsWith('node:')) {
    return url.includes('/crypto/') ? "Node's crypto" : "the rest of Node's JavaScript";
  }
  const place = originalFrame(`at (${url}:${lineNumber + 1}:${columnNumber + 1})`);
  const [, folder] = /\((src\/\w+)/.exec(place) ?? [];
  return folder ?? 'the handler';
}

function inUs(us: number): string {
  return us.toFixed(1);
}
