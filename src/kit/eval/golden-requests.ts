// The golden file beside a scenario: the accepted requests to models.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import { besideScenario, type Scenario } from './scenario.ts';
import type { Fault } from './seen-call.ts';
import { shownDiff, textDiff } from './text-diff.ts';

const HEADING = /^=== (\d+)\n/m;

/** Why a turn's requests are not those accepted for the line with this number. */
export type CompareRequests = (lineNumber: number, text: string) => Fault;

/**
 * Compares what models were sent with the file, or writes the file. `scenarioPath` may end with the
 * number of a case.
 */
export function goldenRequests(
  scenarioPath: string,
  { steps }: Scenario,
  isUpdating: boolean,
): CompareRequests {
  const path = besideScenario(scenarioPath, '.requests.golden');
  // The file numbers the comparing lines, from 1.
  const lines = steps.filter(({ name }) => name === 'expect-same-request');

  function compare(number: number, text: string): Fault {
    const accepted = readGolden(path);
    if (isUpdating) {
      accepted.set(number, text);
      const parts = [...accepted]
        .filter(([known]) => known <= lines.length)
        .sort(([a], [b]) => a - b)
        .map(([known, part]) => `=== ${known}\n${part}\n`);
      writeFileSync(path, parts.join('\n'));
      return undefined;
    }
    const before = accepted.get(number);
    const file = basename(path);
    if (before === undefined) return [`${file} has no request for this line; --update adds it`];
    const diff = textDiff(before, text);
    if (diff.length === 0) return undefined;
    const what = `it differs from ${file}, accepted (-) and sent (+); --update accepts it`;
    return [what, ...shownDiff(diff)];
  }

  return (lineNumber, text) => {
    try {
      return compare(lines.findIndex((line) => line.lineNumber === lineNumber) + 1, normal(text));
    } catch (error) {
      return [messageOf(error)];
    }
  };
}

/** What was accepted, by number. Empty if there is no file. */
function readGolden(path: string): Map<number, string> {
  let text: string;
  try {
    text = normal(readFileSync(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return new Map();
    throw error;
  }
  const [, ...parts] = text.split(HEADING);
  return new Map(parts.flatMap((part, index) =>
    index % 2 === 1 ? [] : [[Number(part), normal(parts[index + 1] ?? '')]],
  ));
}

/** The same for texts that differ only in the kind of line break, or in blanks around them. */
function normal(text: string): string {
  return text.replaceAll(/\r\n?/g, '\n').trim();
}
