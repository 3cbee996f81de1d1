// npm run eval:defects: breaks agents on purpose, and says which scenarios notice. See
// test/kit/eval/defects/README.md

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { ScenarioFailure, ScenarioResult } from '../src/kit/eval/result.ts';
import { randomOf } from '../test/fixtures/random.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'test/kit/eval/defects');
const EVALS = 'examples/evals';
/** What a copy needs to run from its sources. */
const COPIED = ['src', 'assets', 'examples', 'package.json', 'tsconfig.json'];
/** The share of all defects that a check on behaviour must catch. */
const MIN_CAUGHT = 0.6;
/** How many defects are played unless all are asked for: about a minute's worth. */
const SAMPLE = 16;
/** More at once would be too slow for the times that scenarios measure. */
const AT_ONCE = 2;
/** How scenarios name the agents that are not built in. */
const PATHS: Readonly<Record<string, readonly string[]>> = {
  cashier: ['../cashier.ts', './till.ts'],
  corner_shop: ['../../assets/templates/agent.ts'],
};

interface Patch {
  readonly path: string;
  readonly agent: string;
  readonly meaning: string;
  /** `harmless`, or when the defect was written. */
  readonly series: string;
}

interface Report {
  readonly scenarios: readonly { readonly runs: readonly ScenarioResult[] }[];
  readonly unplayable?: readonly {
    readonly file: string; readonly problems: readonly string[]; readonly isSkipped: boolean;
  }[];
}

/** What failed in the copy: a check on behaviour, and anything else that shows a change. */
interface Outcome {
  readonly caughtBy: string | undefined;
  readonly noticedBy: string | undefined;
}

function readPatch(path: string): Patch {
  const patch = readFileSync(path, 'utf8');
  const field = (name: string): string => {
    const value = new RegExp(`^(?:${name}): (.+)$`, 'm').exec(patch)?.[1];
    if (value === undefined) throw new Error(`${path} has no line "${name}: …"`);
    return value.trim();
  };
  const series = field('Series');
  return { path, agent: field('Agent'), meaning: field('Defect|Harmless'), series };
}

/** The scenarios that name the agent, or one of its modes, and need no process of their own. */
function scenariosOf(agent: string): readonly string[] {
  const isOf = (named = ''): boolean =>
    PATHS[agent]?.includes(named) ?? (named === agent || named.startsWith(`${agent}:`));
  const files = readdirSync(join(ROOT, EVALS))
    .filter((name) => name.endsWith('.txt'))
    .map((name) => join(EVALS, name))
    .filter((file) => {
      const scenario = readFileSync(join(ROOT, file), 'utf8');
      const [, named] = /^agent (\S+)/m.exec(scenario) ?? [];
      return isOf(named) && !/^(kill|elsewhere|store)\b/m.test(scenario);
    });
  if (files.length === 0) throw new Error(`no scenario is played to the agent ${agent}`);
  return files;
}

