import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { messageOf } from '../../base/thrown-values.ts';
import { oneLine, shellWord } from '../terminal/one-line.ts';
import { scenarioOf, type Scenario } from './scenario.ts';
import { parseScript, ScriptError } from './script.ts';

/** Reads a scenario. Throws a `ScriptError` for a file that cannot be read or is not one. */
export function readScenario(path: string, directory: string): Scenario {
  const file = shellWord(oneLine(path, 200));
  const text = readText(resolve(directory, path), file);
  return scenarioOf(parseScript(text, file), path);
}

function readText(path: string, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError
      ? 'it is not UTF-8 text' : `it cannot be read: ${oneLine(messageOf(error))}`;
    throw new ScriptError(file, [reason], { cause: error });
  }
}
