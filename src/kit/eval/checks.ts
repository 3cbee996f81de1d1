// Whether a line's expectation is met. Pure: everything was seen before.

import { canonicalJson } from '../../base/canonical-json.ts';
import type { JsonObject } from '../../base/json.ts';
import { oneLine } from '../terminal/text.ts';
import { hasFields, plain, type Expectation } from './expectation.ts';
import type { PlayedTurn, ToolRunSeen } from './result.ts';
import type { CheckStep, ComparedStep } from './scenario.ts';
import type { StepOf, ToolExpectation } from './step.ts';

/** What a check looks at. */
export interface Seen {
  /** At least the welcome. The last one is meant, unless a check is about the whole call. */
  readonly turns: readonly [PlayedTurn, ...PlayedTurn[]];
  /** The agent's, as stored. */
  readonly state: JsonObject | undefined;
}

/** Longest text in a reason, in UTF-16 code units. */
const MAX_SHOWN = 2_000;
const MAX_LISTED = 10;
/** Longest message of a prompt. */
const MAX_PROMPT_SHOWN = 300;
/** A shorter sentence, such as "Yes, please.", may be said again. */
const MIN_REPEATED_WORDS = 4;

/** Why a step's expectation is not met, in lines. Undefined if it is met. */
export function faultOf(
  step: Exclude<CheckStep, ComparedStep>,
  { turns, state }: Seen,
): readonly string[] | undefined {
  const last = turns.at(-1) ?? turns[0];
  switch (step.name) {
    case 'expect':
      return unless(step.expectation.matches(last.heard), step.expectation, [heard(last)]);
    case 'expect-not':
      return when(step.expectation.matches(last.heard), step.expectation, [heard(last)]);
    case 'expect-data':
    case 'expect-no-data': {
      const isThere = last.data.some((content) => step.expectation.matchesValue(content));
      const test = step.name === 'expect-data' ? unless : when;
      return test(isThere, step.expectation, listed('got', last.data));
    }
    case 'expect-hangup':
      return last.hangsUp ? undefined : ['the agent did not hang up', heard(last)];
    case 'expect-state':
      return unless(
        step.expectation.matchesValue(state), step.expectation,
        [`state     ${shown(state === undefined ? '' : JSON.stringify(state))}`],
      );
    case 'expect-prompt':
    case 'expect-no-prompt':
      return promptFault(step.expectation, step.name === 'expect-prompt', sameTurn(turns));
    case 'expect-tool':
    case 'expect-no-tool':
      return toolFault(step.expected, turns);
    case 'within':
      return timeFault('the first word', last.firstWordMs, step.ms);
    case 'ends-within':
      return timeFault('the whole reply', last.durationMs, step.ms);
    case 'within-tokens':
      return tokensFault(step, turns);
    case 'never': {
      const wrong = turns.filter(({ heard: text }) => step.expectation.matches(text));
      return when(wrong.length > 0, step.expectation, wrong.map(heard));
    }
    case 'never-fails': {
      const failed = turns.filter(({ state: ended }) => ended === 'failed');
      if (failed.length === 0) return undefined;
      return failed.flatMap((turn) => [`failed    ${titleOf(turn)}`, ...turn.log]);
    }
    case 'never-cut': {
      const cut = turns.filter(({ isCut }) => isCut);
      if (cut.length === 0) return undefined;
      return cut.flatMap((turn) => [`cut       ${titleOf(turn)}`, heard(turn)]);
    }
    case 'never-repeats':
      return repetitions(turns);
    case 'never-acts-twice':
      return secondActs(step, turns);
    default:
      return step satisfies never;
  }
}

/** How the transcript names a turn. */
export function titleOf({ said, lineNumber }: PlayedTurn): string {
  if (said === undefined) return 'the welcome';
  return lineNumber === undefined ? shown(said) : `line ${lineNumber}: ${shown(said)}`;
}

function unless(
  isSo: boolean,
  { written }: Expectation,
  instead: readonly string[],
): readonly string[] | undefined {
  return isSo ? undefined : [`expected  ${shown(written)}`, ...instead];
}

function when(
  isSo: boolean,
  { written }: Expectation,
  instead: readonly string[],
): readonly string[] | undefined {
  return isSo ? [`forbidden ${shown(written)}`, ...instead] : undefined;
}

function heard({ heard: text }: PlayedTurn): string {
  return `heard     ${shown(text)}`;
}

function shown(text: string): string {
  return text.trim() === '' ? '(nothing)' : oneLine(text, MAX_SHOWN);
}

function listed(what: string, values: readonly unknown[]): readonly string[] {
  const label = what.padEnd('expected '.length);
  if (values.length === 0) return [`${label} (nothing)`];
  return values.slice(0, MAX_LISTED).map((value) => `${label} ${shown(JSON.stringify(value))}`);
}

/** The deliveries of the last turn. */
function sameTurn(turns: Seen['turns']): readonly PlayedTurn[] {
  const first = turns.findLastIndex(({ isAgain }) => !isAgain);
  return turns.slice(first);
}

