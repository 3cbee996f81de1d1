// What `eval` plays: the scenarios of the command line, each with its agent and its models.

import { readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { noLog } from '../../app/assemble-app.ts';
import { createApp } from '../../app/create-app.ts';
import { openAgents } from '../../app/open-agents.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { DEFAULT_PRICES } from '../../models/prices.ts';
import { loadSettings } from '../../settings/load-settings.ts';
import { withAgent } from '../../settings/named-agents.ts';
import { SettingsError, type Settings } from '../../settings/settings.ts';
import { UsageError, type Terminal } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/one-line.ts';
import { openEvalModel, problemsOfModels } from './eval-model.ts';
import { GoldenRequests } from './golden-requests.ts';
import { addTokens } from './notebook.ts';
import { observed } from './observed-model.ts';
import type { Staged } from './play-all.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { needsProcess, problemsOf } from './problems.ts';
import { readScenarios, withoutCase } from './read-scenario.ts';
import type { Tokens } from './result.ts';
import { scenarioModels, type ModelSource } from './run-models.ts';
import type { Scenario } from './scenario.ts';
import { ScriptError } from './script.ts';
import { stageSettings } from './stage-settings.ts';

/** Flags that say which agent and which models are played. */
export interface StagingFlags {
  readonly '--settings-file'?: string;
  readonly '--agent'?: string;
  readonly '--agents'?: string;
  readonly '--eval-model'?: string;
}

/** A file whose scenario cannot be played here. */
export interface Unplayable {
  /** As it was given. */
  readonly file: string;
  /** One line each. */
  readonly problems: readonly string[];
  /** Whether it only needs `--process`, and nobody asked for this very file. */
  readonly isSkipped: boolean;
}

/** What the command line names: scenarios, and files that cannot be played. */
export interface ReadScenarios {
  readonly scenarios: readonly Scenario[];
  /** Files that were named one by one. */
  readonly named: ReadonlySet<string>;
  readonly unplayable: readonly Unplayable[];
}

/** A directory stands for its .txt files. Throws a `UsageError` for a path with none. */
export function readAll(words: readonly string[], directory: string): ReadScenarios {
  const files = [...new Set(words.flatMap((word) => filesOf(word, directory)))];
  const unplayable: Unplayable[] = [];
  const scenarios = files.flatMap((file) => {
    try {
      return readScenarios(file, directory);
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      unplayable.push({ file, problems: error.problems, isSkipped: false });
      return [];
    }
  });
  const named = words.filter((word) => files.includes(word)).map(withoutCase);
  return { scenarios, named: new Set(named), unplayable };
}

function filesOf(word: string, directory: string): readonly string[] {
  const path = resolve(directory, withoutCase(word));
  const shown = shellWord(oneLine(word, 200));
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`there is no ${shown}`, { cause: error });
  }
  if (!isDirectory) return [word];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.txt'))
    .sort();
  if (names.length === 0) throw new UsageError(`${shown} has no scenario: no file ends in .txt`);
  return names.map((name) => join(word, name));
}

export interface StagedScenarios {
  readonly staged: readonly Staged[];
  readonly unplayable: readonly Unplayable[];
  /** What the judge and played callers have used so far. Undefined if they were not asked. */
  readonly evalTokens: () => Tokens | undefined;
}

/** What can be played, and what cannot. Throws a `UsageError` for wrong flags. */
export async function stageAll(
  { scenarios, named, unplayable }: ReadScenarios,
  flags: StagingFlags,
  { source, isUpdating }: { readonly source: ModelSource; readonly isUpdating: boolean },
  options: PlayOptions,
  { environment, directory }: Terminal,
): Promise<StagedScenarios> {
  const { '--agent': agent, '--agents': agents, '--eval-model': evalModelName } = flags;
  if (agent !== undefined && agents !== undefined)
    throw new UsageError('eval takes --agent or --agents, not both');
  const settings = loadSettings({
    argv: (['--settings-file', '--agents'] as const).flatMap((flag) =>
      flags[flag] === undefined ? [] : [`${flag}=${flags[flag]}`],
    ),
    // Production would require a secret, and each app gets one of its own.
    environment: { ...environment, NODE_ENV: 'development' },
    directory,
  });
  const general = agent === undefined ? settings : withAgent(settings, agent);
  const opened = evalModelName === undefined
    ? undefined : openEvalModel(evalModelName, '--eval-model', settings);
  let used: Tokens | undefined;
  const evalModel = opened && observed(
    opened, undefined, settings.modelPrices ?? DEFAULT_PRICES, (sight) => {
      if (sight.type === 'used') used = addTokens(used, sight.tokens);
    },
  );
  const stage = async (scenario: Scenario): Promise<Staged | readonly string[]> => {
    const cast = await castFor(scenario, general, directory);
    const path = resolve(directory, scenario.file);
    const models = scenarioModels(path, source, evalModel, options.signal);
    const isLost =
      options.openStage !== undefined && models.isReplayed && !scenario.isScripted;
    const found = [
      ...(isLost ? ['a recording is not replayed with --process: add --live'] : []),
      ...(await problemsOf(scenario, cast, { ...options, ...models.ofRun() })),
      ...(models.isReplayed ? [] : problemsOfModels(scenario, cast, evalModel)),
    ];
    if (found.length > 0) return found;
    // What else it refuses about the agent, it refuses here, and not in the middle of the others.
    createApp(stageSettings(cast.settings, scenario, 'any', 'any'), cast.agent, { log: noLog() });
    const golden = new GoldenRequests(path, scenario, isUpdating);
    return { scenario, cast, golden, models: models.ofRun };
  };
  const staged: Staged[] = [];
  const others = [...unplayable];
  for (const scenario of scenarios) {
    const { file } = scenario;
    const need = options.openStage === undefined ? needsProcess(scenario) : undefined;
    if (need !== undefined && !named.has(withoutCase(file))) {
      others.push({ file, problems: [need], isSkipped: true });
      continue;
    }
    const found = await stage(scenario).catch(problemsIn);
    if ('scenario' in found) staged.push(found);
    else others.push({ file, problems: found, isSkipped: false });
  }
  return { staged, unplayable: others, evalTokens: () => used };
}

/** Of an agent that cannot be opened, or a recording that cannot be replayed. */
function problemsIn(error: unknown): readonly string[] {
  const problems = error instanceof SettingsError ? error.problems : [messageOf(error)];
  return problems.map((problem) => oneLine(problem));
}

/** All that keeps files from being played, a line for each file. */
export function refusalOf(unplayable: readonly Unplayable[]): UsageError {
  const lines = unplayable.map(({ file, problems }) =>
    `${shellWord(oneLine(file, 200))}: ${problems.join('; ')}`);
  return new UsageError(lines.join('\n'));
}

/** A scenario may name an agent of the settings, a built-in one, or a module beside it. */
async function castFor(
  { agent: named, file }: Scenario,
  settings: Settings,
  directory: string,
): Promise<Cast> {
  const isServed = settings.agents.some(({ name }) => name === named);
  if (named === undefined || isServed)
    return { settings, agent: await openAgents(settings, directory) };
  const own: Settings = { ...settings, agent: named, agents: [] };
  return { settings: own, agent: await openAgents(own, resolve(directory, dirname(file))) };
}
