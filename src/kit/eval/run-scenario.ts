// A scenario as a test of `node --test`.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { App } from '../../server/app/app.ts';
import { isAgent, originOf } from '../../server/app/assemble-app.ts';
import { shellWord } from '../terminal/text.ts';
import { openEvalModel } from './eval-model.ts';
import type { Cast } from './play-options.ts';
import { readScenarios } from './read-scenario.ts';
import { reportOf } from './report.ts';
import type { ScenarioResult } from './result.ts';
import type { Scenario } from './scenario.ts';
import { ScriptError } from './script.ts';
import { stageScenario } from './staging.ts';

/** Options of `runScenario`. */
export interface RunScenarioOptions {
  /** The longest time that a reply may take, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** Whether tools with effects run without a line that allows it. Default false. */
  readonly realTools?: boolean;
  /** Decides `judge` lines, and plays callers: `provider:model`. */
  readonly evalModel?: string;
  /** Asks the models, even if there is a recording. Default false. */
  readonly live?: boolean;
  /** Accepts what models are sent now as what `expect-same-request` expects. Default false. */
  readonly update?: boolean;
  /** Ends the run. */
  readonly signal?: AbortSignal;
}

/** A scenario did not pass. The message says why, with the transcript around it. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly result: ScenarioResult;

  constructor(result: ScenarioResult) {
    super([`${result.file} ${result.outcome}`, ...reportOf(result)].join('\n'));
    this.result = result;
  }
}

/**
 * Plays the scenario in a file: docs/evals.md. It gets an app of its own, with the agents and
 * settings that `app` was created with, in memory; `app` itself is not used and need not be closed.
 * Replies come from the recording beside the file, if there is one. A relative path starts at the
 * working directory. With several cases, the result is that of the last one.
 *
 * Rejects with a `ScenarioError` if the scenario does not pass, with a `ScriptError` that names the
 * line if it cannot be played, and with a `RecordingError` for a broken recording.
 */
export async function runScenario(
  file: string | URL,
  app: App,
  options: RunScenarioOptions = {},
): Promise<ScenarioResult> {
  const path = file instanceof URL ? fileURLToPath(file) : file;
  let result: ScenarioResult | undefined;
  for (const scenario of readScenarios(path, process.cwd()))
    result = await runOne(scenario, app, options);
  return result as ScenarioResult; // there is at least one
}

async function runOne(
  scenario: Scenario,
  app: App,
  options: RunScenarioOptions,
): Promise<ScenarioResult> {
  const { timeoutMs = 30_000, realTools: allowsRealTools = false, signal } = options;
  const cast = originOf(app);
  const others = problemOfOther(scenario, cast);
  if (others.length > 0) throw new ScriptError(shellWord(scenario.file), others);
  const evalModel = options.evalModel === undefined
    ? undefined : openEvalModel(options.evalModel, 'evalModel', cast.settings);
  const source = options.live === true ? 'live' : 'recording';
  const staging = { source, isUpdating: options.update === true, evalModel } as const;
  const { play } = await stageScenario(
    scenario, cast, resolve(scenario.file), staging, { timeoutMs, allowsRealTools, signal },
  );
  const result = await play();
  if (result.outcome !== 'passed') throw new ScenarioError(result);
  return result;
}

/** A scenario for an agent other than the app's only one. A path may be that of any agent. */
function problemOfOther({ agent: named, steps }: Scenario, { agent }: Cast): readonly string[] {
  if (named === undefined || !isAgent(agent) || agent.name === named) return [];
  if (/[/\\]|\.[cm]?[jt]s$/.test(named)) return [];
  const line = steps.find(({ name }) => name === 'agent')?.lineNumber;
  return [`line ${line}: the scenario is for ${named}, and the app serves ${agent.name}`];
}
