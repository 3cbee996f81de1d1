// JUnit's XML, as CI servers read it: one test case for each run of a scenario.

import type { ScenarioRuns } from './play-all.ts';
import { reportOf } from './report.ts';
import type { ScenarioResult } from './result.ts';

export function junitXml(all: readonly ScenarioRuns[]): string {
  const results = all.flatMap((runs) => runs.results);
  const failed = results.filter(({ outcome }) => outcome === 'failed').length;
  const undecided = results.filter(({ outcome }) => outcome === 'undecided').length;
  const seconds = sum(results.map(({ durationMs }) => durationMs)) / 1_000;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="eval" tests="${results.length}" failures="${failed}" `
      + `errors="${undecided}" time="${seconds.toFixed(3)}">`,
    ...all.flatMap((runs) => runs.results.map((result, run) => testCase(result, run, runs))),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase(result: ScenarioResult, run: number, { results }: ScenarioRuns): string {
  const { file, outcome, durationMs } = result;
  const name = results.length === 1 ? result.name : `${result.name}, run ${run + 1}`;
  const attributes =
    `name="${escaped(name)}" classname="${escaped(file)}" time="${(durationMs / 1_000).toFixed(3)}"`;
  if (outcome === 'passed') return `    <testcase ${attributes}/>`;
  const element = outcome === 'failed' ? 'failure' : 'error';
  const [message = outcome] = reportOf(result);
  return [
    `    <testcase ${attributes}>`,
    `      <${element} message="${escaped(message)}">${escaped(reportOf(result).join('\n'))}`
      + `</${element}>`,
    '    </testcase>',
  ].join('\n');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** Also without the characters that XML cannot hold at all. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