function promptFault(
  expectation: Expectation,
  isWanted: boolean,
  turns: readonly PlayedTurn[],
): readonly string[] | undefined {
  const prompts = turns.flatMap((turn) => turn.prompts);
  const texts = prompts.map((messages) =>
    messages.map(({ content }) => content).join('\n'));
  if (texts.length === 0) return ['the model was not asked'];
  const isThere = texts.some((text) => expectation.matches(text));
  const asked =
    (prompts.at(-1) ?? []).slice(-MAX_LISTED).map(
        ({ role, content }) => `${role.padEnd(9)} ${oneLine(content, MAX_PROMPT_SHOWN)}`,
      );
  return (isWanted ? unless : when)(isThere, expectation, asked);
}

function toolFault(expected: ToolExpectation, turns: Seen['turns']): readonly string[] | undefined {
  const runs = (expected.isInAll ? turns : sameTurn(turns))
    .flatMap(({ tools }) => tools)
    .filter(({ tool }) => tool === expected.tool);
  const count = runs.filter((run) => isAsExpected(run, expected)).length;
  const { times } = expected;
  if (times === undefined ? count > 0 : count === times) return undefined;
  const wanted = times === undefined ? 'at least once' : timesText(times);
  const ran = runs.length === 0
    ? ['ran       (never)']
    : runs.slice(0, MAX_LISTED).map((run) => `ran       ${runText(run)}`);
  return [`expected  ${expected.tool} ${wanted}, and it ran like this ${timesText(count)}`, ...ran];
}

function isAsExpected(run: ToolRunSeen, { args, outcome }: ToolExpectation): boolean {
  if (args !== undefined && !hasFields(run.args, args)) return false;
  switch (outcome?.kind) {
    case undefined:
      return run.state !== 'refused' && run.state !== 'not-begun';
    case 'refused':
      return run.state === 'refused';
    case 'fails':
      return run.state === 'failed' && outcome.expectation.matches(String(run.result));
    case 'not-done':
      return (run.state === 'not-begun' || (run.state === 'failed' && !run.hasActed))
        && outcome.expectation.matches(String(run.result));
    case 'returns':
      return run.state === 'completed' && outcome.expectation.matchesValue(run.result);
    default:
      return outcome satisfies never;
  }
}

function timesText(count: number): string {
  return count === 0 ? 'never' : count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`;
}

/** A run of a tool in one line. */
export function runText({ tool, args, state, result }: ToolRunSeen): string {
  const call = `${tool} ${JSON.stringify(args)}`;
  switch (state) {
    case 'running':
      return shown(`${call} …`);
    case 'completed':
      return shown(`${call} → ${JSON.stringify(result)}`);
    case 'failed':
      return shown(`${call} failed: ${String(result)}`);
    case 'refused':
      return shown(`${call} did not run, its arguments were refused: ${String(result)}`);
    case 'not-begun':
      return shown(`${call} did not run: ${String(result)}`);
    default:
      return state satisfies never;
  }
}

function timeFault(
  what: string,
  ms: number | undefined,
  limitMs: number,
): readonly string[] | undefined {
  if (ms === undefined) return ['the reply had no words'];
  return ms <= limitMs ? undefined : [`${what} took ${Math.round(ms)} ms`];
}

function tokensFault(
  { tokens: limit, isInAll }: StepOf<'within-tokens'>,
  turns: Seen['turns'],
): readonly string[] | undefined {
  const counted = (isInAll ? turns : sameTurn(turns)).flatMap(({ tokens }) => tokens ?? []);
  if (counted.length === 0) return ['the model reported no tokens'];
  const used = counted.reduce((sum, { input, output }) => sum + input + output, 0);
  return used <= limit ? undefined : [`the model used ${used} tokens`];
}

/** Sentences said to a caller more than once. Of a turn's deliveries, the last one counts. */
function repetitions(turns: Seen['turns']): readonly string[] | undefined {
  const known = new Set<string>();
  const repeated = turns
    .filter((_turn, index) => turns[index + 1]?.isAgain !== true)
    .flatMap(({ heard: text, conversation }) =>
      sentencesOf(text).map((said) => ({ said, key: `${conversation} ${plain(said)}` })))
    .filter(({ key }) => {
      const isKnown = known.has(key);
      known.add(key);
      return isKnown;
    });
  if (repeated.length === 0) return undefined;
  return repeated.slice(0, MAX_LISTED).map(({ said }) => `again     ${shown(said)}`);
}

function sentencesOf(text: string): readonly string[] {
  return text
    .split(/(?<=[.!?…])\s+/)
    .filter((sentence) => sentence.trim().split(/\s+/).length >= MIN_REPEATED_WORDS);
}

/** For a named tool without `once`, calls with the same arguments are the same thing. */
function secondActs(
  { tools: named }: StepOf<'never-acts-twice'>,
  turns: Seen['turns'],
): readonly string[] | undefined {
  const known = new Set<string>();
  const again = turns.flatMap(({ tools, conversation }) => tools.filter((run) => {
    const { tool, args, onceKey, hasActed } = run;
    const isMeant = named.length === 0 ? onceKey !== undefined : named.includes(tool);
    if (!isMeant || !hasActed) return false;
    const key = onceKey ?? `${conversation} ${tool} ${canonicalJson(args)}`;
    const isKnown = known.has(key);
    known.add(key);
    return isKnown;
  }));
  if (again.length === 0) return undefined;
  return again.map((run) => `again     ${runText(run)}`);
}
