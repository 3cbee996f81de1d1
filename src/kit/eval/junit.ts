// JUnit's XML, as CI servers read it: one test case for each run of a scenario.

import { hasPassed, type Budgets } from './budgets.ts';
import type { ScenarioRuns } from './play-all.ts';
import { reportOf } from './report.ts';
import type { ScenarioResult } from './result.ts';
import { nameOf } from './scenario.ts';
import type { Unplayable } from './staged-scenarios.ts';

export function junitXml(
  all: readonly ScenarioRuns[],
  unplayable: readonly Unplayable[],
  budgets: Budgets,
): string {
  const cases = all.flatMap((runs) => runs.results.map((result) => (
    { result, runs, isBorne: result.outcome !== 'passed' && hasPassed(runs.figures, budgets) }
  )));
  const results = all.flatMap((runs) => runs.results);
  const counted = cases.filter((one) => !one.isBorne).map(({ result }) => result);
  const failed = counted.filter(({ outcome }) => outcome === 'failed').length;
  const undecided = counted.filter(({ outcome }) => outcome === 'undecided').length;
  const left = unplayable.filter(({ isSkipped }) => isSkipped).length;
  const skipped = left + results.length - counted.length;
  const tests = results.length + unplayable.length;
  const errors = undecided + unplayable.length - left;
  const seconds = sum(results.map(({ durationMs }) => durationMs)) / 1_000;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="eval" tests="${tests}" failures="${failed}" errors="${errors}" `
      + `skipped="${skipped}" time="${seconds.toFixed(3)}">`,
    ...cases.map(testCase),
    ...unplayable.map(unplayableCase),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

interface Case {
  readonly result: ScenarioResult;
  readonly runs: ScenarioRuns;
  /** Whether it did not pass, but enough other runs of its scenario did. */
  readonly isBorne: boolean;
}

function testCase({ result, runs: { results }, isBorne }: Case): string {
  const { file, outcome, durationMs } = result;
  const run = results.length === 1 ? '' : `, run ${results.indexOf(result) + 1}`;
  const name = `${result.name}${run}`;
  const attributes =
    `name="${escaped(name)}" classname="${escaped(file)}" time="${(durationMs / 1_000).toFixed(3)}"`;
  if (outcome === 'passed') return `    <testcase ${attributes}/>`;
  const element = isBorne ? 'skipped' : outcome === 'failed' ? 'failure' : 'error';
  const [message = outcome] = reportOf(result);
  return [
    `    <testcase ${attributes}>`,
    `      <${element} message="${escaped(message)}">${escaped(reportOf(result).join('\n'))}`
      + `</${element}>`,
    '    </testcase>',
  ].join('\n');
}

function unplayableCase({ file, problems, isSkipped }: Unplayable): string {
  const element = isSkipped ? 'skipped' : 'error';
  const message = escaped(problems.join('; '));
  return [
    `    <testcase name="${escaped(nameOf(file))}" classname="${escaped(file)}" time="0">`,
    `      <${element} message="${message}"/>`,
    '    </testcase>',
  ].join('\n');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** Escaped, and without the characters that XML cannot hold at all. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
