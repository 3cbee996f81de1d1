// `expect-tool NAME [once | twice | 3 times] [in all] [with JSON]
// [returns … | fails … | not-done … | refused]`

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { isToolName } from '../../models/well-formed-call.ts';
import { LineFault, parseExpectation, parseValueExpectation } from './expectation.ts';
import type { ToolExpectation } from './step.ts';

const TIMES: Readonly<Record<string, number>> = { once: 1, twice: 2 };

export function parseToolExpectation(
  name: 'expect-tool' | 'expect-no-tool',
  written: string,
): ToolExpectation {
  const [tool = ''] = written.split(/\s/, 1);
  if (!isToolName(tool)) {
    throw new LineFault(`${name} takes the name of a tool: ${name} book_table`);
  }
  let rest = written.slice(tool.length).trim();
  const isNever = name === 'expect-no-tool';
  let times: number | undefined = isNever ? 0 : undefined;
  const counted = /^(?:(once|twice)|(\d{1,4}) times)(?=\s|$)/.exec(rest);
  if (counted !== null && !isNever) {
    times = TIMES[counted[1] ?? ''] ?? Number(counted[2]);
    rest = rest.slice(counted[0].length).trim();
  }
  const isInAll = /^in all(?=\s|$)/.test(rest);
  if (isInAll) rest = rest.slice('in all'.length).trim();
  let args: JsonObject | undefined;
  if (/^with\s/.test(rest)) ({ args, rest } = parseWith(rest.slice('with'.length).trim()));
  const outcome = isNever && rest !== '' ? refuse(name) : parseOutcome(name, rest);
  return { tool, times, isInAll, args, outcome };
}

/** The JSON object ends at the first brace that makes it whole. */
function parseWith(written: string): { readonly args: JsonObject; readonly rest: string } {
  for (let end = written.indexOf('}'); end !== -1; end = written.indexOf('}', end + 1)) {
    const value = parseJson(written.slice(0, end + 1));
    if (isObject(value)) {
      return { args: value as JsonObject, rest: written.slice(end + 1).trim() };
    }
  }
  throw new LineFault('with takes a JSON object of arguments: with {"guests": 2}');
}

function parseOutcome(name: string, rest: string): ToolExpectation['outcome'] {
  if (rest === '') return undefined;
  if (rest === 'refused') return { kind: 'refused' };
  const [, kind, expected = ''] = /^(returns|fails|not-done)(?:\s+(.+))?$/.exec(rest) ?? [];
  if (kind === 'returns') {
    return { kind, expectation: parseValueExpectation('returns', expected) };
  }
  if (kind === 'fails' || kind === 'not-done') {
    return { kind, expectation: parseExpectation(kind, expected === '' ? '/^/' : expected) };
  }
  return refuse(name);
}

function refuse(name: string): never {
  const after = name === 'expect-tool'
    ? 'once, twice, 3 times, in all, with {…}, returns …, fails …, not-done … or refused'
    : 'in all, or with {…}';
  throw new LineFault(`after the name of the tool, ${name} takes ${after}, in this order`);
}
