// The rules of calls that act once per conversation: who may start one, and how it ends.

import type { Conversation } from './conversation.ts';
import type { ToolCallId } from './message.ts';
import { isSameCall, lengthOfOnceCalls, type OnceCall } from './once-call.ts';
import { UNFINISHED_RESULTS } from './unfinished-tool-results.ts';

/** Most keys of one conversation, inclusive. A call with one more is refused. */
export const MAX_ONCE_CALLS = 1_000;
/** Most text kept for them, in UTF-16 code units. At this length no new call starts. */
export const MAX_ONCE_LENGTH = 1_048_576;

/** A call that wants to act. */
export interface OnceClaim {
  /** 64 hexadecimal digits. */
  readonly key: string;
  readonly tool: string;
  readonly toolCallId: string;
  /** Whether it may run again after a call whose outcome is unknown. */
  readonly isRepeatable: boolean;
  /** Whether it will not act, and only asks for an earlier call. Default false. */
  readonly isRefused?: boolean | undefined;
  /** Whether another call with that key runs in this process. */
  readonly isRunningHere: () => boolean;
  /** Whether this process has claimed the key and got no confirmation, so that nothing began. */
  readonly isUnconfirmed: () => boolean;
}

/** The run that a call belongs to. */
export interface Claimer {
  readonly turnId: string;
  readonly runId: number;
  /** The address of this process, if several may share the conversation. */
  readonly process?: string | undefined;
}

/**
 * `claimed`: the call may start, once this is stored; `isRepeat`: it is one whose outcome was
 * unknown. `running`: another call with that key runs, perhaps in another process. `ended`: one has
 * completed, or its outcome is unknown; `lost`: as of now. `refused`: the conversation has no room
 * for another key. `free`: the call would be `claimed`, if it were to act.
 */
export type ClaimOutcome =
  | { readonly kind: 'claimed'; readonly isRepeat: boolean }
  | { readonly kind: 'refused' }
  | { readonly kind: 'free' }
  | { readonly kind: 'running' | 'ended' | 'lost'; readonly call: OnceCall };

/** How a claimed call ended. `not done`: it had no effect, so that another may act. */
export interface OnceResult {
  readonly key: string;
  readonly tool: string;
  readonly state: 'completed' | 'unknown' | 'not done';
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
  } else if (!isSameCall(known, { runId: claimer.runId, toolCallId })) {
    if (known.process !== claimer.process || claim.isRunningHere())
      return { kind: 'running', call: known };
    // This process claimed it and does not run it: it never began, or its result was lost.
    if (!claim.isUnconfirmed() && !claim.isRepeatable)
      return { kind: 'lost', call: markLost(conversation, key, known) };
  }
  if (claim.isRefused === true) return { kind: 'free' };
  keep(conversation, key, {
    ...identityOf(claimer, toolCallId),
    state: 'running',
    tool: claim.tool,
    claimedAt: Date.now(),
    content: UNFINISHED_RESULTS.running,
  });
  return { kind: 'claimed', isRepeat: known?.state === 'unknown' };
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
  const isNameless = known?.turnId === '' && known.process === claimer.process; // see `loseOnce`
  const isOwn = isNameless || isSameCall({ runId: claimer.runId, toolCallId }, known);
  if (state === 'completed') {
    const claimedAt = known?.claimedAt ?? Date.now();
    const identity = identityOf(claimer, toolCallId);
    keep(conversation, key, { ...identity, state, tool, claimedAt, content });
  } else if (!isOwn || known === undefined) return;
  else if (state === 'unknown') markLost(conversation, key, known);
  else releaseOnce(conversation, key);
}

/** Withdraws a claim under which nothing began, if it is still that call's. */
export function withdrawOnce(
  conversation: Conversation,
  key: string,
  call: ToolCallId,
): void {
  const known = conversation.onceCalls?.[key];
  if (known?.state !== 'completed' && isSameCall(call, known)) releaseOnce(conversation, key);
}

/**
 * The process of a claimed call is gone: its outcome is unknown, unless a result has come. Returns
 * whether that is news: the claim was not lost before, and no other call has the key. A call that
 * is known only from the answer of its process, which has no turn then, gets its claim now.
 */
export function loseOnce(conversation: Conversation, key: string, call: OnceCall): boolean {
  const known = conversation.onceCalls?.[key];
  if (known === undefined) {
    if (call.turnId === '') markLost(conversation, key, call);
    return true;
  }
  if (known.state !== 'running' || !isSameCall(call, known)) return false;
  markLost(conversation, key, known);
  return true;
}

/** Marks the calls that no living process runs as having an unknown outcome. Returns them. */
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

function releaseOnce(conversation: Conversation, key: string): void {
  const { [key]: _released, ...others } = conversation.onceCalls ?? {};
  conversation.onceCalls = others;
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
