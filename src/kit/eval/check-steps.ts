// The steps that can fail. Pure: everything has been seen already.

import { canonicalJson } from '../../base/canonical-json.ts';
import { parseTime } from '../terminal/flags.ts';
import { oneLine } from '../terminal/text.ts';
import { parseExpectation, parseValueExpectation, plain, type Expectation } from './expectation.ts';
import { LineFault, standsAlone, textOf, toolNames, type Words } from './line.ts';
import type { PlayedTurn } from './result.ts';
import {
  MAX_LISTED, runText, sameTurn, shown, titleOf, type Check, type Fault, type Seen,
} from './seen-call.ts';
import { parseToolCheck } from './tool-check.ts';

/** Longest message of a prompt that is shown whole, in UTF-16 code units. */
const MAX_PROMPT_SHOWN = 300;
/** A shorter sentence, such as "Yes, please.", may be said again. */
const MIN_REPEATED_WORDS = 4;
/** Maximum number of times that a judge is asked about one line. */
const MAX_ASKED = 21;

/** These are about the reply to the last `say`, or the welcome. */
export const CHECKS = {
  expect: expecting((wanted, { last }) =>
    unless(wanted.matches(last.heard), wanted, [heard(last)])),
  'expect-not': expecting((wanted, { last }) =>
    when(wanted.matches(last.heard), wanted, [heard(last)])),
  'expect-data': expecting((wanted, { last: { data } }) =>
    unless(data.some(wanted.matchesValue), wanted, listed('got', data)), parseValueExpectation),
  'expect-no-data': expecting((wanted, { last: { data } }) =>
    when(data.some(wanted.matchesValue), wanted, listed('got', data)), parseValueExpectation),
  'expect-hangup': alone(({ last }) =>
    last.hangsUp ? undefined : ['the agent did not hang up', heard(last)]),
  'expect-tool': parseToolCheck,
  'expect-no-tool': parseToolCheck,
  'expect-state': expecting((wanted, { state }) =>
    unless(wanted.matchesValue(state), wanted, listed('state', state === undefined ? [] : [state])),
  parseValueExpectation),
  'expect-prompt': expecting((wanted, { turns }) => promptFault(unless, wanted, turns)),
  'expect-no-prompt': expecting((wanted, { turns }) => promptFault(when, wanted, turns)),
  /** Compared with a file. */
  'expect-same-request': standsAlone,
  within: parseWithin,
  'ends-within'(argument) {
    const limitMs = timeOf(argument, 'ends-within takes a time: ends-within 5 s');
    return checking(({ last }) => timeFault('the whole reply', last.durationMs, limitMs));
  },
  /** Decided by a model. */
  judge: parseJudge,
} satisfies Words;

/** These hold for the whole call, wherever they stand. */
export const CALL_CHECKS = {
  never: expecting((wanted, { turns }) => {
    const wrong = turns.filter((turn) => wanted.matches(turn.heard));
    return when(wrong.length > 0, wanted, wrong.map(heard));
  }),
  'never-fails': alone(({ turns }) => orNothing(turns
    .filter(({ state }) => state === 'failed')
    .flatMap((turn) => [`failed    ${titleOf(turn)}`, ...turn.log]))),
  'never-cut': alone(({ turns }) => orNothing(turns
    .filter(({ isCut }) => isCut)
    .flatMap((turn) => [`cut       ${titleOf(turn)}`, heard(turn)]))),
  'never-repeats': alone(({ turns }) => repetitions(turns)),
  /** Without names: the tools with `once`. */
  'never-acts-twice'(argument, name) {
    const tools = argument === '' ? [] : toolNames(argument, name);
    return { tools, ...checking(({ turns }) => secondActs(tools, turns)) };
  },
} satisfies Words;

function checking(faultIn: Check['faultIn']): Check {
  return { faultIn };
}

function alone(faultIn: Check['faultIn']): (argument: string, name: string) => Check {
  return (argument, name) => ({ ...standsAlone(argument, name), faultIn });
}

function expecting(
  faultOf: (wanted: Expectation, seen: Seen) => Fault,
  parse = parseExpectation,
): (argument: string, name: string) => Check {
  return (argument, name) => {
    const wanted = parse(name, argument);
    return checking((seen) => faultOf(wanted, seen));
  };
}

function unless(isSo: boolean, { written }: Expectation, instead: readonly string[]): Fault {
  return isSo ? undefined : [`expected  ${shown(written)}`, ...instead];
}

function when(isSo: boolean, { written }: Expectation, instead: readonly string[]): Fault {
  return isSo ? [`forbidden ${shown(written)}`, ...instead] : undefined;
}

function orNothing(lines: readonly string[]): Fault {
  return lines.length === 0 ? undefined : lines;
}

function heard({ heard: text }: PlayedTurn): string {
  return `heard     ${shown(text)}`;
}

function listed(what: string, values: readonly unknown[]): readonly string[] {
  const label = what.padEnd('expected '.length);
  if (values.length === 0) return [`${label} (nothing)`];
  return values.slice(0, MAX_LISTED).map((value) => `${label} ${shown(JSON.stringify(value))}`);
}

