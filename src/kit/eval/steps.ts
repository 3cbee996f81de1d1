// The steps of a scenario: what each one takes, and where it may stand. docs/evals.md lists them.

import { isObject } from '../../base/fields.ts';
import { parseJson, type JsonObject } from '../../base/json.ts';
import { isToolName } from '../../core/models/well-formed-call.ts';
import { Refusal } from '../../server/settings/kinds.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { groups, rows, type Setting } from '../../server/settings/table.ts';
import { parseTime } from '../terminal/flags.ts';
import { CALL_CHECKS, CHECKS } from './check-steps.ts';
import { LineFault, standsAlone, textOf, toolNames, type Words } from './line.ts';
import { parseMock, parseModelLine } from './stand-in-lines.ts';

/** How a Chat Completions platform behaves: `CHAT_COMPLETIONS_PROFILE`. */
export type Profile = Settings['chatCompletionsProfile'];

/** In the time zone of the process. */
export interface Clock {
  /** `2026-12-01`. Undefined: today. */
  readonly date: string | undefined;
  /** `23:30` */
  readonly time: string;
}

/** When something goes wrong: while the reply is being spoken, or while a tool is running. */
export type Moment =
  /** This many words have been heard. 0: as soon as the reply begins. */
  | { readonly words: number }
  | ToolMoment;

export interface ToolMoment {
  readonly tool: string;
  /** True: it has been called but has not acted. False: it has acted but has not returned. */
  readonly isBeginning: boolean;
}

/** These hold for the whole call, and stand above the first `say`. */
export const SET_UP = {
  agent: (argument) => ({ text: textOf(argument, 'agent takes a name, or the path of a module') }),
  wire: parseWire,
  /** What the clock says as the call begins. */
  at: parseClock,
  from: numberOf,
  to: numberOf,
  language(argument) {
    if (!/^[A-Za-z]{2,3}(-[A-Za-z\d]{1,8})*$/.test(argument))
      throw new LineFault('language takes a tag such as en-GB');
    return { text: argument };
  },
  metadata: (argument) => ({ metadata: objectOf(argument, 'metadata', '{"plan": "gold"}') }),
  set: parseSetting,
  /** Tools with effects that run as they are. */
  real: (argument, name) => ({ tools: toolNames(argument, name) }),
  /** How many models the agent has, with the real retries: all but the first are fall-backs. */
  models(argument) {
    if (!/^[1-5]$/.test(argument))
      throw new LineFault('models takes a number from 1 to 5: models 2');
    return { count: Number(argument) };
  },
  good: (argument) => ({ text: textOf(argument, 'good takes a reply that judge accepts') }),
  bad: (argument) => ({ text: textOf(argument, 'bad takes a reply that judge rejects') }),
} satisfies Words;

/** These begin a turn. */
export const OPENINGS = {
  say: (argument) => ({
    text: textOf(argument, 'say takes what the caller says: say Hello there'),
  }),
  call: parseCall,
} satisfies Words;

/** These are done one after the other, whatever the reply says. */
export const ACTIONS = {
  caller: parseCaller,
  data: (argument) => ({ data: objectOf(argument, 'data', '{"page": 2}') }),
  mock: parseMock,
  store: parseStore,
  /** The calls continue in the other of the two processes. */
  elsewhere: standsAlone,
} satisfies Words;

/** These go wrong, in the middle of a reply. */
export const TROUBLES = {
  interrupt: (argument, name) => ({ at: momentOf(argument, name) ?? { words: 0 } }),
  drop: (argument, name) => ({ at: momentOf(argument, name) ?? { words: 0 } }),
  'deliver-again': orAfterReply,
  restart: orAfterReply,
  kill: orAfterReply,
} satisfies Words;

export const WORDS = {
  ...OPENINGS, ...CHECKS, ...CALL_CHECKS, ...TROUBLES, ...ACTIONS, model: parseModelLine, ...SET_UP,
} satisfies Words;

export type StepName = keyof typeof WORDS;

/** A line of a script. */
export type Step = {
  [Name in StepName]: {
    readonly name: Name;
    readonly lineNumber: number;
    /** As it was written. */ readonly written: string;
  } & ReturnType<(typeof WORDS)[Name]>;
}[StepName];

export type StepOf<Name extends StepName> = Extract<Step, { readonly name: Name }>;

export function isOf<Name extends StepName>(
  words: Readonly<Partial<Record<Name, unknown>>>,
  step: Step,
): step is StepOf<Name> {
  return Object.hasOwn(words, step.name);
}

function parseWire(argument: string): { readonly platform: 'layercode' | Profile } {
  if (argument === 'layercode') return { platform: argument };
  const [wire, given = 'generic', more] = argument.split(/\s+/);
  const { parse, takes } = rows.chatCompletionsProfile;
  const platform = parse(given);
  if (wire === 'chat-completions' && !(platform instanceof Refusal) && more === undefined)
    return { platform };
  throw new LineFault(`wire is layercode, or chat-completions with a profile: ${takes}`);
}

