// The part of the language of scenarios that `talk --script` can play to any server.

import { parseScript, ScriptError } from '../eval/script.ts';
import type { ActionName, Step, StepOf } from '../eval/step.ts';
import { UsageError } from '../terminal/command.ts';

const TALK_STEPS = [
  'say', 'expect', 'expect-not', 'expect-data', 'expect-no-data', 'expect-hangup', 'never',
  'interrupt', 'data', 'within', 'ends-within',
] as const satisfies readonly ActionName[];

type Unmoved = StepOf<Exclude<(typeof TALK_STEPS)[number], 'interrupt'>>;

export type TalkStep =
  | Unmoved
  /** The number of words that must have been heard. 0: as soon as the reply begins. */
  | (Pick<Step, 'lineNumber' | 'written'> & {
      readonly name: 'interrupt'; readonly words: number;
    });

/**
 * Throws one `UsageError` with every problem and its line number, also for steps that need a server
 * of their own. `file` is for the message.
 */
export function parseTalkScript(script: string, file: string): readonly TalkStep[] {
  const problems: string[] = [];
  const steps = stepsOf(script, file).flatMap((step) => {
    const read = talkStep(step);
    if (typeof read !== 'string') return [read];
    problems.push(`line ${step.lineNumber}: ${read}`);
    return [];
  });
  if (problems.length > 0) throw new UsageError(`${file}: ${problems.join('; ')}`);
  return steps;
}

function stepsOf(script: string, file: string): readonly Step[] {
  try {
    return parseScript(script, file);
  } catch (error) {
    if (error instanceof ScriptError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** The step, or why `talk` cannot play it. */
function talkStep(step: Step): TalkStep | string {
  if (step.name === 'interrupt') {
    const { lineNumber, written, name, at } = step;
    if ('words' in at) return { lineNumber, written, name, words: at.words };
    return 'talk does not see when a tool runs: play this with eval';
  }
  if (isPlayable(step)) return step;
  if (step.name === 'from' || step.name === 'metadata')
    return `talk takes this as a flag: --${step.name}`;
  const [word = ''] = step.written.split(/\s/, 1);
  return `${word} needs a server of its own: play this with eval`;
}

function isPlayable(step: Step): step is Step & Unmoved {
  return TALK_STEPS.some((name) => name === step.name);
}
