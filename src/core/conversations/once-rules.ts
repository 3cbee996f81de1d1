// The rules of calls that act once per conversation: who may start one, and how it ends.

import { findTurn, type Conversation } from './conversation.ts';
import type { ToolCallId } from './message.ts';
import {
  isSameCall, isTruer, lengthOfOnceCalls, type OnceCall, type OnceCalls,
} from './once-call.ts';
import { indexOfCall } from './turn-record.ts';
import { UNFINISHED_RESULTS } from './unfinished-tool-results.ts';

/** Maximum number of keys per conversation, inclusive. A call with yet another key is refused. */
export const MAX_ONCE_CALLS = 1_000;
/**
 * Maximum length of the text kept for these calls, in UTF-16 code units. At this length no new call
 * starts.
 */
export const MAX_ONCE_LENGTH = 1_048_576;

/** A call that wants to act. */
export interface OnceClaim {
  /** 64 hexadecimal digits. */
  readonly key: string;
  readonly tool: string;
  readonly toolCallId: string;
  /** See `OnceCall.nth`. */
  readonly nth: number;
  /** Whether it may run again after a call whose outcome is unknown. */
  readonly isRepeatable: boolean;
  /** Whether it will not act, and only asks about an earlier call. Default false. */
  readonly isRefused?: boolean | undefined;
  /** Whether another call with that key is running in this process. */
  readonly isRunningHere: () => boolean;
}

/** The run that a call belongs to. */
export interface Claimer {
  readonly turnId: string;
  readonly runId: number;
  /** The address of this process, if several may share the conversation. */
  readonly process?: string | undefined;
}

/**
 * `claimed`: the call may start once this is stored; `isRepeat`: the outcome of an earlier one was
 * unknown; `attempt`: 1, plus one for each time that the tool said it had done nothing. `running`:
 * another call with that key is running, perhaps in another process. `ended`: another one has
 * completed, or its outcome is unknown; `lost`: unknown as of now. `refused`: the conversation has
 * no room for another key. `free`: the call would be `claimed` if it were to act.
 */
export type ClaimOutcome =
  | { readonly kind: 'claimed'; readonly isRepeat: boolean; readonly attempt: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'free' }
  | { readonly kind: 'running' | 'ended' | 'lost'; readonly call: OnceCall };

/**
 * How a claimed call ended. `not done`: the tool said that it had no effect, so another call may
 * act. `not begun`: it did not even run.
 */
export interface OnceResult {
  readonly key: string;
  readonly tool: string;
  readonly state: 'completed' | 'unknown' | 'not done' | 'not begun';
  /** JSON text. */
  readonly content: string;
}

/** Claims a key, so that no other call acts under it. Making the same claim again is harmless. */
export function claimOnce(
  conversation: Conversation,
  claimer: Claimer,
  claim: OnceClaim,
): ClaimOutcome {
  const { key, toolCallId } = claim;
  const known = conversation.onceCalls?.[key];
  if (known === undefined) {
    if (isFull(conversation)) return { kind: 'refused' };
  } else if (known.state === 'completed') return { kind: 'ended', call: known };
  else if (known.state === 'unknown') {
    if (!claim.isRepeatable) return { kind: 'ended', call: known };
  } else if (known.state === 'running') {
    if (!isSameCall(known, { runId: claimer.runId, toolCallId })) {
      if (known.process !== claimer.process || claim.isRunningHere())
        return { kind: 'running', call: known };
      // This process claimed it and is not running it: its result was lost.
      if (!claim.isRepeatable)
        return { kind: 'lost', call: markLost(conversation, key, known) };
    }
  }
  if (claim.isRefused === true) return { kind: 'free' };
  const notDone = known?.notDone ?? 0;
  keep(conversation, key, {
    ...identityOf(claimer, toolCallId),
    state: 'running',
    tool: claim.tool,
    claimedAt: Date.now(),
    content: UNFINISHED_RESULTS.running,
    ...(claim.nth === 1 ? {} : { nth: claim.nth }),
    ...(notDone === 0 ? {} : { notDone }),
  });
  return { kind: 'claimed', isRepeat: known?.state === 'unknown', attempt: notDone + 1 };
}

/**
 * Records how a claimed call ended. A result is final, even if the outcome was unknown before.
 * Anything else concerns only the call's own claim. Without an entry nothing is kept unless
 * `mayAdd`: the conversation may have been cleared.
 */
