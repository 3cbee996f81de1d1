import { figuresOf, type ScenarioFigures } from './figures.ts';
import { withFailure, type ScenarioResult } from './result.ts';
import type { Scenario } from './scenario.ts';
import type { Staged } from './staging.ts';
import { noteUnawaitedErrors } from './unawaited-errors.ts';

export interface ScenarioRuns {
  readonly scenario: Scenario;
  readonly results: readonly ScenarioResult[];
  readonly figures: ScenarioFigures;
}

/** More at once would slow each other down, and scenarios measure time. */
const MAX_AT_ONCE = 8;

/**
 * Plays each scenario `runs` times, several at once. `onResult` gets each run as it ends. Resolves
 * in the given order.
 */
export async function playAll(
  staged: readonly Staged[],
  runs: number,
  onResult: (result: ScenarioResult) => void,
): Promise<readonly ScenarioRuns[]> {
  const waiting = staged.flatMap((one) => Array.from({ length: runs }, () => one)).entries();
  const results: (() => ScenarioResult)[] = [];
  const unawaited = noteUnawaitedErrors();
  const work = async (): Promise<void> => {
    for (const [index, { play }] of waiting) {
      const errors: string[] = [];
      const result = await unawaited.during(errors, play);
      const whole = (): ScenarioResult =>
        errors.length === 0 ? result : withFailure(result, 'the agent', errors);
      results[index] = whole;
      onResult(whole());
    }
  };
  try {
    await Promise.all(Array.from({ length: MAX_AT_ONCE }, work));
  } finally {
    unawaited.close();
  }
  return staged.map(({ scenario }, index) => {
    const all = results.slice(index * runs, (index + 1) * runs).map((whole) => whole());
    return { scenario, results: all, figures: figuresOf(scenario.file, all) };
  });
}
