// What `eval` prints: a line for each run as it ends, and finally what was not as expected.

import type { Terminal } from '../terminal/command.ts';
import { paintFor } from '../terminal/output.ts';
import { oneLine } from '../terminal/text.ts';
import { hasPassed, type Budgets } from './budgets.ts';
import type { ScenarioRuns } from './play-all.ts';
import { reportOf } from './report.ts';
import type { ScenarioResult } from './result.ts';
import type { Unplayable } from './staged-scenarios.ts';

const MAX_ROW_LENGTH = 1_000;

function isPassed({ outcome }: ScenarioResult): boolean {
  return outcome === 'passed';
}

const MARKS = {
  passed: ['green', '✓'], failed: ['red', '✗'], undecided: ['cyan', '?'],
} as const satisfies Record<ScenarioResult['outcome'], readonly [string, string]>;

/**
 * Writes a line for each run that it gets, and on a terminal how many are left. Call it without a
 * run after the last one. With JSON on stdout the lines go to stderr.
 */
export function progressOn(
  { stdout, stderr, environment }: Terminal,
  count: number,
  isJson: boolean,
): (result?: ScenarioResult) => void {
  const stream = isJson ? stderr : stdout;
  const paint = paintFor(stream, environment);
  let done = 0;
  const onTerminal = (text: string): void => {
    if (stream.isTTY === true) stream.write(text);
  };
  onTerminal(`0 of ${count}`);
  return (result) => {
    onTerminal('\r\u001b[K');
    if (result === undefined) return;
    const { name, outcome, turns, durationMs } = result;
    const [colour, mark] = MARKS[outcome];
    const figures = paint('dim', `(${turns.length} turns, ${Math.round(durationMs)} ms)`);
    stream.write(`${paint(colour, mark)} ${oneLine(name, 200)}  ${figures}\n`);
    onTerminal(`${(done += 1)} of ${count}`);
  };
}

/** What was not as expected, with the transcript around it, what was skipped, and the totals. */
export function printReport(
  all: readonly ScenarioRuns[],
  skipped: readonly Unplayable[],
  budgets: Budgets,
  { stdout, environment }: Terminal,
): void {
  const paint = paintFor(stdout, environment);
  for (const { results } of all) {
    const wrong = results.find((result) => !isPassed(result));
    if (wrong === undefined) continue;
    const passed = results.filter(isPassed).length;
    const share = results.length === 1 ? '' : `  ${passed} of ${results.length} runs passed`;
    const [colour, mark] = MARKS[wrong.outcome];
    stdout.write(`\n${paint(colour, `${mark} ${oneLine(wrong.file, 200)}`)}${share}\n`);
    for (const line of reportOf(wrong)) stdout.write(line === '' ? '\n' : `  ${line}\n`);
  }
  for (const { file, problems } of skipped) {
    const why = `skipped: ${problems.join('; ')}`;
    stdout.write(`\n${paint('cyan', `- ${oneLine(file, 200)}`)}  ${why}\n`);
  }
  const passed = all.filter(({ figures }) => hasPassed(figures, budgets)).length;
  const sum = `${passed} of ${all.length} scenarios passed`
    + (skipped.length === 0 ? '' : `, ${skipped.length} skipped`);
  stdout.write(`\n${paint(passed === all.length ? 'green' : 'red', sum)}.\n`);
}

export function printTable(lines: readonly string[], { stdout, environment }: Terminal): void {
  const [heading = '', ...rows] = lines.map((line) => oneLine(line, MAX_ROW_LENGTH));
  const paint = paintFor(stdout, environment);
  stdout.write(['', paint('dim', heading), ...rows, ''].join('\n'));
}
