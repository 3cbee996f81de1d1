// The results of scenarios, for a person to read.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { oneLine } from '../terminal/text.ts';
import type { PlayedTurn, ScenarioFailure, ScenarioResult } from './result.ts';
import { runText, titleOf } from './seen-call.ts';
import { callsShown } from './sent-request.ts';

/** Longest line of a transcript, in UTF-16 code units. */
const MAX_SHOWN = 1_000;
/** Number of turns of the transcript that are shown before the one that failed. */
const TURNS_BEFORE = 1;

/** Why a run did not pass, and the transcript around it. Empty for one that did. */
export function reportOf(result: ScenarioResult): readonly string[] {
  const { failures, undecided } = result;
  const shown = new Set<number>();
  const reasons = failures.flatMap((failure) => {
    for (const turn of turnsAround(failure, result)) shown.add(turn);
    return failureLines(failure);
  });
  const transcript = [...shown]
    .sort((a, b) => a - b)
    .flatMap((index) => turnLines(result.turns[index]));
  return [
    ...reasons,
    ...undecided.map((reason) => `undecided: ${oneLine(reason, MAX_SHOWN)}`),
    ...(transcript.length === 0 ? [] : ['', ...transcript]),
  ];
}

function failureLines({ lineNumber, written, reasons }: ScenarioFailure): readonly string[] {
  const where = lineNumber === undefined ? '' : `line ${lineNumber}: `;
  return [`${where}${oneLine(written, MAX_SHOWN)}`, ...reasons.map((reason) => `  ${reason}`)];
}

function turnsAround({ turn }: ScenarioFailure, { turns }: ScenarioResult): readonly number[] {
  const last = turn ?? turns.length - 1;
  const first = Math.max(0, last - TURNS_BEFORE);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

const ENDINGS = {
  whole: '',
  interrupted: ' [interrupted]',
  dropped: ' [connection dropped]',
  refused: ' [no reply]',
} as const satisfies Record<PlayedTurn['ending'], string>;

function turnLines(turn: PlayedTurn | undefined): readonly string[] {
  if (turn === undefined) return [];
  const { isAgain, heard, ending, tools, log, hangsUp } = turn;
  const opening = turn.said === undefined ? 'the call begins' : titleOf(turn);
  return [
    `caller  ${opening}${isAgain ? ' [delivered again]' : ''}`,
    ...tools.map((run) => `tool    ${oneLine(runText(run), MAX_SHOWN)}`),
    ...refusals(turn).map((text) => `tool    ${oneLine(text, MAX_SHOWN)}`),
    `agent   ${heard.trim() === '' ? '(nothing)' : oneLine(heard, MAX_SHOWN)}${ENDINGS[ending]}`,
    ...(hangsUp ? ['        [hangs up]'] : []),
    ...log.map((line) => `log     ${oneLine(line, MAX_SHOWN)}`),
  ];
}

/** Calls that failed before a tool began, such as a call of a tool that the agent does not have. */
function refusals({ prompts, tools }: PlayedTurn): readonly string[] {
  return callsShown(prompts).flatMap(({ name, args, result }) => {
    const value = parseJson(result);
    const error = isObject(value) ? value['error'] : undefined;
    const hasRun = tools.some(({ tool }) => tool === name);
    return hasRun || typeof error !== 'string' ? [] : [`${name} ${args} did not run: ${error}`];
  });
}
