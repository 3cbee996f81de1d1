// The language of `talk --script`, one step per line. It is documented in the help of `talk`.

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { messageOf } from '../../base/message-of.ts';
import { UsageError } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';

export type Step = {
  readonly lineNumber: number;
  /** As it was written. */ readonly written: string;
} & Action;

export type Action =
  | { readonly name: 'say'; readonly text: string }
  | { readonly name: 'expect' | 'expect-data'; readonly expectation: Expectation }
  | { readonly name: 'expect-hangup' }
  /** The number of words that must have been heard. 0: as soon as the reply begins. */
  | { readonly name: 'interrupt'; readonly words: number }
  | { readonly name: 'data'; readonly data: JsonObject }
  | { readonly name: 'within'; readonly ms: number };

export interface Expectation {
  readonly written: string;
  matches(text: string): boolean;
}

const MAX_PROBLEMS = 20;

/** What is wrong with the argument of a line. Caught here, and reported with the line number. */
class Fault extends Error {
  override readonly name = 'Fault';
}

const ACTIONS: Readonly<Record<string, (argument: string) => Action>> = {
  say(argument) {
    if (argument === '') throw new Fault('say takes what the caller says: say Hello there');
    return { name: 'say', text: argument };
  },
  expect: (argument) => ({ name: 'expect', expectation: parseExpectation('expect', argument) }),
  'expect-data': (argument) => ({
    name: 'expect-data',
    expectation: parseExpectation('expect-data', argument),
  }),
  'expect-hangup'(argument) {
    if (argument !== '') throw new Fault('expect-hangup stands alone');
    return { name: 'expect-hangup' };
  },
  interrupt(argument) {
    const words = argument === '' ? 0 : Number(/^after (\d{1,4}) words?$/.exec(argument)?.[1]);
    if (Number.isNaN(words)) {
      throw new Fault('interrupt stands alone, or as: interrupt after 3 words');
    }
    return { name: 'interrupt', words };
  },
  data: (argument) => ({ name: 'data', data: parseData(argument) }),
  within(argument) {
    const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?) ?(m?s)$/.exec(argument) ?? [];
    if (amount === undefined || Number(amount) === 0) {
      throw new Fault('within takes a time: within 2 s, within 800 ms');
    }
    return { name: 'within', ms: Number(amount) * (unit === 's' ? 1_000 : 1) };
  },
};

/** Throws one `UsageError` with every problem and its line number. `file` is for the message. */
export function parseScript(script: string, file: string): readonly Step[] {
  const steps: Step[] = [];
  const problems: string[] = [];
  for (const [index, line] of script.split(/\r\n|\r|\n/).entries()) {
    // Not just any #: "say Order #5" contains one too.
    const written = line.replace(/(^\s*|\s{2,}|\t)#.*$/, '').trim();
    if (written === '') continue;
    const [name = ''] = written.split(/\s/, 1);
    try {
      const parse = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
      if (parse === undefined) {
        throw new Fault(
          `${oneLine(name, 40)} is not a step; steps are ${Object.keys(ACTIONS).join(', ')}`,
        );
      }
      steps.push({ lineNumber: index + 1, written, ...parse(written.slice(name.length).trim()) });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      problems.push(`line ${index + 1}: ${error.message}`);
    }
  }
  if (problems.length > MAX_PROBLEMS) {
    problems.splice(MAX_PROBLEMS, problems.length, `and ${problems.length - MAX_PROBLEMS} more`);
  }
  if (steps.length === 0 && problems.length === 0) problems.push('it contains no steps');
  if (problems.length > 0) throw new UsageError(`${file}: ${problems.join('; ')}`);
  return steps;
}

/** A pattern between slashes, or a text that is compared without regard to case and white space. */
function parseExpectation(name: string, written: string): Expectation {
  if (written === '') throw new Fault(`${name} takes a text, or a pattern like /hello|hi/i`);
  const [, pattern, flags = ''] = /^\/(.+)\/(\w*)$/.exec(written) ?? [];
  if (pattern === undefined) {
    const wanted = plain(written);
    return { written, matches: (text) => plain(text).includes(wanted) };
  }
  if (!/^[imsu]*$/.test(flags)) {
    throw new Fault(`${oneLine(written, 80)} is a pattern whose flags can only be i, m, s and u`);
  }
  try {
    const regExp = new RegExp(pattern, flags);
    return { written, matches: (text) => regExp.test(text) };
  } catch (error) {
    throw new Fault(oneLine(messageOf(error)), { cause: error });
  }
}

function plain(text: string): string {
  return text.normalize('NFC').toLowerCase().replace(/\s+/g, ' ').trim();
}

function parseData(argument: string): JsonObject {
  const data = parseJson(argument);
  if (isObject(data)) return data as JsonObject;
  throw new Fault('data takes a JSON object: data {"page": 2}');
}