/** Plays scenarios in a copy of the sources. */
async function evaluate(
  directory: string, files: readonly string[], runs: number,
): Promise<Report> {
  const argv = ['--import', 'tsx', 'src/cli.ts', 'eval', '--json', '--runs', String(runs)];
  const child = spawn(process.execPath, [...argv, ...files], {
    cwd: directory, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] =
    await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (stdout !== '') return JSON.parse(stdout) as Report;
  const [file = ''] = files;
  return { scenarios: [], unplayable: [{ file, problems: [stderr.trim()], isSkipped: false }] };
}

async function play(patch: Patch): Promise<Outcome> {
  const copy = mkdtempSync(join(tmpdir(), 'eval-defect-'));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const applied = spawnSync('git', ['apply', '--recount', '--whitespace=nowarn', patch.path], {
      cwd: copy, encoding: 'utf8', env: { ...process.env, GIT_CEILING_DIRECTORIES: tmpdir() },
    });
    if (applied.status !== 0) throw new Error(`${patch.path}: ${applied.stderr.trim()}`);
    return outcomeOf(await evaluate(copy, scenariosOf(patch.agent), 1));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function outcomeOf({ scenarios, unplayable = [] }: Report): Outcome {
  const results = scenarios.flatMap(({ runs }) => runs);
  const first = (kinds: readonly ScenarioFailure['kind'][]): string | undefined => {
    for (const { name, failures } of results) {
      const failure = failures.find(({ kind }) => kinds.includes(kind));
      if (failure !== undefined)
        return `${name}, line ${failure.lineNumber}: ${failure.written.slice(0, 120)}`;
    }
    return undefined;
  };
  const [lost] = unplayable;
  const broken = lost && `${lost.file} cannot be played: ${lost.problems[0]}`;
  return {
    caughtBy: first(['expectation']),
    noticedBy: first(['request']) ?? broken ?? first(['course']),
  };
}

/** Plays the agents without defects, which must not raise an alarm. Returns the number that did. */
async function playSound(runs: number): Promise<number> {
  const { scenarios, unplayable: all = [] } = await evaluate(ROOT, [EVALS], runs);
  const unplayable = all.filter(({ isSkipped }) => !isSkipped);
  const results = scenarios.flatMap((scenario) => scenario.runs);
  const alarms = results.filter(({ outcome }) => outcome !== 'passed');
  for (const { name, failures: [failure] } of alarms)
    console.log(`false alarm: ${name}, line ${failure?.lineNumber}: ${failure?.reasons.join('; ')}`);
  for (const { file, problems } of unplayable) console.log(`${file}: ${problems.join('; ')}`);
  console.log(`${results.length} runs of the sound agents, ${alarms.length} false alarms.`);
  return alarms.length + unplayable.length;
}

/** A list in the order that a seed gives. */
function shuffled<T>(list: readonly T[], seed: number): readonly T[] {
  const random = randomOf(seed);
  return list.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

const { values, positionals } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' }, all: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
  allowPositionals: true,
});
const files = positionals.length > 0
  ? positionals.map((path) => resolve(path))
  : readdirSync(FOLDER).filter((name) => name.endsWith('.patch')).sort()
      .map((name) => join(FOLDER, name));
const isSample = !values.all && positionals.length === 0;
const patches = isSample
  ? shuffled(files, Number(values.seed)).slice(0, SAMPLE).map(readPatch) : files.map(readPatch);
if (isSample) console.log(`${SAMPLE} of ${files.length} patches, with --seed ${values.seed}`);

const played: (Patch & Outcome)[] = [];
const waiting = [...patches];
const work = async (): Promise<void> => {
  for (let patch = waiting.shift(); patch !== undefined; patch = waiting.shift()) {
    const outcome = await play(patch);
    played.push({ ...patch, ...outcome });
    const { caughtBy, noticedBy } = outcome;
    const mark = caughtBy !== undefined ? 'caught' : noticedBy !== undefined ? 'noticed' : '–';
    console.log(`${mark.padEnd(8)}${patch.series}  ${patch.agent}: ${patch.meaning}`);
    for (const by of [caughtBy, noticedBy]) if (by !== undefined) console.log(`           ${by}`);
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, work));

const share = (list: readonly Outcome[], isSo: (one: Outcome) => boolean): string =>
  `${list.filter(isSo).length} of ${list.length}`;
for (const series of [...new Set(played.map((one) => one.series))].sort()) {
  const list = played.filter((one) => one.series === series);
  const either = share(list, (one) => one.caughtBy !== undefined || one.noticedBy !== undefined);
  const caught = share(list, ({ caughtBy }) => caughtBy !== undefined);
  const noticed = share(list, ({ noticedBy }) => noticedBy !== undefined);
  console.log(
    `series ${series}: ${caught} caught by a check on behaviour, ${noticed} noticed by the golden `
    + `file or as the call cannot go on; ${either} by either.`,
  );
}
const defects = played.filter(({ series }) => series !== 'harmless');
const caught = defects.filter(({ caughtBy }) => caughtBy !== undefined);
const wronged = played.filter((one) => one.series === 'harmless' && one.caughtBy !== undefined);
const alarms = wronged.length + (await playSound(Number(values.runs)));
const isEnough = isSample || caught.length >= defects.length * MIN_CAUGHT;
process.exitCode = isEnough && alarms === 0 ? 0 : 1;
