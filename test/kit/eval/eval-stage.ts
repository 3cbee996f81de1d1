// Plays scenarios to a test's own agents.

import assert from 'node:assert/strict';

import type { Cast, PlayOptions } from '../../../src/kit/eval/play-options.ts';
import { playScenario } from '../../../src/kit/eval/play-scenario.ts';
import { problemsOf } from '../../../src/kit/eval/problems.ts';
import type { ScenarioResult } from '../../../src/kit/eval/result.ts';
import { scenarioOf } from '../../../src/kit/eval/scenario.ts';
import { parseScript } from '../../../src/kit/eval/script.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

const OPTIONS: PlayOptions = { timeoutMs: 5_000, allowsRealTools: false };
const SETTINGS = parseSettings({}, []);

/** What makes the script impossible to play to the agent. */
export function problems(
  agent: Cast['agent'], script: string, options: Partial<PlayOptions> = {},
): Promise<readonly string[]> {
  const scenario = scenarioOf(parseScript(script, 'a.txt'), 'a.txt');
  return problemsOf(scenario, { settings: SETTINGS, agent }, { ...OPTIONS, ...options });
}

/** Plays the script to the agent. Fails if that is impossible. */
export async function play(
  agent: Cast['agent'], script: string, options: Partial<PlayOptions> = {},
): Promise<ScenarioResult> {
  const scenario = scenarioOf(parseScript(script, 'a.txt'), 'a.txt');
  assert.deepEqual(await problems(agent, script, options), []);
  return playScenario(scenario, { settings: SETTINGS, agent }, { ...OPTIONS, ...options });
}

/** Each failure as its line and its reasons. */
export function failuresOf({ failures }: ScenarioResult): (readonly (number | string)[])[] {
  return failures.map(({ lineNumber = 0, reasons }) => [lineNumber, ...reasons]);
}
