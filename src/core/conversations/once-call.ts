import { count, number, objectOf, orMissing, string, time } from '../../base/fields.ts';
import type { ToolCallId } from './message.ts';

/**
 * A call of a tool that acts once per conversation. Never changed in place: a new entry replaces
 * it.
 */
export interface OnceCall {
  /**
   * `running`: claimed, and perhaps acting. `completed`: `content` is its result, for good.
   * `unknown`: it began, but how it ended is not known. `released`: nothing was done under its
   * claim, so another call may act.
   */
  readonly state: 'running' | 'completed' | 'unknown' | 'released';
  /** The tool's name. */
  readonly tool: string;
  /** The run that claimed it. */
  readonly runId: number;
  /** The address of the process that claimed it, if several share the conversation. */
  readonly process?: string;
  readonly turnId: string;
  readonly toolCallId: string;
  /** Time of the claim, in milliseconds since the epoch. */
  readonly claimedAt: number;
  /** Which claim of its call this is: the previous one was given back. Default 1. */
  readonly nth?: number;
  /** How often the tool began under this key, and said that it had done nothing. Default 0. */
  readonly notDone?: number;
  /** JSON text: the result, or what stands in for it. */
  readonly content: string;
}

/**
 * The `once` calls of a conversation, by their keys: 64 hexadecimal digits each. Never changed in
 * place, either.
 */
export type OnceCalls = Readonly<Record<string, OnceCall>>;

const STATES: readonly unknown[] = ['running', 'completed', 'unknown', 'released'];

/** Whether a stored value is a `OnceCall`. Anything else must not break its conversation. */
export function isOnceCall(value: object): value is OnceCall {
  return STATES.includes((value as OnceCall).state) && CALL.check(value) === undefined;
}

const CALL = objectOf({
  tool: string,
  runId: number,
  process: orMissing(string),
  turnId: string,
  toolCallId: string,
  claimedAt: time,
  nth: orMissing(count),
  notDone: orMissing(count),
  content: string,
});

/** UTF-16 code units of everything kept for these calls. */
export function lengthOfOnceCalls(calls: OnceCalls | undefined): number {
  let length = 0;
  for (const key in calls) {
    const { tool, turnId, toolCallId, content } = calls[key] as OnceCall; // no inherited keys
    length += key.length + tool.length + turnId.length + toolCallId.length + content.length;
  }
  return length;
}

/**
 * For how many milliseconds after its claim a tool call may still be running, and so keeps its
 * conversation. There must be a limit: a call whose process died never completes.
 */
export const LONGEST_TOOL_CALL_MS = 3_600_000;

/**
 * Whether one of these calls may still act: it was claimed less than an hour ago, and has neither
 * completed nor been released. One with an unknown outcome may: perhaps its tool only timed out.
 */
export function isAnyIncomplete(calls: OnceCalls | undefined): boolean {
  for (const key in calls) {
    const { state, claimedAt } = calls[key] as OnceCall; // no inherited keys
    if (isOver(state)) continue;
    if (Date.now() - claimedAt < LONGEST_TOOL_CALL_MS) return true;
  }
  return false;
}

export function isSameCall(a: ToolCallId, b: ToolCallId | undefined): boolean {
  if (b === undefined) return false;
  return a.runId === b.runId && a.toolCallId === b.toolCallId;
}

/** Whether nothing more can happen to such a call. */
function isOver(state: OnceCall['state']): boolean {
  return state === 'completed' || state === 'released';
}

const RANK = { running: 0, unknown: 1, released: 2 } as const;

/**
 * Whether to replace what is stored under a key with what this process remembers. A result is
 * final. About one claim, later knowledge counts: running, then unknown, then released. If two
 * calls have claimed the key, the stored one stays, unless it has done nothing and the remembered
 * one is this process's own (`isOwn`) and may have done something.
 */
export function isTruer(ours: OnceCall, theirs: OnceCall, isOwn: boolean): boolean {
  if (theirs.state === 'completed') return false;
  if (ours.state === 'completed') return true;
  if (!isSameCall(ours, theirs))
    return isOwn && theirs.state === 'released' && ours.state !== 'released';
  const [{ nth = 1 }, { nth: theirNth = 1 }] = [ours, theirs];
  return nth === theirNth ? RANK[ours.state] > RANK[theirs.state] : nth > theirNth;
}
