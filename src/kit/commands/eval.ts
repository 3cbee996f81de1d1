// `layercode-microserver eval`: plays scenarios to an agent, and reports the results.

import { readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { hasPassed, overBudget, type Budgets } from '../eval/budgets.ts';
import { compareScenarios, comparisonTable, type ComparedScenario } from '../eval/comparison.ts';
import { figuresTable, isScenarioFigures, type ScenarioFigures } from '../eval/figures.ts';
import { junitXml } from '../eval/junit.ts';
import { playAll, type ScenarioRuns } from '../eval/play-all.ts';
import type { OpenStage, PlayOptions } from '../eval/play-options.ts';
import { printReport, printTable, progressOn } from '../eval/printed-report.ts';
import type { Outcome } from '../eval/result.ts';
import type { ModelSource } from '../eval/run-models.ts';
import { serveStage, takeStageMark } from '../eval/serve-stage.ts';
import { stageProcess } from '../eval/stage-process.ts';
import { refusalOf, stageAll, type Unplayable } from '../eval/staged-scenarios.ts';
import {
  CommandError, EXIT, UsageError, type Command, type Terminal,
} from '../terminal/command.ts';
import {
  parseFlags, parseTime, parseTimeout, TIMEOUT_SECONDS, wrongValue,
} from '../terminal/flags.ts';
import { interruptedError, withBrokenPipes } from '../terminal/output.ts';
import { oneLine, shellWord } from '../terminal/text.ts';

const FLAGS = [
  '--agent', '--agents', '--runs', '--min-passes', '--max-p95', '--max-cost', '--timeout',
  '--eval-model', '--compare', '--junit', '--settings-file',
] as const;
const SWITCHES = ['--record', '--live', '--update', '--real-tools', '--process', '--json'] as const;
const DEFAULT_FOLDER = 'evals';
const MAX_RUNS = 1_000;

export const evalCommand: Command = {
  name: 'eval',
  summary: 'Play scenarios against an agent, and say which of them passed.',
  help: `\
Usage: layercode-microserver eval [--agent AGENT | --agents NAME=AGENT,…] [--runs N]
                                  [--min-passes N] [--max-p95 TIME] [--max-cost NUMBER]
                                  [--timeout SECONDS] [--real-tools] [--process]
                                  [--record | --live] [--update] [--eval-model MODEL]
                                  [--compare FILE] [--json] [--junit FILE]
                                  [--settings-file PATH] [FILE | DIR]...

Plays each scenario against the agent, on a server and a store of its own, and reports what did not
go as it expects. A scenario is a text file with one step per line; a directory stands for its .txt
files, and FILE#2 for the second case of one. Default: ${DEFAULT_FOLDER}/.

  --agent AGENT        The agent: one of AGENTS, a built-in name or the path of a module. Default:
                       that of the settings. A scenario that names its agent is played against
                       that one.
  --agents NAME=AGENT,…
                       Several agents, as for run. The first one is called, unless a scenario names
                       another; all of them can be handed over to.
  --runs N             Plays each scenario this many times, and prints pass rates. Default: 1.
  --min-passes N       At least this many runs of each scenario must pass. Default: all.
  --max-p95 TIME       Fails if a scenario's p95 of the first word exceeds this: 800ms, 1.5s.
  --max-cost NUMBER    Fails if the whole evaluation costs more, including the judge and played
                       callers. In the currency of MODEL_PRICES.
  --timeout SECONDS    The longest a reply may take. Default: ${TIMEOUT_SECONDS}.
  --real-tools         Tools with effects run, even if the scenario has no line that allows it.
  --process            The agent runs in a process of its own, with a SQLite file: a scenario can
                       kill it, use a second one, or stall the store. Needs Node 22.13 or later.
  --record             Writes the models' replies beside the scenario, as NAME.recorded.json. From
                       then on they are replayed, without a key.
  --live               Asks the models, even if there is a recording.
  --update             Accepts what models are sent now as what expect-same-request expects: writes
                       it beside the scenario, as NAME.requests.golden.
  --eval-model MODEL   Decides "judge" lines, and plays callers: provider:model.
  --compare FILE       Says which scenarios got better or worse since this output of --json.
  --json               Prints the results as JSON, and nothing else on stdout.
  --junit FILE         Also writes the results as JUnit XML.
  --settings-file PATH Read variables from this file instead of .env.

A scenario:

    from +15550100
    mock book_table returns {"booking_number": 7}
    expect Good morning
    say A table for two, please.
      model calls book_table {"name": "Ada", "guests": 2, "date": "2026-12-01", "time": "09:00"}
      model says Booked, Ada.
    within 2 s
    expect-tool book_table once with {"guests": 2}
    never-fails

The lines below a "say" that begin with "model" are what a scripted model answers. Without any the
agent's own model is asked. docs/evals.md describes all steps.

Examples:
  layercode-microserver eval
  layercode-microserver eval --agent ./agent.ts evals/order.txt
  layercode-microserver eval --runs 20 --junit results.xml
  layercode-microserver eval --live --runs 20 --compare main.json

Exit codes: 0 all passed; 1 a run failed or is undecided, or a signal ended it; 2 the arguments are
wrong, or a scenario is: the others are played all the same.
`,
  async run(argv, plainTerminal) {
    const terminal = withBrokenPipes(plainTerminal);
    const { flags, switches, words } = parseFlags('eval', argv, FLAGS, SWITCHES);
    const runs = parseCount(flags['--runs'], '--runs', MAX_RUNS) ?? 1;
    const budgets = budgetsOf(flags, runs);
    const options: PlayOptions = {
      timeoutMs: parseTimeout(flags['--timeout']),
      allowsRealTools: switches.has('--real-tools'),
      openStage: switches.has('--process') ? stageProcesses(flags, switches, terminal) : undefined,
      signal: terminal.interrupted,
    };
    const source = sourceOf(switches, runs);
    if (source === 'record' && options.openStage !== undefined)
      throw new UsageError(
        '--record sees only models in this process, so it cannot go with --process',
      );
    const compared = flags['--compare'];
    const before = compared === undefined
      ? undefined : readComparison(compared, terminal.directory);
    const paths = words.length === 0 ? [DEFAULT_FOLDER] : words;
    const staging = { source, isUpdating: switches.has('--update') };
    const { staged, unplayable, evalTokens } =
      await stageAll(paths, flags, staging, options, terminal);
    const [first] = staged;
    if (first !== undefined && takeStageMark()) {
      await serveStage(first, options);
      return EXIT.OK;
    }
    if (options.allowsRealTools)
      terminal.stderr.write('Tools with effects run for real (--real-tools).\n');
    const isJson = switches.has('--json');
    const tellProgress = progressOn(terminal, staged.length * runs, isJson);
    let all: readonly ScenarioRuns[];
    try {
      all = await playAll(staged, runs, tellProgress);
    } catch (error) {
      if (terminal.interrupted.aborted) throw interruptedError(terminal.interrupted);
      throw error;
    }
    tellProgress();
    const figures = all.map((scenario) => scenario.figures);
    const comparison = before === undefined ? undefined : compareScenarios(before, figures);
    const skipped = unplayable.filter(({ isSkipped }) => isSkipped);
    const broken = unplayable.filter(({ isSkipped }) => !isSkipped);
    if (isJson) {
      const json = { ...jsonOf(all, unplayable, comparison), evalTokens: evalTokens() };
      terminal.stdout.write(`${JSON.stringify(json, undefined, 2)}\n`);
    } else if (all.length + skipped.length > 0) {
      printReport(all, skipped, budgets, terminal);
      if (runs > 1 && comparison === undefined) printTable(figuresTable(figures), terminal);
      if (comparison !== undefined) printTable(comparisonTable(comparison), terminal);
    }
    const { '--junit': junit } = flags;
    if (junit !== undefined) writeJunit(junit, all, unplayable, budgets, terminal.directory);
    const over = overBudget(figures, evalTokens(), budgets);
    for (const line of over) terminal.stderr.write(`over budget: ${oneLine(line)}\n`);
    if (broken.length > 0) throw refusalOf(broken);
    const isFine = over.length === 0 && figures.every((own) => hasPassed(own, budgets));
    return isFine ? EXIT.OK : EXIT.FAILED;
  },
};

/**
 * Each scenario gets its own process of this same program, which is told to serve that scenario.
 */
function stageProcesses(
  flags: Readonly<Record<string, string>>,
  switches: ReadonlySet<string>,
  { directory }: Terminal,
): OpenStage {
  if (!isBuiltin('node:sqlite')) {
    const here = `this is Node ${process.versions.node}`;
    throw new UsageError(`--process needs Node 22.13 or later, for SQLite; ${here}`);
  }
  const [, program = ''] = process.argv;
  const argv = [...Object.entries(flags).flat(), ...switches];
  return ({ file }, access, notes, aheadMs) => stageProcess({
    program, argv: ['eval', ...argv, '--', file], directory, access, notes, aheadMs,
  });
}

function budgetsOf(flags: Readonly<Record<string, string>>, runs: number): Budgets {
  const { '--max-p95': p95, '--max-cost': cost } = flags;
  const maxP95Ms = p95 === undefined ? undefined : parseTime(p95);
  if (p95 !== undefined && maxP95Ms === undefined)
    throw new UsageError('--max-p95 must be a time such as 800ms or 1.5s');
  const maxCost = cost === undefined ? undefined : Number(cost);
  if (cost !== undefined && !/^\d+(\.\d+)?$/.test(cost))
    throw new UsageError(
      '--max-cost must be a number in the currency of MODEL_PRICES, such as 0.5',
    );
  return { minPasses: parseCount(flags['--min-passes'], '--min-passes', runs), maxP95Ms, maxCost };
}

function sourceOf(switches: ReadonlySet<string>, runs: number): ModelSource {
  if (!switches.has('--record')) return switches.has('--live') ? 'live' : 'recording';
  if (switches.has('--live'))
    throw new UsageError('--record already asks the models: leave out --live');
  if (runs > 1) throw new UsageError('--record plays each scenario once, so it takes no --runs');
  return 'record';
}

/**
 * The figures of each scenario in what an earlier `--json` printed. Throws a `UsageError` for any
 * other file.
 */
function readComparison(path: string, directory: string): readonly ScenarioFigures[] {
  const file = shellWord(oneLine(path, 200));
  let text: string;
  try {
    text = readFileSync(resolve(directory, path), 'utf8');
  } catch (error) {
    const reason = oneLine(messageOf(error));
    throw new UsageError(`--compare ${file} cannot be read: ${reason}`, { cause: error });
  }
  const json: unknown = parseJson(text);
  const { format, scenarios }: Readonly<Record<string, unknown>> = isObject(json) ? json : {};
  if (format === 1 && Array.isArray(scenarios) && scenarios.every(isScenarioFigures))
    return scenarios;
  throw new UsageError(`--compare ${file} is not what eval --json prints`);
}

function parseCount(value: string | undefined, flag: string, max: number): number | undefined {
  if (value === undefined) return undefined;
  const count = /^\d{1,9}$/.test(value) ? Number(value) : 0;
  if (count >= 1 && count <= max) return count;
  throw wrongValue(flag, `must be a whole number from 1 to ${max}`, value);
}

function jsonOf(
  all: readonly ScenarioRuns[],
  unplayable: readonly Unplayable[],
  comparison: readonly ComparedScenario[] | undefined,
): object {
  const count = (outcome: Outcome): number =>
    all.reduce((sum, { figures }) => sum + figures[outcome], 0);
  return {
    format: 1,
    passed: count('passed'),
    failed: count('failed'),
    undecided: count('undecided'),
    ...(unplayable.length === 0 ? {} : { unplayable }),
    ...(comparison === undefined ? {} : {
      comparison: comparison.map(({ file, difference, p }) => ({ file, difference, p })),
    }),
    scenarios: all.map(({ scenario: { name }, results: runs, figures }) =>
      ({ name, ...figures, runs })),
  };
}

function writeJunit(
  path: string,
  all: readonly ScenarioRuns[],
  unplayable: readonly Unplayable[],
  budgets: Budgets,
  directory: string,
): void {
  try {
    writeFileSync(resolve(directory, path), junitXml(all, unplayable, budgets));
  } catch (error) {
    const reason = oneLine(messageOf(error));
    throw new CommandError(`--junit ${shellWord(oneLine(path, 200))}: ${reason}`, { cause: error });
  }
}
