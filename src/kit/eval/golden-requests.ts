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
  readonly #count: number;

  /** `scenarioPath` may end with the number of a case. */
  constructor(scenarioPath: string, { steps }: Scenario, isUpdating: boolean) {
    this.#path = besideScenario(scenarioPath, '.requests.golden');
    this.#count = steps.filter(({ name }) => name === 'expect-same-request').length;
    this.#isUpdating = isUpdating;
  }

  /**
   * Why a turn's requests are not those that the line with this number, from 1, has accepted.
   * Undefined if they are.
   */
  faultOf(line: number, text: string): readonly string[] | undefined {
    try {
      return this.#compare(line, normal(text));
    } catch (error) {
      return [messageOf(error)];
    }
  }

  #compare(line: number, text: string): readonly string[] | undefined {
    const accepted = this.#read();
    if (this.#isUpdating) {
      accepted.set(line, text);
      this.#write(accepted);
      return undefined;
    }
    const before = accepted.get(line);
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
      .filter(([line]) => line <= this.#count)
      .sort(([a], [b]) => a - b)
      .map(([line, text]) => `=== ${line}\n${text}\n`);
    writeFileSync(this.#path, parts.join('\n'));
  }
}

/** The same for texts that differ in the kind of line breaks, or in blanks around them. */
function normal(text: string): string {
  return text.replaceAll(/\r\n?/g, '\n').trim();
}