function parseClock(argument: string): { readonly clock: Clock } {
  const [, date, time] = /^(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d)$/.exec(argument) ?? [];
  if (time === undefined || Number.isNaN(Date.parse(`${date ?? '2026-01-01'}T${time}`)))
    throw new LineFault('at takes what the clock says: at 23:30, or: at 2026-12-01 23:30');
  return { clock: { date, time } };
}

function numberOf(argument: string, name: string): { readonly text: string } {
  if (argument === '' || argument.length > 100)
    throw new LineFault(`${name} takes a telephone number: ${name} +15550100`);
  return { text: argument };
}

/** Settings that a scenario may change: how long, how many, how soon. */
const SETTABLE: ReadonlySet<string> = new Set([
  'FILLER_AFTER_MS', 'SETTLE_MS', 'STORE_TIMEOUT_MS',
  ...groups
    .filter(([title]) => title === 'Bounds' || title === 'Times')
    .flatMap(([, settings]) => Object.values(settings).map(({ variable }) => variable)),
]);

/** `setting`: its name in `Settings`. */
function parseSetting(argument: string): { readonly setting: string; readonly value: unknown } {
  const [, variable, text] = /^([A-Z][A-Z0-9_]*)(?:\s+|\s*=\s*)(\S.*)$/.exec(argument) ?? [];
  if (variable === undefined || text === undefined)
    throw new LineFault('set takes a setting and its value: set FIRST_WORD_TIMEOUT_SECONDS 1');
  const known: readonly (readonly [string, Setting<unknown>])[] = Object.entries(rows);
  const found = known.find(([, row]) => row.variable === variable);
  if (found === undefined || !SETTABLE.has(variable))
    throw new LineFault(`${variable} is not a time or a limit that a scenario can set`);
  const [setting, row] = found;
  const value = row.parse(text);
  if (value instanceof Refusal) throw new LineFault(`${variable} ${value.reason}`);
  return { setting, value };
}

/** `from`: another caller calls, from this number. Undefined: the same one calls again. */
function parseCall(argument: string): { readonly from: string | undefined } {
  if (argument === 'again') return { from: undefined };
  const from = /^from (\S.*)$/.exec(argument)?.[1];
  if (from === undefined) throw new LineFault('call takes: call again, or: call from +15550100');
  return { from: numberOf(from, 'call from').text };
}

/** How long the store accepts no writes. `Infinity`: until it is back; 0: it is back. */
function parseStore(argument: string): { readonly awayMs: number } {
  if (argument === 'is away') return { awayMs: Infinity };
  if (argument === 'is back') return { awayMs: 0 };
  const awayMs = parseTime(/^stalls (.*)$/.exec(argument)?.[1] ?? '');
  if (awayMs !== undefined) return { awayMs };
  throw new LineFault('store stalls for a time, is away, or is back: store stalls 300 ms');
}

function objectOf(argument: string, name: string, example: string): JsonObject {
  const value = parseJson(argument);
  if (isObject(value)) return value as JsonObject;
  throw new LineFault(`${name} takes a JSON object: ${name} ${example}`);
}

/** The moment; undefined means once the reply is complete. */
function orAfterReply(argument: string, name: string): { readonly at: Moment | undefined } {
  return { at: momentOf(argument, name) };
}

/** The moment; undefined if the line names none. */
function momentOf(argument: string, name: string): Moment | undefined {
  if (argument === '') return undefined;
  const words = /^after (\d{1,4}) words?$/.exec(argument)?.[1];
  if (words !== undefined) return { words: Number(words) };
  const [, during, beginning] = /^(?:during (\S+)|as (\S+) begins)$/.exec(argument) ?? [];
  const tool = during ?? beginning;
  if (tool !== undefined && isToolName(tool)) return { tool, isBeginning: during === undefined };
  throw new LineFault(
    `write ${name} alone, or: ${name} after 3 words, or: ${name} during book_table, or: `
      + `${name} as book_table begins`,
  );
}

const CALLER_RULE =
  'caller takes a role, a goal and a number of turns: '
  + 'caller "a hurried customer" wants "a table for two" in 8 turns';
const MAX_TURNS = 50;

/** `caller "PERSONA" wants "GOAL" in 8 turns`. `maxTurns`: the most times that they speak. */
function parseCaller(
  argument: string,
): { readonly persona: string; readonly goal: string; readonly maxTurns: number } {
  const [, persona, goal, turns] =
    /^"([^"]+)" wants "([^"]+)" in (\d{1,3}) turns?$/.exec(argument) ?? [];
  if (persona === undefined || goal === undefined) throw new LineFault(CALLER_RULE);
  const maxTurns = Number(turns);
  if (maxTurns >= 1 && maxTurns <= MAX_TURNS) return { persona, goal, maxTurns };
  throw new LineFault(`a played caller takes 1 to ${MAX_TURNS} turns`);
}
