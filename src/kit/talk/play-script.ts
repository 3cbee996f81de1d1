// `talk --script`: plays a script to an agent, and reports how each step went.

import { Notebook } from '../eval/notebook.ts';
import { playCall } from '../eval/play.ts';
import type { PlayedTurn, ScenarioFailure } from '../eval/result.ts';
import type { Act, Scenario } from '../eval/scenario.ts';
import type { Stage } from '../eval/stage.ts';
import { EXIT, type Terminal } from '../terminal/command.ts';
import { interruptedError, paintFor } from '../terminal/output.ts';
import { counted, oneLine } from '../terminal/text.ts';
import { describeFailure } from './call-failure.ts';
import type { CallTarget } from './call-target.ts';
import { END_TIMEOUT_MS, openCall } from './open-call.ts';

/** Longest text in a report, in UTF-16 code units. */
const MAX_SHOWN = 2_000;

const NOWHERE = { origin: '', route: '' };
const nothing = (): undefined => undefined;

/** A server that is not ours: only its replies can be seen. */
const NO_STAGE: Stage = {
  open: async () => NOWHERE,
  restart: async () => NOWHERE,
  answersLeft: () => 0,
  settled: async () => true,
  turnState: async () => undefined,
  state: async () => undefined,
  close: async () => undefined,
  prepare: nothing,
  mock: nothing,
  hold: nothing,
  release: nothing,
};

/** A line of the script; without a number, a step before or after all lines. */
interface Line {
  readonly lineNumber?: number | undefined;
  readonly written: string;
}

/** Prints the report on stdout. Resolves with the exit code. */
export async function playScript(
  scenario: Scenario,
  target: CallTarget,
  conversationId: string,
  timeoutMs: number,
  terminal: Terminal,
): Promise<number> {
  const { steps, checks } = scenario;
  const { stdout, environment, interrupted } = terminal;
  const paint = paintFor(stdout, environment);
  const width = String(steps.at(-1)?.lineNumber ?? '').length;
  const known = new Set<ScenarioFailure>();
  let played = 0;
  let failed = 0;

  /** `note` is printed next to a step that passed, `heard` below one that did not. */
  function report(
    line: Line,
    failures: readonly ScenarioFailure[],
    note?: string,
    heard = '',
  ): void {
    const own = failures.filter(({ lineNumber }) => lineNumber === line.lineNumber);
    for (const failure of own) known.add(failure);
    const mark = own.length > 0 ? paint('red', '✗') : paint('green', '✓');
    const number = String(line.lineNumber ?? '').padStart(width);
    const told = own.length > 0 || note === undefined ? '' : `  ${paint('dim', `(${note})`)}`;
    stdout.write(`${mark} ${number}  ${oneLine(line.written, MAX_SHOWN)}${told}\n`);
    const reasons = own.flatMap((failure) => failure.reasons);
    if (own.length > 0 && heard !== '') reasons.push(`heard     ${oneLine(heard, MAX_SHOWN)}`);
    for (const reason of reasons) stdout.write(`  ${' '.repeat(width)}    ${reason}\n`);
    if (own.length > 0) failed += 1;
    if (line.lineNumber !== undefined) played += 1;
  }

  function onAct(act: Act, failures: readonly ScenarioFailure[], turn?: PlayedTurn): void {
    if (interrupted.aborted) return;
    if (act.name !== 'exchange') return report(act, failures);
    const { meanwhile, trouble } = act;
    const opening: Line = act.opening ?? { written: 'welcome' };
    const { firstWordMs, heard = '' } = turn ?? {};
    const begun = firstWordMs === undefined
      ? 'silence' : `first word after ${Math.round(firstWordMs)} ms`;
    report(opening, failures, begun, heard);
    const hasFailed = ({ lineNumber }: Line): boolean =>
      failures.some((failure) => failure.lineNumber === lineNumber);
    // Without a reply, the page sends nothing and nobody can speak over it.
    const isPlayed = (step: Line): boolean => hasFailed(step) || !hasFailed(opening);
    for (const step of meanwhile.filter(isPlayed)) report(step, failures);
    if (trouble === undefined || !isPlayed(trouble)) return;
    report(trouble, failures, `heard ${heard === '' ? 'nothing' : oneLine(heard, 100)}`, heard);
  }

  const call = openCall(target, conversationId);
  try {
    const { failures } = await playCall(scenario, {
      timeoutMs,
      signal: interrupted,
      stage: NO_STAGE,
      notebook: new Notebook(),
      callerFrom: () => call,
      explain: (failure) => describeFailure(failure, target),
      onAct,
    });
    if (interrupted.aborted) throw interruptedError(interrupted);
    for (const step of checks) report(step, failures);
    const atEnd = failures.filter((failure) => !known.has(failure));
    if (atEnd.length > 0) report({ written: 'end' }, atEnd);
  } catch (error) {
    throw interrupted.aborted ? interruptedError(interrupted) : error;
  } finally {
    await call.end().over(END_TIMEOUT_MS); // nothing is posted if the call has ended
    call.abandon();
  }

  const all = counted(steps.length, 'step');
  const sum = failed === 0
    ? paint('green', steps.length === 1 ? 'The step passed' : `All ${all} passed`)
    : paint('red', `${counted(failed, 'failure')} in ${all}`);
  const left = steps.length - played;
  stdout.write(`\n${sum}${left === 0 ? '' : `; ${counted(left, 'step')} not played`}.\n`);
  return failed === 0 ? EXIT.OK : EXIT.FAILED;
}
