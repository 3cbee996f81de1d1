// What `eval` plays: the scenarios of the command line, each with its agent and its models.

import { readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { openAgents } from '../../app/open-agents.ts';
import { loadSettings } from '../../settings/load-settings.ts';
import { withAgent } from '../../settings/named-agents.ts';
import type { Settings } from '../../settings/settings.ts';
import { UsageError, type Terminal } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/one-line.ts';
import { openEvalModel, problemsOfModels } from './eval-model.ts';
import type { Staged } from './play-all.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { problemsOf } from './problems.ts';
import { readScenario } from './read-scenario.ts';
import { RecordingError, recordingPath } from './recording.ts';
import {
  scenarioModels, type ReplySource, type RunModelsOptions, type ScenarioModels,
} from './run-models.ts';
import type { Scenario } from './scenario.ts';
import { ScriptError } from './script.ts';

/** Flags that say which agent and which models are played. */
export interface StagingFlags {
  readonly '--settings-file'?: string;
  readonly '--agent'?: string;
  readonly '--agents'?: string;
  readonly '--eval-model'?: string;
}

/** Throws one `UsageError` with everything that is wrong. */
export function readAll(words: readonly string[], directory: string): readonly Scenario[] {
  const problems: string[] = [];
  const scenarios = words.flatMap((word) => filesOf(word, directory)).flatMap((file) => {
    try {
      return [readScenario(file, directory)];
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      problems.push(error.message);
      return [];
    }
  });
  if (problems.length > 0) throw new UsageError(problems.join('\n'));
  return scenarios;
}

/** A directory stands for its .txt files. */
function filesOf(word: string, directory: string): readonly string[] {
  const path = resolve(directory, word);
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

/** Throws one `UsageError` with everything that cannot be played. */
export async function stageAll(
  scenarios: readonly Scenario[],
  flags: StagingFlags,
  source: ReplySource,
  options: PlayOptions,
  { environment, directory }: Terminal,
): Promise<readonly Staged[]> {
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
  const evalModel = evalModelName === undefined
    ? undefined : openEvalModel(evalModelName, '--eval-model', settings);
  const staged: Staged[] = [];
  const problems: string[] = [];
  for (const scenario of scenarios) {
    const cast = await castFor(scenario, general, directory);
    const models = modelsFor(scenario, source, { evalModel, signal: options.signal }, directory);
    staged.push({ scenario, cast, models: models.ofRun });
    const isLost =
      options.openStage !== undefined && models.isReplayed && !scenario.isScripted;
    const found = [
      ...(isLost ? ['a recording is not replayed with --process: add --live'] : []),
      ...problemsOf(scenario, cast, { ...options, ...models.ofRun() }),
      ...(models.isReplayed ? [] : problemsOfModels(scenario, cast, evalModel)),
    ];
    if (found.length > 0)
      problems.push(`${shellWord(oneLine(scenario.file, 200))}: ${found.join('; ')}`);
  }
  if (problems.length > 0) throw new UsageError(problems.join('\n'));
  return staged;
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

/** Throws a `UsageError` for a recording that cannot be replayed. */
function modelsFor(
  { file }: Scenario,
  source: ReplySource,
  options: RunModelsOptions,
  directory: string,
): ScenarioModels {
  try {
    return scenarioModels(recordingPath(resolve(directory, file)), source, options);
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    throw new UsageError(oneLine(error.message), { cause: error });
  }
}
