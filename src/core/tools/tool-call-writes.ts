// Records that tool calls are beginning, and what they have returned.

import { aborted } from '../../base/abort.ts';
import { andThen, orElse, type Awaitable } from '../../base/awaitable.ts';
import { atMost } from '../../base/time-limit.ts';
import type { OnceClaim, OnceResult } from '../conversations/once-rules.ts';
import { persist, WRITE_DELAYS_MS } from '../conversations/persist.ts';
import { UnsafeClaim, type UpdateOptions } from '../conversations/store.ts';
import type { Ownership, TurnProgress } from '../conversations/tool-call-rules.ts';
import type { ToolCallingTurn, ToolHost } from './tool-calling-turn.ts';
import { toolNameOf, type NotedToolCall } from './tool-calls-noted.ts';
import type { ToolCallResult } from './tool-calls-running.ts';

/**
 * Stores what the turn has said and called so far, before the calls begin. If a newer turn or a
 * newer run has begun, this one ends. Never rejects: calls that cannot be stored run unprotected,
 * except for those that act once. These start only if the store has confirmed their claims.
 */
export function storeCalls(
  turn: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Awaitable<void> {
  if (!turn.isStored) return;
  const fromMs = performance.now();
  const stored = calls.some(({ isOnce }) => isOnce)
    ? storeClaims(turn, calls)
    : storeProgress(turn);
  if (!(stored instanceof Promise)) return;
  return stored.then(() => turn.work.noteStore('tool_calls', fromMs)); // it never rejects
}

function storeProgress(turn: ToolCallingTurn): Awaitable<void> {
  return orElse(() => noteProgress(turn, { mustBeStored: true }), (error) => {
    const { conversationId, turnId, log } = turn;
    const message = 'tool calls could not be stored; they run unprotected';
    log.error(message, { conversationId, turnId, error });
    return rememberProgress(turn);
  });
}

/** For a store that has not confirmed the calls, but may remember them until it can write. */
async function rememberProgress(turn: ToolCallingTurn): Promise<void> {
  try {
    await noteProgress(turn);
  } catch (error) {
    const { conversationId, turnId, log } = turn;
    log.debug('tool calls are not remembered either', { conversationId, turnId, error });
  }
}

function noteProgress(turn: ToolCallingTurn, options?: UpdateOptions): Awaitable<void> {
  const { conversationId, host } = turn;
  return andThen(
    host.conversations.noteProgress(conversationId, progressOf(turn), options),
    ({ ownership, earlierCalls }) => {
      if (earlierCalls.length > 0) turn.learn(earlierCalls);
      own(turn, ownership);
    },
  );
}

function progressOf(turn: ToolCallingTurn): TurnProgress {
  const { conversationId, turnId, runId, erasedAt, host: { process }, spoken, liveState } = turn;
  const messages = spoken.messages(turnId, 'open');
  const agentState = liveState?.changes(turn.log, conversationId);
  return { turnId, runId, process, messages, filler: spoken.filler, agentState, erasedAt };
}

/** The newer turn or run may be in another process, whose message has not arrived yet. */
function own(turn: ToolCallingTurn, ownership: Ownership): void {
  if (ownership === 'closed') turn.interrupt('a newer turn began');
  else if (ownership === 'taken over') turn.giveAway();
}

/** How long a claim may be on its way. If it takes longer, others may think us dead. */
const LATE_CLAIM_MS = 2_000;

/** How often a state may change while a call is about to claim its key. */
const MAX_OTHER_KEYS = 3;

/** Stores progress and claims in one compare-and-swap. The first claim of a key wins. */
async function storeClaims(
  turn: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Promise<void> {
  const once = calls.filter((call) => call.isOnce && !isKnownToBeDone(turn, call));
  try {
    for (let others = 0; others < MAX_OTHER_KEYS;) {
      if (turn.isOver) return;
      const waitMs = await claim(turn, once);
      if (waitMs > 0) await atMost(waitMs, aborted(turn.signal));
      else if (await haveOtherKeys(turn, once)) others += 1;
      else return;
    }
    throw new Error('once returns a different text each time it is called');
  } catch (error) {
    const { conversationId, turnId, log } = turn;
    const message = 'tool calls that act once were not started, as the store did not confirm them';
    if (once.length > 0) log.error(message, { conversationId, turnId, error });
    await release(turn, once);
    const hasOthers = calls.some(({ isOnce }) => !isOnce); // which may run unprotected
    await (hasOthers ? storeProgress(turn) : rememberProgress(turn));
  }
}

/**
 * Makes the claims of these calls. Resolves with the number of milliseconds after which to make
 * them again: until then the store may lack an earlier one. 0: they have been made.
 */
async function claim(turn: ToolCallingTurn, all: readonly NotedToolCall[]): Promise<number> {
  const { conversationId, host } = turn;
  const calls = all.filter(({ failure, claim: made }) =>
    failure === undefined && made?.kind !== 'free');
  const claims = calls.map((call) => nextClaimOf(call, host));
  let sentAtMs = performance.now();
  const onSent = (): void => void (sentAtMs = performance.now());
  try {
    const noted = await host.conversations.noteProgress(
      conversationId,
      { ...progressOf(turn), claims },
      { mustBeStored: true, isClaim: claims.length > 0, onSent },
    );
    if (claims.length > 0 && performance.now() - sentAtMs > LATE_CLAIM_MS)
      throw new Error(`the store took more than ${LATE_CLAIM_MS} ms to confirm the claim`);
    for (const [index, call] of calls.entries()) call.claim = noted.claims[index];
    if (noted.earlierCalls.length > 0) turn.learn(noted.earlierCalls);
    own(turn, noted.ownership);
    return 0;
  } catch (error) {
    if (!(error instanceof UnsafeClaim) || error.safeInMs === 0) throw error;
    await release(turn, calls);
    return error.safeInMs;
  }
}

/**
 * The claims have brought in what other processes changed in the state. If that turns a call into a
 * different one, its claim is given back, and it gets another key.
 */
async function haveOtherKeys(
  turn: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Promise<boolean> {
  const { host, liveState } = turn;
  if (host.process === undefined || liveState === undefined) return false;
  let haveOthers = false;
  for (const call of calls) {
    if (call.claim?.kind !== 'claimed' || call.failure !== undefined) continue;
    try {
      const key = await call.keyNow();
      if (key === call.key) continue;
      await release(turn, [call]);
      call.claim = key === undefined ? { kind: 'free' } : undefined;
      if (key === undefined) continue;
      host.calls.rename(call, key);
      haveOthers = true;
    } catch (error) {
      await release(turn, [call]);
      call.claim = undefined;
      call.failure = { error };
    }
  }
  return haveOthers;
}

/**
 * Gives up the calls' claims, which the store may have: none of the calls has begun. Never rejects.
 */
async function release(
  { conversationId, runId, host: { conversations }, log }: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Promise<void> {
  const claims = calls.map(({ key, spoken: { call } }) => ({ key, runId, toolCallId: call.id }));
  if (claims.length === 0) return;
  try {
    await persist(() => conversations.releaseClaims(conversationId, claims), WRITE_DELAYS_MS);
  } catch (error) {
    log.error('claims of tool calls could not be released', { conversationId, error });
  }
}

/**
 * What this process knows to be done needs no claim, so it works even if the store cannot be
 * reached.
 */
function isKnownToBeDone(
  { conversationId, host: { conversations } }: ToolCallingTurn,
  call: NotedToolCall,
): boolean {
  const known = conversations.remembered(conversationId)?.onceCalls?.[call.key];
  if (known?.state !== 'completed') return false;
  call.claim = { kind: 'ended', call: known };
  return true;
}

function nextClaimOf(noted: NotedToolCall, host: ToolHost): OnceClaim {
  const { key, running, tool, spoken: { call } } = noted;
  noted.claims += 1;
  return {
    key,
    tool: call.name,
    toolCallId: call.id,
    nth: noted.claims,
    isRepeatable: tool?.repeatable === true,
    isRefused: tool?.isRefused === true,
    isRunningHere: () => host.calls.outcomeBefore(key, running) !== undefined,
  };
}

/** How long a model waits until the store has a result. A shared store answers sooner. */
const RESULT_MS = 1_000;

/**
 * Stores the result of a call, and tries again if the store fails. A shutdown waits for it. `done`
 * is called when the result is stored, or lost. Resolves when the model may have it: the store has
 * it, or does not answer. Undefined if that is now. Never rejects.
 */
export function storeResult(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  outcome: ToolCallResult,
  done: () => void,
): Promise<void> | undefined {
  const { conversationId, turnId, runId, host, erasedAt, log, isStored, liveState } = turn;
  const { spoken: { call: { id } }, key } = call;
  const { state, content, handOver } = outcome;
  if (!isStored || state === 'running') {
    done();
    return undefined;
  }
  const logged = { conversationId, turnId, tool: toolNameOf(call) };
  const once = onceResultOf(call, outcome);
  const { process } = host;
  const result = {
    turnId, runId, process, toolCallId: id, state, content, handOver, once, erasedAt,
  };
  const agentState = liveState?.changes(log, conversationId);
  const write = persist(
    () => host.conversations.noteToolResult(conversationId, { ...result, agentState }),
    WRITE_DELAYS_MS,
  );
  const isRepeat = call.claim?.kind === 'claimed' && call.claim.isRepeat;
  const written = andThen(write, ({ isKept, wasUnknown }) => {
    done();
    if (wasUnknown || (isRepeat && state === 'completed')) {
      const message = 'a tool call whose outcome was unknown has ended';
      log.info(message, { ...logged, idempotencyKey: key });
    }
    if (!isKept) log.info('a tool result came too late to be kept', logged);
  });
  if (!(written instanceof Promise)) return undefined;
  const ended = written.catch((error: unknown) => {
    done();
    const idempotencyKey = once === undefined ? undefined : key;
    log.error('tool result lost', { ...logged, idempotencyKey, error });
  });
  host.track(ended);
  return atMost(RESULT_MS, ended);
}

/** What happens to the call's claim. Undefined if it made none. */
function onceResultOf(
  { claim, key, spoken: { call } }: NotedToolCall,
  { state, content, isNotDone }: ToolCallResult,
): OnceResult | undefined {
  if (claim?.kind !== 'claimed') return undefined;
  const ended = isNotDone === true
    ? 'not done'
    : state === 'completed' || state === 'unknown' ? state : 'not begun';
  return { key, tool: call.name, state: ended, content };
}
