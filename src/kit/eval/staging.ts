// A scenario that is ready to be played: with its agent, its models and its golden file.

import type { ChatModel } from '../../core/models/model.ts';
import { shellWord } from '../terminal/text.ts';
import { problemsOfModels } from './eval-model.ts';
import { goldenRequests } from './golden-requests.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { playScenario } from './play-scenario.ts';
import { problemsOf } from './problems.ts';
import type { ScenarioResult } from './result.ts';
import { runModels, scenarioModels, type ModelSource } from './run-models.ts';
import type { Scenario } from './scenario.ts';
import { ScriptError } from './script.ts';

export interface Staged {
  readonly scenario: Scenario;
  readonly cast: Cast;
  /** Plays the scenario once. Rejects with the reason of the options' signal. */
  readonly play: () => Promise<ScenarioResult>;
}

export interface StagingOptions {
  readonly source: ModelSource;
  /** Whether golden files are written instead of being compared with. */
  readonly isUpdating: boolean;
  /** Decides `judge` lines and plays callers. */
  readonly evalModel: ChatModel | undefined;
}

/**
 * `path` is that of the scenario's file, perhaps followed by the number of a case. Throws a
 * `ScriptError` for a scenario that cannot be played to this cast, and a `RecordingError` for a
 * recording that cannot be replayed.
 */
export async function stageScenario(
  scenario: Scenario,
  cast: Cast,
  path: string,
  { source, isUpdating, evalModel }: StagingOptions,
  options: PlayOptions,
): Promise<Staged> {
  const models = scenarioModels(path, source, evalModel, options.signal);
  const isLost = options.openStage !== undefined && models.isReplayed && !scenario.isScripted;
  const problems = [
    ...(isLost ? ['a recording is not replayed with --process: add --live'] : []),
    ...(await problemsOf(scenario, cast, { ...options, ...runModels(evalModel, undefined) })),
    ...(models.isReplayed ? [] : problemsOfModels(scenario, cast, evalModel)),
  ];
  if (problems.length > 0) throw new ScriptError(shellWord(scenario.file), problems);
  const golden = goldenRequests(path, scenario, isUpdating);
  const play = (): Promise<ScenarioResult> =>
    models.play((asked) => playScenario(scenario, cast, { ...options, ...asked, golden }));
  return { scenario, cast, play };
}
