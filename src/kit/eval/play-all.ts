import type { GoldenRequests } from './golden-requests.ts';
import type { Cast, PlayOptions } from './play-options.ts';
import { playScenario } from './play-scenario.ts';
import { withFailure, type ScenarioResult } from './result.ts';
import type { RunModels } from './run-models.ts';
import type { Scenario } from './scenario.ts';
import { UnawaitedErrors } from './unawaited-errors.ts';

/** A scenario and what it is played to. */
export interface Staged {
  readonly scenario: Scenario;
  readonly cast: Cast;
  readonly golden: GoldenRequests;
  /** Called once per run. */
  readonly models: () => RunModels;
}

/** All runs of one scenario. */
export interface ScenarioRuns {
  readonly scenario: Scenario;
  readonly results: readonly ScenarioResult[];
}

/** More at once would take time from each other, and scenarios measure time. */
const MAX_AT_ONCE = 8;

/**
 * Plays each scenario `runs` times, several at once. `onResult` gets each run as it ends. Resolves
 * in the given order.
 */
export async function playAll(
  staged: readonly Staged[],
  runs: number,
  options: PlayOptions,
  onResult: (result: ScenarioResult) => void,
): Promise<readonly ScenarioRuns[]> {
  const waiting = staged.flatMap((one, index) =>
    Array.from({ length: runs }, (_, run) => ({ ...one, index, run })));
  const results: (() => ScenarioResult)[][] = staged.map(() => []);
  const unawaited = new UnawaitedErrors();
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { scenario, cast, golden, index, run } = next;
      const models = next.models();
      const { modelFor, judge, playedCaller } = models;
      const errors: string[] = [];
      const result = await unawaited.during(errors, async () => models.finish(await playScenario(
        scenario, cast, { ...options, modelFor, judge, playedCaller, golden },
      )));
      const whole = (): ScenarioResult =>
        errors.length === 0 ? result : withFailure(result, 'the agent', errors);
      (results[index] ??= [])[run] = whole;
      onResult(whole());
    }
  };
  try {
    await Promise.all(Array.from({ length: MAX_AT_ONCE }, work));
  } finally {
    unawaited.close();
  }
  return staged.map(({ scenario }, index) => ({
    scenario, results: (results[index] ?? []).map((whole) => whole()),
  }));
}
