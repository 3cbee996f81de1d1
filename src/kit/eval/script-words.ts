// What each word of a script takes.

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { isToolName } from '../../models/well-formed-call.ts';
import { Refusal } from '../../settings/kinds.ts';
import { rows } from '../../settings/table.ts';
import { parseTime } from '../terminal/flags.ts';
import { oneLine } from '../terminal/text.ts';
import { LineFault, parseExpectation, parseValueExpectation } from './expectation.ts';
import { parseMock, parseModelLine } from './stand-in-lines.ts';
import type { Action, CallerLine, CheckLine, Moment } from './step.ts';
import { parseToolExpectation } from './tool-line.ts';

/** Maximum number of times that a judge is asked about one line. */
const MAX_ASKED = 21;

/** The words, in the order in which a message lists them. */
export const WORDS: Readonly<Record<string, (argument: string) => Action>> = {
  say: (argument) => ({
    name: 'say', text: text(argument, 'say takes what the caller says: say Hello there'),
  }),
  call: parseCall,
  caller: parseCallerLine,
  expect: expecting('expect'),
  'expect-not': expecting('expect-not'),
  'expect-data': expecting('expect-data', parseValueExpectation),
  'expect-no-data': expecting('expect-no-data', parseValueExpectation),
  'expect-hangup': alone('expect-hangup'),
  'expect-tool': (argument) => ({
    name: 'expect-tool', expected: parseToolExpectation('expect-tool', argument),
  }),
  'expect-no-tool': (argument) => ({
    name: 'expect-no-tool', expected: parseToolExpectation('expect-no-tool', argument),
  }),
  'expect-state': expecting('expect-state', parseValueExpectation),
  'expect-prompt': expecting('expect-prompt'),
  'expect-no-prompt': expecting('expect-no-prompt'),
  'expect-same-request': alone('expect-same-request'),
  never: expecting('never'),
  'never-fails': alone('never-fails'),
  'never-cut': alone('never-cut'),
  'never-repeats': alone('never-repeats'),
  'never-acts-twice': (argument) => ({
    name: 'never-acts-twice', tools: argument === '' ? [] : toolNames('never-acts-twice', argument),
  }),
  within: parseWithin,
  'ends-within': (argument) => ({
    name: 'ends-within', ms: timeOf(argument, 'ends-within takes a time: ends-within 5 s'),
  }),
  judge: parseJudge,
  good: (argument) => ({ name: 'good', text: text(argument, 'good takes words that pass') }),
  bad: (argument) => ({ name: 'bad', text: text(argument, 'bad takes words that do not pass') }),
  interrupt: (argument) => ({
    name: 'interrupt', at: momentOf('interrupt', argument) ?? { words: 0 },
  }),
  drop: (argument) => ({ name: 'drop', at: momentOf('drop', argument) ?? { words: 0 } }),
  'deliver-again': (argument) => ({
    name: 'deliver-again', at: momentOf('deliver-again', argument),
  }),
  restart: (argument) => ({ name: 'restart', at: momentOf('restart', argument) }),
  kill: (argument) => ({ name: 'kill', at: momentOf('kill', argument) }),
  data: (argument) => ({ name: 'data', data: objectOf(argument, 'data', '{"page": 2}') }),
  model: parseModelLine,
  mock: parseMock,
  real: (argument) => ({ name: 'real', tools: toolNames('real', argument) }),
  agent: (argument) => ({
    name: 'agent', text: text(argument, 'agent takes a name, or the path of a module'),
  }),
  wire: parseWire,
  at: parseClock,
  store: parseStore,
  elsewhere: (argument) => {
    if (argument !== '') throw new LineFault('elsewhere stands alone');
    return { name: 'elsewhere' };
  },
  models(argument) {
    if (!/^[1-5]$/.test(argument))
      throw new LineFault('models takes a number from 1 to 5: models 2');
    return { name: 'models', count: Number(argument) };
  },
  from: (argument) => ({ name: 'from', text: number('from', argument) }),
  to: (argument) => ({ name: 'to', text: number('to', argument) }),
  metadata: (argument) => ({
    name: 'metadata', metadata: objectOf(argument, 'metadata', '{"plan": "gold"}'),
  }),
  language(argument) {
    if (!/^[A-Za-z]{2,3}(-[A-Za-z\d]{1,8})*$/.test(argument))
      throw new LineFault('language takes a tag such as en-GB');
    return { name: 'language', text: argument };
  },
  set(argument) {
    const [, variable, value] = /^([A-Z][A-Z0-9_]*)(?:\s+|\s*=\s*)(\S.*)$/.exec(argument) ?? [];
    if (variable === undefined || value === undefined)
      throw new LineFault('set takes a setting and its value: set FIRST_WORD_TIMEOUT_SECONDS 1');
    return { name: 'set', variable, value };
  },
};

function parseWire(argument: string): Action {
  if (argument === 'layercode') return { name: 'wire', wire: argument };
  const [wire, given = 'generic', more] = argument.split(/\s+/);
  const { parse, takes } = rows.chatCompletionsProfile;
  const profile = parse(given);
  if (wire === 'chat-completions' && !(profile instanceof Refusal) && more === undefined)
    return { name: 'wire', wire, profile };
  throw new LineFault(`wire is layercode, or chat-completions with a profile: ${takes}`);
}

