import { resolve } from 'node:path';

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { counted, oneLine, shellWord } from '../terminal/text.ts';
import { scenarioOf, type Scenario } from './scenario.ts';
import { parseScript, readText, ScriptError, withoutComment } from './script.ts';

/** `order.txt#2` is the second case of `order.txt`. */
const CASE_NUMBER = /#(\d{1,6})$/;

/** The path of the file. */
export function withoutCase(path: string): string {
  return path.replace(CASE_NUMBER, '');
}

/**
 * Reads a file: a scenario, or one for each of its cases. Throws a `ScriptError` for a file that
 * cannot be read or is not one.
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

/** A text, and one for each line such as `case {"guests": 2}`, with 2 in place of `{guests}`. */
export function casesIn(
  text: string,
  file: string,
): { readonly text: string; readonly cases: readonly string[] } {
  const cases: JsonObject[] = [];
  const lines = text.split(/\r\n|\r|\n/).map((line, index) => {
    const [, written] = /^\s*case(?:\s+(.*))?$/.exec(withoutComment(line)) ?? [];
    if (written === undefined) return line;
    const values = parseJson(written);
    if (isObject(values)) cases.push(values as JsonObject);
    else throw new ScriptError(file, [
      `line ${index + 1}: case takes a JSON object: case {"guests": 2}`,
    ]);
    return '';
  });
  const plain = lines.join('\n');
  const filledIn = (values: JsonObject): string =>
    plain.replaceAll(/\{(\w+)\}/g, (place, name: string) => {
      if (!Object.hasOwn(values, name)) return place;
      const value = values[name];
      return typeof value === 'string' ? value : JSON.stringify(value);
    });
  return { text: plain, cases: cases.map(filledIn) };
}
