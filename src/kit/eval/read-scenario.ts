import { resolve } from 'node:path';

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { counted, oneLine, shellWord } from '../terminal/text.ts';
import { scenarioOf, type Scenario } from './scenario.ts';
import { parseScript, readText, ScriptError, withoutComment } from './script.ts';

/** `order.txt#2` is the second case of `order.txt`. */
const CASE_NUMBER = /#(\d{1,6})$/;

/** A line such as `case {"guests": 2}`. */
const CASE = /^\s*case(?:\s+(.*))?$/;

/** A place such as `{guests}`. In a pattern, `\p{Lu}` is not one. */
const PLACE = /(?<!\\[pPu])\{(\w+)\}/g;

export function withoutCase(path: string): string {
  return path.replace(CASE_NUMBER, '');
}

/**
 * Reads the scenario in a file, or one for each of its cases. Throws a `ScriptError` for a file
 * that cannot be read or is not a scenario.
 */
export function readScenarios(path: string, directory: string): readonly Scenario[] {
  const file = shellWord(oneLine(path, 200));
  const filePath = withoutCase(path);
  const { text, cases } = casesIn(readText(resolve(directory, filePath), file), file);
  const [, number] = CASE_NUMBER.exec(path) ?? [];
  const read = cases.map((one, index) => (): Scenario =>
    scenarioOf(parseScript(one, file), `${filePath}#${index + 1}`));
  if (number === undefined && read.length === 0) read.push(() =>
    scenarioOf(parseScript(text, file), path));
  const asked = number === undefined ? read : read.slice(Number(number) - 1, Number(number));
  if (asked.length === 0) throw new ScriptError(file, [`it has ${counted(cases.length, 'case')}`]);
  return asked.map((one) => one());
}

/** Whether the line is a case, even if what it says is wrong. */
export function isCase(line: string): boolean {
  return CASE.test(withoutComment(line));
}

/**
 * The text, and a copy for each line such as `case {"guests": 2}`, with 2 in place of `{guests}`.
 */
export function casesIn(
  text: string,
  file: string,
): { readonly text: string; readonly cases: readonly string[] } {
  const cases: JsonObject[] = [];
  const lines = text.split(/\r\n|\r|\n/).map((line, index) => {
    const [, written] = CASE.exec(withoutComment(line)) ?? [];
    if (written === undefined) return line;
    const values = parseJson(written);
    if (isObject(values)) cases.push(values as JsonObject);
    else throw new ScriptError(file, [
      `line ${index + 1}: case takes a JSON object: case {"guests": 2}`,
    ]);
    return '';
  });
  const missing = problemsOfPlaces(lines, cases);
  if (missing.length > 0) throw new ScriptError(file, missing);
  const plain = lines.join('\n');
  const filledIn = (values: JsonObject): string =>
    plain.replaceAll(PLACE, (place, name: string) => {
      if (!Object.hasOwn(values, name)) return place;
      const value = values[name];
      return typeof value === 'string' ? value : JSON.stringify(value);
    });
  return { text: plain, cases: cases.map(filledIn) };
}

/** A misspelt name would be said as it is written, in braces. */
function problemsOfPlaces(
  lines: readonly string[],
  cases: readonly JsonObject[],
): readonly string[] {
  if (cases.length === 0) return [];
  return lines.flatMap((line, index) => {
    const names = [...withoutComment(line).matchAll(PLACE)].map(([, name = '']) => name)
      .filter((name) => !/^\d+$/.test(name)); // a pattern may repeat something: \d{2}
    return [...new Set(names)].flatMap((name) => {
      const has = cases.map((values) => Object.hasOwn(values, name));
      if (!has.includes(false)) return [];
      const problem = has.includes(true)
        ? `case ${has.indexOf(false) + 1} has no ${name}` : `no case has ${name}`;
      return [`line ${index + 1}: ${problem}`];
    });
  });
}
