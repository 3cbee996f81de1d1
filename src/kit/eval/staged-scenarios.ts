// What `eval` plays: the scenarios of the command line, each with its agent and its models.

import { readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { noLog } from '../../base/log.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { DEFAULT_PRICES } from '../../core/models/prices.ts';
import { createApp } from '../../server/app/create-app.ts';
import { openAgents } from '../../server/app/open-agents.ts';
import { withAgent } from '../../server/settings/named-agents.ts';
import { SettingsError, type Settings } from '../../server/settings/settings.ts';
import { commandSettings } from '../terminal/command-settings.ts';
import { UsageError, type Terminal } from '../terminal/command.ts';
import type { Flags } from '../terminal/flags.ts';
import { oneLine, shellWord } from '../terminal/text.ts';
import { openEvalModel } from './eval-model.ts';
import { addTokens } from './notebook.ts';
import { observed } from './observed-model.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { needsProcess } from './problems.ts';
import { readScenarios, withoutCase } from './read-scenario.ts';
import type { Tokens } from './result.ts';
import type { Scenario } from './scenario.ts';
import { ScriptError } from './script.ts';
import { newAccess, stageSettings } from './stage-settings.ts';
import { stageScenario, type Staged, type StagingOptions } from './staging.ts';

/** A file whose scenario cannot be played here. */
export interface Unplayable {
  /** The path as it was given. */
  readonly file: string;
  /** One line each. */
  readonly problems: readonly string[];
  /** Whether it only needs `--process`, and nobody asked for this very file. */
  readonly isSkipped: boolean;
}

/**
 * What can be played, and what cannot. A directory stands for its .txt files. `evalTokens`: what
 * the judge and played callers have used so far; undefined if they were not asked. Throws a
 * `UsageError` for wrong flags, and for a path without scenarios.
 */
export async function stageAll(
  paths: readonly string[],
  flags: Flags<'--settings-file' | '--agent' | '--agents' | '--eval-model'>,
  staging: Omit<StagingOptions, 'evalModel'>,
  options: PlayOptions,
  terminal: Terminal,
) {
  const { directory } = terminal;
  const { '--agent': agent, '--agents': agents, '--eval-model': evalModelName } = flags;
  if (agent !== undefined && agents !== undefined)
    throw new UsageError('eval takes --agent or --agents, not both');
  const files = [...new Set(paths.flatMap((path) => filesOf(path, directory)))];
  const settings = commandSettings(['--settings-file', '--agents'], flags, terminal);
  const general = agent === undefined ? settings : withAgent(settings, agent);
  const opened = evalModelName === undefined
    ? undefined : openEvalModel(evalModelName, '--eval-model', settings);
  let used: Tokens | undefined;
  const evalModel = opened && observed(
    opened, settings.modelPrices ?? DEFAULT_PRICES, {
      asked: nothing, cut: nothing, used: (tokens) => void (used = addTokens(used, tokens)),
    },
  );
  const stage = async (scenario: Scenario): Promise<Staged> => {
    const cast = await castFor(scenario, general, directory);
    const path = resolve(directory, scenario.file);
    const staged = await stageScenario(scenario, cast, path, { ...staging, evalModel }, options);
    // Whatever else `createApp` refuses is refused here, not while others are being played.
    createApp(stageSettings(cast.settings, scenario, newAccess()), cast.agent, { log: noLog() });
    return staged;
  };
  const staged: Staged[] = [];
  const unplayable: Unplayable[] = [];
  const named = new Set(paths.map(withoutCase));
  const take = async (scenario: Scenario): Promise<void> => {
    const { file } = scenario;
    const isSkippable = options.openStage === undefined && !named.has(withoutCase(file));
    const need = isSkippable ? needsProcess(scenario) : undefined;
    if (need === undefined) staged.push(await stage(scenario));
    else unplayable.push({ file, problems: [need], isSkipped: true });
  };
  const refuse = (file: string, error: unknown): void =>
    void unplayable.push({ file, problems: problemsIn(error), isSkipped: false });
  for (const file of files) {
    try {
      for (const scenario of readScenarios(file, directory))
        await take(scenario).catch((error: unknown) => refuse(scenario.file, error));
    } catch (error) {
      refuse(file, error);
    }
  }
  return { staged, unplayable, evalTokens: (): Tokens | undefined => used };
}

const nothing = (): void => undefined;

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

/** What is wrong with a script, an agent that cannot be opened, or a recording. */
function problemsIn(error: unknown): readonly string[] {
  if (error instanceof ScriptError) return error.problems;
  const problems = error instanceof SettingsError ? error.problems : [messageOf(error)];
  return problems.map((problem) => oneLine(problem));
}

/** Everything that keeps files from being played, a line for each file. */
export function refusalOf(unplayable: readonly Unplayable[]): UsageError {
  const lines = unplayable.map(({ file, problems }) =>
    `${shellWord(oneLine(file, 200))}: ${problems.join('; ')}`);
  return new UsageError(lines.join('\n'));
}

/** A scenario may name an agent from the settings, a built-in one, or a module beside the file. */
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
