// `expect-tool NAME [once | twice | 3 times] [in all] [with JSON]
// [returns … | fails … | not-done … | refused]`

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { isToolName } from '../../core/models/well-formed-call.ts';
import { hasFields, parseExpectation, parseValueExpectation } from './expectation.ts';
import { LineFault } from './line.ts';
import type { PlayedTurn, ToolRunSeen } from './result.ts';
import { MAX_LISTED, runText, sameTurn, type Check, type Fault } from './seen-call.ts';

/** How many times a tool ran, with which arguments, and with which result. */
interface ToolExpectation {
  readonly tool: string;
  /** Undefined: at least once. 0: never. */
  readonly times: number | undefined;
  /** Counted over the call so far, instead of the turn. */
  readonly isInAll: boolean;
  /** The arguments have these fields. */
  readonly args: JsonObject | undefined;
  /** `not-done`: the tool says that it had no effect, or its `once` did not let it begin. */
  readonly outcome: 'returns' | 'fails' | 'not-done' | 'refused' | undefined;
  /** Whether a run had that outcome. */
  readonly hasOutcome: (run: ToolRunSeen) => boolean;
}

const TIMES: Readonly<Record<string, number>> = { once: 1, twice: 2 };

export function parseToolCheck(written: string, name: string): ToolExpectation & Check {
  const [tool = ''] = written.split(/\s/, 1);
  if (!isToolName(tool)) throw new LineFault(`${name} takes the name of a tool: ${name} book_table`);
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
  const expected = { tool, times, isInAll, args, ...outcome };
  return { ...expected, faultIn: ({ turns }) => faultOf(expected, turns) };
}

/** The JSON object ends at the first brace that completes it. */
function parseWith(written: string): { readonly args: JsonObject; readonly rest: string } {
  for (let end = written.indexOf('}'); end !== -1; end = written.indexOf('}', end + 1)) {
    const value = parseJson(written.slice(0, end + 1));
    if (isObject(value)) {
      return { args: value as JsonObject, rest: written.slice(end + 1).trim() };
    }
  }
  throw new LineFault('with takes a JSON object of arguments: with {"guests": 2}');
}

function parseOutcome(
  name: string,
  written: string,
): Pick<ToolExpectation, 'outcome' | 'hasOutcome'> {
  const [, outcome = written, expected = ''] =
    /^(returns|fails|not-done)(?:\s+(.+))?$/.exec(written) ?? [];
  const { matches } = parseExpectation(outcome, expected === '' ? '/^/' : expected);
  switch (outcome) {
    case '':
      return {
        outcome: undefined, hasOutcome: ({ state }) => state !== 'refused' && state !== 'not-begun',
      };
    case 'refused':
      return { outcome, hasOutcome: ({ state }) => state === 'refused' };
    case 'fails':
      return {
        outcome, hasOutcome: ({ state, result }) => state === 'failed' && matches(String(result)),
      };
    case 'not-done':
      return {
        outcome,
        hasOutcome: ({ state, hasActed, result }) =>
          (state === 'not-begun' || (state === 'failed' && !hasActed)) && matches(String(result)),
      };
    case 'returns': {
      const { matchesValue } = parseValueExpectation(outcome, expected);
      return {
        outcome, hasOutcome: ({ state, result }) => state === 'completed' && matchesValue(result),
      };
    }
    default:
      return refuse(name);
  }
}

function refuse(name: string): never {
  const after = name === 'expect-tool'
    ? 'once, twice, 3 times, in all, with {…}, returns …, fails …, not-done … or refused'
    : 'in all, or with {…}';
  throw new LineFault(`after the name of the tool, ${name} takes ${after}, in this order`);
}

function faultOf(
  { tool, times, isInAll, args, hasOutcome }: ToolExpectation,
  turns: readonly PlayedTurn[],
): Fault {
  const runs = (isInAll ? turns : sameTurn(turns))
    .flatMap(({ tools }) => tools)
    .filter((run) => run.tool === tool);
  const count = runs
    .filter((run) => (args === undefined || hasFields(run.args, args)) && hasOutcome(run)).length;
  if (times === undefined ? count > 0 : count === times) return undefined;
  const wanted = times === undefined ? 'at least once' : timesText(times);
  const ran = runs.length === 0
    ? ['ran       (never)']
    : runs.slice(0, MAX_LISTED).map((run) => `ran       ${runText(run)}`);
  return [`expected  ${tool} ${wanted}, but matching runs: ${count}`, ...ran];
}

function timesText(count: number): string {
  return count === 0 ? 'never' : count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`;
}
