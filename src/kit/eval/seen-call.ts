// What a check sees of a call, and how it names turns and runs of tools.

import type { JsonObject } from '../../base/json.ts';
import { oneLine } from '../terminal/text.ts';
import type { PlayedTurn, ToolRunSeen } from './result.ts';

export interface Seen {
  /** At least the welcome. A check means the last one, unless it is about the whole call. */
  readonly turns: readonly PlayedTurn[];
  readonly last: PlayedTurn;
  /** The agent's state, as stored. */
  readonly state: JsonObject | undefined;
}

/** Why a step's expectation is not met, in lines. Undefined if it is met. */
export type Fault = readonly string[] | undefined;

export interface Check {
  readonly faultIn: (seen: Seen) => Fault;
}

/** Longest text in a reason, in UTF-16 code units. */
const MAX_SHOWN = 2_000;
export const MAX_LISTED = 10;

export function shown(text: string): string {
  return text.trim() === '' ? '(nothing)' : oneLine(text, MAX_SHOWN);
}

/** How the transcript names a turn. */
export function titleOf({ said, lineNumber }: PlayedTurn): string {
  if (said === undefined) return 'the welcome';
  return lineNumber === undefined ? shown(said) : `line ${lineNumber}: ${shown(said)}`;
}

/** The deliveries of the last turn. */
export function sameTurn(turns: readonly PlayedTurn[]): readonly PlayedTurn[] {
  return turns.slice(turns.findLastIndex(({ isAgain }) => !isAgain));
}

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
