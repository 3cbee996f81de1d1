// The golden file beside a scenario: what models are sent, as it was accepted.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

import { codeOf, messageOf } from '../../base/thrown-values.ts';
import { besideScenario, type Scenario } from './scenario.ts';
import { shownDiff, textDiff } from './text-diff.ts';

const HEADING = /^=== (\d+)\n/m;

/** Compares what models were sent with the file, or writes the file. */
export class GoldenRequests {
  readonly #path: string;
  readonly #isUpdating: boolean;
  /** Numbers of the lines that compare, in order. The file counts them from 1. */
  readonly #lines: readonly number[];

  /** `scenarioPath` may end with the number of a case. */
  constructor(scenarioPath: string, { steps }: Scenario, isUpdating: boolean) {
    this.#path = besideScenario(scenarioPath, '.requests.golden');
    this.#lines = steps
      .filter(({ name }) => name === 'expect-same-request')
      .map(({ lineNumber }) => lineNumber);
    this.#isUpdating = isUpdating;
  }

  /**
   * Why a turn's requests are not those that the line with this number has accepted. Undefined if
   * they are.
   */
  faultOf(lineNumber: number, text: string): readonly string[] | undefined {
    try {
      return this.#compare(this.#lines.indexOf(lineNumber) + 1, normal(text));
    } catch (error) {
      return [messageOf(error)];
    }
  }

  #compare(number: number, text: string): readonly string[] | undefined {
    const accepted = this.#read();
    if (this.#isUpdating) {
      accepted.set(number, text);
      this.#write(accepted);
      return undefined;
    }
    const before = accepted.get(number);
    const remedy = '--update accepts it';
    if (before === undefined) return [`${basename(this.#path)} does not have it; ${remedy}`];
    const diff = textDiff(before, text);
    if (diff.length === 0) return undefined;
    return [
      `it differs from ${basename(this.#path)}, accepted (-) and sent (+); ${remedy}`,
      ...shownDiff(diff),
    ];
  }

  #read(): Map<number, string> {
    let text: string;
    try {
      text = normal(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return new Map();
      throw error;
    }
    const [, ...parts] = text.split(HEADING);
    return new Map(parts.flatMap((part, index) =>
      index % 2 === 1 ? [] : [[Number(part), normal(parts[index + 1] ?? '')]],
    ));
  }

  #write(accepted: ReadonlyMap<number, string>): void {
    const parts = [...accepted]
      .filter(([number]) => number <= this.#lines.length)
      .sort(([a], [b]) => a - b)
      .map(([number, text]) => `=== ${number}\n${text}\n`);
    writeFileSync(this.#path, parts.join('\n'));
  }
}

/** The same for texts that differ in the kind of line breaks, or in blanks around them. */
function normal(text: string): string {
  return text.replaceAll(/\r\n?/g, '\n').trim();
}
