// The language of scenarios and of `talk --script`, one step per line: docs/evals.md.

import { readFileSync } from 'node:fs';

import { nearestName } from '../../base/nearest-name.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { oneLine } from '../terminal/text.ts';
import { LineFault, type Words } from './line.ts';
import { WORDS, type Step } from './steps.ts';

/** What is wrong with a script: one line for each problem, with its line number. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
  readonly file: string;
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[], options?: ErrorOptions) {
    super(`${file}: ${problems.join('; ')}`, options);
    this.file = file;
    this.problems = problems;
  }
}

const MAX_PROBLEMS = 20;

/**
 * The text of a script. Throws a `ScriptError` if the file cannot be read or is not text. `file` is
 * for the message.
 */
export function readText(path: string, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError
      ? 'it is not UTF-8 text' : `it cannot be read: ${oneLine(messageOf(error))}`;
    throw new ScriptError(file, [reason], { cause: error });
  }
}

/** Throws one `ScriptError` with every problem and its line number. `file` is for the message. */
export function parseScript(script: string, file: string): readonly Step[] {
  const steps: Step[] = [];
  const problems: string[] = [];
  for (const [index, line] of script.split(/\r\n|\r|\n/).entries()) {
    const written = withoutComment(line).trim();
    if (written === '') continue;
    const [name = ''] = written.split(/\s/, 1);
    try {
      const fields = parserOf(name)(written.slice(name.length).trim(), name);
      steps.push({ name, lineNumber: index + 1, written, ...fields } as Step);
    } catch (error) {
      if (!(error instanceof LineFault)) throw error;
      problems.push(`line ${index + 1}: ${error.message}`);
    }
  }
  if (steps.length === 0 && problems.length === 0) problems.push('it contains no steps');
  if (problems.length > 0) throw new ScriptError(file, atMost(MAX_PROBLEMS, problems));
  return steps;
}

/** Not just any # begins a comment: "say Order #5" contains one too. */
export function withoutComment(line: string): string {
  return line.replace(/(^\s*|\s{2,}|\t)#.*$/, '');
}

function parserOf(name: string): Words[string] {
  const words: Words = WORDS;
  const parse = Object.hasOwn(words, name) ? words[name] : undefined;
  if (parse !== undefined) return parse;
  const meant = nearestName(name, Object.keys(words), Math.floor(name.length / 3));
  const remedy = meant === undefined ? 'docs/evals.md lists them' : `did you mean ${meant}?`;
  throw new LineFault(`${oneLine(name, 40)} is not a step; ${remedy}`);
}

function atMost(count: number, problems: readonly string[]): readonly string[] {
  if (problems.length <= count) return problems;
  return [...problems.slice(0, count), `and ${problems.length - count} more`];
}
