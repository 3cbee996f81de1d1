// `talk --script`: plays a script to an agent, and reports how each step went.

import { paintFor } from '../terminal/colour.ts';
import { EXIT, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';
import { interruptedError } from '../terminal/output.ts';
import type { CallTarget } from './call-target.ts';
import { counted, MAX_SHOWN, ScriptPlayback, StepFailure } from './script-playback.ts';
import type { TalkStep } from './talk-script.ts';

/** Prints the report on stdout. Resolves with the exit code. */
export async function playScript(
  steps: readonly TalkStep[],
  target: CallTarget,
  conversationId: string,
  timeoutMs: number,
  terminal: Terminal,
): Promise<number> {
  const { stdout, environment, interrupted } = terminal;
  const paint = paintFor(stdout, environment);
  const width = String(steps.at(-1)?.lineNumber ?? '').length;
  let failures = 0;
  let isFatal = false;

  /** `outcome` is a note to print next to the step, or why it failed. */
  function report(line: string, written: string, outcome: string | undefined | StepFailure): void {
    const hasFailed = outcome instanceof StepFailure;
    const mark = hasFailed ? paint('red', '✗') : paint('green', '✓');
    const note =
      hasFailed || outcome === undefined ? '' : `  ${paint('dim', `(${outcome})`)}`;
    stdout.write(`${mark} ${line.padStart(width)}  ${oneLine(written, MAX_SHOWN)}${note}\n`);
    if (!hasFailed) return;
    for (const reason of outcome.lines) stdout.write(`  ${' '.repeat(width)}    ${reason}\n`);
    failures += 1;
    isFatal ||= outcome.isFatal;
  }

  const playback = new ScriptPlayback(target, conversationId, timeoutMs);
  const giveUp = (): void => playback.giveUp();
  interrupted.addEventListener('abort', giveUp, { once: true });
  report('', 'welcome', await outcomeOf(playback.welcome()));
  let played = 0;
  const play = async (isOfCall: boolean): Promise<void> => {
    for (const step of steps.filter(({ name }) => (name === 'never') === isOfCall)) {
      if (isFatal || interrupted.aborted) break;
      report(String(step.lineNumber), step.written, await outcomeOf(playback.play(step)));
      played += 1;
    }
  };
  await play(false);
  const end =
    isFatal || interrupted.aborted ? await playback.hangUp() : await outcomeOf(playback.end());
  if (!(end instanceof StepFailure)) await play(true);
  if (interrupted.aborted) throw interruptedError(interrupted);
  interrupted.removeEventListener('abort', giveUp);
  if (end instanceof StepFailure) report('', 'end', end);

  const all = counted(steps.length, 'step');
  const sum =
    failures === 0
      ? paint('green', steps.length === 1 ? 'The step passed' : `All ${all} passed`)
      : paint('red', `${counted(failures, 'failure')} in ${all}`);
  const left = steps.length - played;
  stdout.write(`\n${sum}${left === 0 ? '' : `; ${counted(left, 'step')} not played`}.\n`);
  return failures === 0 ? EXIT.OK : EXIT.FAILED;
}

function outcomeOf<Note>(step: Promise<Note>): Promise<Note | StepFailure> {
  return step.catch((error: unknown) => {
    if (error instanceof StepFailure) return error;
    throw error;
  });
}
