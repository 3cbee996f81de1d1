// npm run eval:defects: breaks agents on purpose, and says which scenarios notice.
// test/kit/eval/defects/README.md

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { ScenarioResult } from '../src/kit/eval/result.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'test/kit/eval/defects');
const EVALS = 'examples/evals';
/** What a copy needs to run from its sources. */
const COPIED = ['src', 'assets', 'examples', 'package.json', 'tsconfig.json'];
/** The share of all defects that must be caught. */
const MIN_CAUGHT = 0.8;
const CORNER_SHOP = '../../assets/templates/agent.ts';

interface Defect {
  readonly path: string;
  readonly agent: string;
  readonly meaning: string;
}

interface Report {
  readonly scenarios: readonly { readonly runs: readonly ScenarioResult[] }[];
}

/** What happened to the copy: a line that caught the defect, or why none did. */
type Outcome = { readonly caughtBy: string } | { readonly missed: string };

function readDefect(path: string): Defect {
  const text = readFileSync(path, 'utf8');
  const field = (name: string): string => {
    const value = new RegExp(`^${name}: (.+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`${path} has no line "${name}: …"`);
    return value.trim();
  };
  return { path, agent: field('Agent'), meaning: field('Defect') };
}

/** The scenarios that name the agent, or one of its modes. */
function scenariosOf(agent: string): readonly string[] {
  const isOf = (named: string | undefined): boolean =>
    agent === 'corner_shop'
      ? named === CORNER_SHOP
      : named === agent || named?.startsWith(`${agent}:`) === true;
  const files = readdirSync(join(ROOT, EVALS))
    .filter((name) => name.endsWith('.txt'))
    .map((name) => join(EVALS, name))
    .filter((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      return isOf(/^agent (\S+)/m.exec(text)?.[1]);
    });
  if (files.length === 0) throw new Error(`no scenario is played to the agent ${agent}`);
  return files;
}

/** Plays scenarios in a copy of the sources. Undefined if they cannot be played there. */
function evaluate(
  directory: string, files: readonly string[], runs: number,
): { readonly report: Report | undefined; readonly stderr: string } {
  const argv = ['--import', 'tsx', 'src/cli.ts', 'eval', '--json', '--runs', String(runs)];
  const { stdout, stderr } = spawnSync(process.execPath, [...argv, ...files], {
    cwd: directory, encoding: 'utf8', maxBuffer: 1_073_741_824,
  });
  return { report: stdout === '' ? undefined : (JSON.parse(stdout) as Report), stderr };
}

function play(defect: Defect): Outcome {
  const copy = mkdtempSync(join(tmpdir(), 'eval-defect-'));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const applied = spawnSync('git', ['apply', '--recount', '--whitespace=nowarn', defect.path], {
      cwd: copy, encoding: 'utf8', env: { ...process.env, GIT_CEILING_DIRECTORIES: tmpdir() },
    });
    if (applied.status !== 0) throw new Error(`${defect.path}: ${applied.stderr.trim()}`);
    const { report, stderr } = evaluate(copy, scenariosOf(defect.agent), 1);
    if (report === undefined) return { missed: `it cannot be played: ${stderr.trim()}` };
    const results = report.scenarios.flatMap((scenario) => scenario.runs);
    for (const { name, failures } of results) {
      const failure = failures.find(({ kind }) => kind === 'expectation');
      if (failure === undefined) continue;
      return { caughtBy: `${name}, line ${failure.lineNumber}: ${failure.written}` };
    }
    const others = results.flatMap(({ failures }) => failures.flatMap(({ reasons }) => reasons));
    return { missed: others[0] ?? 'all scenarios passed' };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Plays the sound agents, which must raise no alarm. Returns the number that did. */
function playSound(runs: number): number {
  const { report, stderr } = evaluate(ROOT, [EVALS], runs);
  if (report === undefined) throw new Error(stderr);
  const results = report.scenarios.flatMap((scenario) => scenario.runs);
  const alarms = results.filter(({ outcome }) => outcome !== 'passed');
  for (const { name, failures: [failure] } of alarms)
    console.log(`false alarm: ${name}, line ${failure?.lineNumber}: ${failure?.reasons.join('; ')}`);
  console.log(`${results.length} runs of the sound agents, ${alarms.length} false alarms.`);
  return alarms.length;
}

const { values: { runs = '1' }, positionals } = parseArgs({
  options: { runs: { type: 'string' } }, allowPositionals: true,
});
const paths = positionals.length > 0
  ? positionals.map((path) => resolve(path))
  : readdirSync(FOLDER).filter((name) => name.endsWith('.patch')).sort()
      .map((name) => join(FOLDER, name));
let caught = 0;
for (const defect of paths.map(readDefect)) {
  const outcome = play(defect);
  const isCaught = 'caughtBy' in outcome;
  if (isCaught) caught += 1;
  console.log(`${isCaught ? 'caught' : 'MISSED'}  ${defect.agent}: ${defect.meaning}`);
  console.log(`        ${isCaught ? outcome.caughtBy : outcome.missed}`);
}
console.log(`${caught} of ${paths.length} defects were caught.`);
const alarms = playSound(Number(runs));
process.exitCode = caught >= paths.length * MIN_CAUGHT && alarms === 0 ? 0 : 1;