export function settleOnce(
  conversation: Conversation,
  claimer: Claimer,
  toolCallId: string,
  { key, tool, state, content }: OnceResult,
  mayAdd: boolean,
): void {
  const known = conversation.onceCalls?.[key];
  if (known?.state === 'completed' || (known === undefined && !mayAdd)) return;
  const own = isSameCall({ runId: claimer.runId, toolCallId }, known) ? known : undefined;
  if (state === 'completed') {
    const claimedAt = known?.claimedAt ?? Date.now();
    const claim = own?.nth === undefined ? {} : { nth: own.nth };
    const identity = identityOf(claimer, toolCallId);
    keep(conversation, key, { ...identity, ...claim, state, tool, claimedAt, content });
  } else if (own !== undefined) {
    if (state === 'unknown') markLost(conversation, key, own);
    else release(conversation, key, own, state === 'not done' ? 1 : 0);
  }
}

/** Gives back a claim under which nothing began, if it is still that call's. */
export function releaseOnce(
  conversation: Conversation,
  key: string,
  call: ToolCallId,
): void {
  const known = conversation.onceCalls?.[key];
  if (known !== undefined && known.state !== 'completed' && isSameCall(call, known))
    release(conversation, key, known, 0);
}

/**
 * The process of a claimed call is gone: the call's outcome is unknown, unless a result has
 * arrived. Returns whether that is news: the claim was not lost before, and no other call has the
 * key.
 */
export function loseOnce(conversation: Conversation, key: string, call: OnceCall): boolean {
  const known = conversation.onceCalls?.[key];
  if (known?.state !== 'running' || !isSameCall(call, known)) return false;
  markLost(conversation, key, known);
  return true;
}

/**
 * Puts back the claims of this process that a store has lost, even in place of another call's:
 * claims are not safe while that happens, so that call waits. What completed and was erased
 * afterwards stays erased.
 */
export function restoreOnce(conversation: Conversation, calls: OnceCalls): void {
  const { erasedAt = 0 } = conversation;
  for (const [key, claimed] of Object.entries(calls)) {
    const known = conversation.onceCalls?.[key];
    const call = asItsTurnSays(conversation, claimed);
    if (call.state === 'completed' && call.claimedAt <= erasedAt) continue;
    const isLost = known === undefined
      || (known.state === 'running' && !isSameCall(call, known));
    if (isLost ? call.state !== 'released' : isTruer(call, known, true))
      keep(conversation, key, call);
  }
}

/**
 * If a call ended while another one had its key, only its turn says so. A result would be in the
 * conversation, so a call with any other end did nothing, unless its outcome is unknown.
 */
function asItsTurnSays(conversation: Conversation, call: OnceCall): OnceCall {
  const turn = findTurn(conversation, call.turnId);
  const message = turn?.messages?.[indexOfCall(turn, call)];
  if (call.state !== 'running' || message?.role !== 'tool' || message.state === 'running')
    return call;
  const state = message.state === 'unknown' ? 'unknown' : 'released';
  return { ...call, state, content: message.content };
}

/** Gives the calls that no living process is running an unknown outcome. Returns them. */
export function loseOnceCalls(
  conversation: Conversation,
  isRunning: (key: string, call: OnceCall) => boolean,
): readonly (readonly [key: string, call: OnceCall])[] {
  const { onceCalls } = conversation;
  if (onceCalls === undefined) return [];
  const lost = Object.entries(onceCalls).filter(
    ([key, call]) => call.state === 'running' && !isRunning(key, call),
  );
  for (const [key, call] of lost) markLost(conversation, key, call);
  return lost;
}

function markLost(conversation: Conversation, key: string, call: OnceCall): OnceCall {
  const lost: OnceCall = { ...call, state: 'unknown', content: UNFINISHED_RESULTS.unknown };
  keep(conversation, key, lost);
  return lost;
}

function release(conversation: Conversation, key: string, call: OnceCall, begun: 0 | 1): void {
  if (call.state === 'released') return;
  const notDone = (call.notDone ?? 0) + begun;
  const content = UNFINISHED_RESULTS.interrupted;
  keep(conversation, key, { ...call, state: 'released', content, notDone });
}

function keep(conversation: Conversation, key: string, call: OnceCall): void {
  conversation.onceCalls = { ...conversation.onceCalls, [key]: call };
}

function identityOf(
  { turnId, runId, process }: Claimer,
  toolCallId: string,
): Pick<OnceCall, 'turnId' | 'runId' | 'process' | 'toolCallId'> {
  return { turnId, runId, toolCallId, ...(process === undefined ? {} : { process }) };
}

function isFull({ onceCalls = {} }: Conversation): boolean {
  const count = Object.keys(onceCalls).length;
  return count >= MAX_ONCE_CALLS || lengthOfOnceCalls(onceCalls) >= MAX_ONCE_LENGTH;
}
