// The arguments that many lines of a script take.

import { isToolName } from '../../core/models/well-formed-call.ts';
import { oneLine } from '../terminal/text.ts';

/** What is wrong with a line of a script. Caught where the number of the line is known. */
export class LineFault extends Error {
  override readonly name = 'LineFault';
}

/**
 * Steps by their first word. Each reads what follows the word, and gets the word for its messages.
 * Throws a `LineFault`.
 */
export type Words = Readonly<Record<string, (argument: string, name: string) => object>>;

export function standsAlone(argument: string, name: string): object {
  if (argument !== '') throw new LineFault(`${name} takes nothing after it`);
  return {};
}

export function textOf(argument: string, rule: string): string {
  if (argument === '') throw new LineFault(rule);
  return argument;
}

export function toolNames(argument: string, name: string): readonly string[] {
  const names = argument.split(/[\s,]+/).filter((tool) => tool !== '');
  if (names.length === 0) throw new LineFault(`${name} takes names of tools: ${name} book_table`);
  const wrong = names.find((tool) => !isToolName(tool));
  if (wrong !== undefined) throw new LineFault(`${oneLine(wrong, 80)} is not the name of a tool`);
  return names;
}
