// The part of the language of scenarios that `talk --script` can play to any server.

import { resolve } from 'node:path';

import { isCase } from '../eval/read-scenario.ts';
import { scenarioOf, type Scenario } from '../eval/scenario.ts';
import { parseScript, readText, ScriptError } from '../eval/script.ts';
import type { Step, StepName } from '../eval/steps.ts';
import { UsageError } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/text.ts';

const TALK_STEPS: readonly StepName[] = [
  'say', 'expect', 'expect-not', 'expect-data', 'expect-no-data', 'expect-hangup', 'never',
  'interrupt', 'data', 'within', 'ends-within',
];

/**
 * Throws one `UsageError` with every problem. Steps that need a server of their own, or that the
 * wire does not have, are problems too.
 */
export function readTalkScript(path: string, directory: string, hasData: boolean): Scenario {
  const file = shellWord(oneLine(path, 200));
  try {
    const text = readText(resolve(directory, path), file);
    const firstCase = text.split(/\r\n|\r|\n/).findIndex(isCase);
    if (firstCase !== -1)
      throw new ScriptError(file, [`line ${firstCase + 1}: case: play this with eval`]);
    const steps = parseScript(text, file);
    const problems = steps.flatMap((step) => {
      const fault = faultOf(step, hasData);
      return fault === undefined ? [] : [`line ${step.lineNumber}: ${fault}`];
    });
    if (problems.length > 0) throw new ScriptError(file, problems);
    return scenarioOf(steps, file, { isLive: true });
  } catch (error) {
    if (error instanceof ScriptError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** Why `talk` cannot play the step. */
function faultOf(step: Step, hasData: boolean): string | undefined {
  if (step.name === 'data' && !hasData)
    return 'the wire chat-completions has no data from a page';
  if (step.name === 'interrupt' && 'tool' in step.at)
    return 'talk does not see when a tool runs: play this with eval';
  const hasTokens = step.name === 'within' && step.tokens !== undefined;
  if (TALK_STEPS.includes(step.name) && !hasTokens) return undefined;
  if (step.name === 'from' || step.name === 'metadata')
    return `talk takes this as a flag: --${step.name}`;
  const [word = ''] = step.written.split(/\s/, 1);
  return `${word} needs a server of its own: play this with eval`;
}