function parseClock(argument: string): Action {
  const [, date, time] = /^(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d)$/.exec(argument) ?? [];
  if (time === undefined || Number.isNaN(Date.parse(`${date ?? '2026-01-01'}T${time}`)))
    throw new LineFault('at takes what the clock says: at 23:30, or: at 2026-12-01 23:30');
  return { name: 'at', clock: { date, time } };
}

function parseStore(argument: string): Action {
  if (argument === 'is away') return { name: 'store', awayMs: Infinity };
  if (argument === 'is back') return { name: 'store', awayMs: 0 };
  const awayMs = parseTime(/^stalls (.*)$/.exec(argument)?.[1] ?? '');
  if (awayMs !== undefined) return { name: 'store', awayMs };
  throw new LineFault('store stalls for a time, is away, or is back: store stalls 300 ms');
}

function parseCall(argument: string): Action {
  if (argument === 'again') return { name: 'call', from: undefined };
  const from = /^from (\S.*)$/.exec(argument)?.[1];
  if (from === undefined) throw new LineFault('call takes: call again, or: call from +15550100');
  return { name: 'call', from: number('call from', from) };
}

type Expecting = Extract<CheckLine, { readonly expectation: unknown }>['name'];
type Alone =
  | 'expect-hangup' | 'expect-same-request' | 'never-fails' | 'never-cut' | 'never-repeats';

function expecting(name: Expecting, parse = parseExpectation): (argument: string) => Action {
  return (argument) => ({ name, expectation: parse(name, argument) });
}

function alone(name: Alone): (argument: string) => Action {
  return (argument) => {
    if (argument !== '') throw new LineFault(`${name} stands alone`);
    return { name };
  };
}

function text(argument: string, rule: string): string {
  if (argument === '') throw new LineFault(rule);
  return argument;
}

function parseJudge(argument: string): Action {
  const [, count, rest = argument] = /^(\d{1,4}) times?\s+(.*)$/.exec(argument) ?? [];
  const times = Number(count ?? 1);
  if (times < 1 || times > MAX_ASKED || times % 2 === 0)
    throw new LineFault(`judge is asked an odd number of times, up to ${MAX_ASKED}`);
  const question = text(unquoted(rest), 'judge takes what a reply must be like');
  return { name: 'judge', question, times };
}

function unquoted(argument: string): string {
  return /^"([^"]+)"$/.exec(argument)?.[1] ?? argument;
}

function number(name: string, argument: string): string {
  if (argument === '' || argument.length > 100)
    throw new LineFault(`${name} takes a telephone number: ${name} +15550100`);
  return argument;
}

function objectOf(argument: string, name: string, example: string): JsonObject {
  const value = parseJson(argument);
  if (isObject(value)) return value as JsonObject;
  throw new LineFault(`${name} takes a JSON object: ${name} ${example}`);
}

function toolNames(word: string, argument: string): readonly string[] {
  const names = argument.split(/[\s,]+/).filter((name) => name !== '');
  if (names.length === 0) throw new LineFault(`${word} takes names of tools: ${word} book_table`);
  const wrong = names.find((name) => !isToolName(name));
  if (wrong !== undefined) throw new LineFault(`${oneLine(wrong, 80)} is not the name of a tool`);
  return names;
}

/** Undefined if nothing is said. */
function momentOf(name: string, argument: string): Moment | undefined {
  if (argument === '') return undefined;
  const words = /^after (\d{1,4}) words?$/.exec(argument)?.[1];
  if (words !== undefined) return { words: Number(words) };
  const [, during, beginning] = /^(?:during (\S+)|as (\S+) begins)$/.exec(argument) ?? [];
  const tool = during ?? beginning;
  if (tool !== undefined && isToolName(tool)) return { tool, isBeginning: during === undefined };
  throw new LineFault(
    `${name} stands alone, or as: ${name} after 3 words, or: ${name} during book_table, or: `
      + `${name} as book_table begins`,
  );
}

function timeOf(argument: string, rule: string): number {
  const ms = parseTime(argument);
  if (ms === undefined) throw new LineFault(rule);
  return ms;
}

function parseWithin(argument: string): Action {
  const [, tokens, inAll] = /^(\d{1,9}) tokens?( in all)?$/.exec(argument) ?? [];
  if (tokens !== undefined) {
    if (Number(tokens) === 0) throw new LineFault('within takes at least 1 token');
    return {
      name: 'within-tokens', tokens: Number(tokens), isInAll: inAll !== undefined,
    };
  }
  const rule = 'within takes a time: within 2 s, within 800 ms; or tokens: within 900 tokens';
  return { name: 'within', ms: timeOf(argument, rule) };
}

const CALLER_RULE =
  'caller takes whom a model plays, what they want, and a bound: '
  + 'caller "a hurried customer" wants "a table for two" in 8 turns';
const MAX_TURNS = 50;

/** `caller "PERSONA" wants "GOAL" in 8 turns` */
function parseCallerLine(argument: string): CallerLine {
  const [, persona, goal, turns] =
    /^"([^"]+)" wants "([^"]+)" in (\d{1,3}) turns?$/.exec(argument) ?? [];
  if (persona === undefined || goal === undefined) throw new LineFault(CALLER_RULE);
  const maxTurns = Number(turns);
  if (maxTurns >= 1 && maxTurns <= MAX_TURNS) return { name: 'caller', persona, goal, maxTurns };
  throw new LineFault(`a played caller takes 1 to ${MAX_TURNS} turns`);
}