function promptFault(
  test: typeof unless,
  wanted: Expectation,
  turns: readonly PlayedTurn[],
): Fault {
  const prompts = sameTurn(turns).flatMap((turn) => turn.prompts);
  if (prompts.length === 0) return ['the model was not asked'];
  const isThere = prompts.some((messages) =>
    wanted.matches(messages.map(({ content }) => content).join('\n')));
  const asked = (prompts.at(-1) ?? []).slice(-MAX_LISTED).map(
    ({ role, content }) => `${role.padEnd(9)} ${oneLine(content, MAX_PROMPT_SHOWN)}`,
  );
  return test(isThere, wanted, asked);
}

function timeOf(argument: string, rule: string): number {
  const ms = parseTime(argument);
  if (ms === undefined) throw new LineFault(rule);
  return ms;
}

function timeFault(what: string, ms: number | undefined, limitMs: number): Fault {
  if (ms === undefined) return ['the reply had no words'];
  return ms <= limitMs ? undefined : [`${what} took ${Math.round(ms)} ms`];
}

/** A limit on the time until the first word, or on tokens. */
function parseWithin(argument: string): Check & { readonly tokens?: number } {
  const [, written, inAll] = /^(\d{1,9}) tokens?( in all)?$/.exec(argument) ?? [];
  if (written === undefined) {
    const rule = 'within takes a time: within 2 s, within 800 ms; or tokens: within 900 tokens';
    const limitMs = timeOf(argument, rule);
    return checking(({ last }) => timeFault('the first word', last.firstWordMs, limitMs));
  }
  const tokens = Number(written);
  if (tokens === 0) throw new LineFault('within takes at least 1 token');
  const faultIn = ({ turns }: Seen): Fault =>
    tokensFault(tokens, inAll === undefined ? sameTurn(turns) : turns);
  return { tokens, faultIn };
}

function tokensFault(limit: number, turns: readonly PlayedTurn[]): Fault {
  const counted = turns.flatMap(({ tokens }) => tokens ?? []);
  if (counted.length === 0) return ['the model reported no tokens'];
  const used = counted.reduce((sum, { input, output }) => sum + input + output, 0);
  return used <= limit ? undefined : [`the model used ${used} tokens`];
}

export interface JudgeLine {
  readonly question: string;
  /** How many times it is asked. More than half of the verdicts must agree. */
  readonly times: number;
}

function parseJudge(argument: string): JudgeLine {
  const [, count, rest = argument] = /^(\d{1,4}) times?\s+(.*)$/.exec(argument) ?? [];
  const times = Number(count ?? 1);
  if (times < 1 || times > MAX_ASKED || times % 2 === 0)
    throw new LineFault(`judge is asked an odd number of times, up to ${MAX_ASKED}`);
  const [, unquoted = rest] = /^"([^"]+)"$/.exec(rest) ?? [];
  return { question: textOf(unquoted, 'judge takes a criterion for the reply'), times };
}

/** Sentences said to a caller more than once. Of a turn's deliveries, the last one counts. */
function repetitions(turns: readonly PlayedTurn[]): Fault {
  const sentences = turns
    .filter((_turn, index) => turns[index + 1]?.isAgain !== true)
    .flatMap(({ heard: text, conversation }) =>
      sentencesOf(text).map((said) => ({ said, key: `${conversation} ${plain(said)}` })));
  const again = seenBefore(sentences, ({ key }) => key);
  return orNothing(again.slice(0, MAX_LISTED).map(({ said }) => `again     ${shown(said)}`));
}

function sentencesOf(text: string): readonly string[] {
  return text
    .split(/(?<=[.!?…])\s+/)
    .filter((sentence) => sentence.trim().split(/\s+/).length >= MIN_REPEATED_WORDS);
}

/**
 * Acts for which there was an earlier one: with the same `once` text or, if the tool is named, with
 * the same arguments. A run that was cut may run again under its key.
 */
function secondActs(named: readonly string[], turns: readonly PlayedTurn[]): Fault {
  const acts = turns.flatMap(({ tools, conversation }) =>
    tools
      .filter(({ tool, onceKey, hasActed }) =>
        hasActed && (named.length === 0 ? onceKey !== undefined : named.includes(tool)))
      .map((run) => ({ run, conversation })));
  const isSecond = ({ run, conversation }: (typeof acts)[number], index: number): boolean =>
    acts.slice(0, index).some((earlier) => {
      const isRepeat = earlier.run.isCut === true && earlier.run.key === run.key;
      if (isRepeat || earlier.run.tool !== run.tool) return false;
      if (run.onceKey !== undefined && earlier.run.onceKey === run.onceKey) return true;
      return named.includes(run.tool) && earlier.conversation === conversation
        && canonicalJson(earlier.run.args) === canonicalJson(run.args);
    });
  return orNothing(acts.filter(isSecond).map(({ run }) => `again     ${runText(run)}`));
}

/** The items whose key an earlier item has. */
function seenBefore<T>(items: readonly T[], keyOf: (item: T) => string): readonly T[] {
  const keys = items.map(keyOf);
  return items.filter((_item, index) => keys.indexOf(keys[index] ?? '') < index);
}
