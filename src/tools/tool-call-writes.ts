// Stores that tool calls begin, and what they returned.

import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { OnceCall } from '../conversations/once-call.ts';
import type { OnceClaim, OnceResult } from '../conversations/once-rules.ts';
import { persist, WRITE_DELAYS_MS } from '../conversations/persist.ts';
import type { UpdateOptions } from '../conversations/store.ts';
import type { Ownership, TurnProgress } from '../conversations/tool-call-rules.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import type { ToolCallingTurn, ToolHost } from './tool-calling-turn.ts';
import { BEGUN, toolNameOf, type NotedToolCall } from './tool-calls-noted.ts';
import { INTERRUPTED, type ToolCallResult, type Withdrawal } from './tool-calls-running.ts';

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
  const failed = (error: unknown): Awaitable<void> => {
    const { conversationId, turnId, log } = turn;
    const message = 'tool calls could not be stored; they run unprotected';
    log.error(message, { conversationId, turnId, error });
    return rememberProgress(turn);
  };
  try {
    const stored = noteProgress(turn, { mustBeStored: true });
    return stored instanceof Promise ? stored.catch(failed) : stored;
  } catch (error) {
    return failed(error);
  }
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
  const { conversationId, turnId, runId, host: { process }, spoken, liveState, log } = turn;
  const messages = spoken.messages(turnId, 'open');
  const agentState = liveState?.changes(log, conversationId);
  return { turnId, runId, process, messages, filler: spoken.filler, agentState };
}

/** The newer turn or run may be another process's, whose message has not arrived. */
function own(turn: ToolCallingTurn, ownership: Ownership): void {
  if (ownership === 'closed') turn.interrupt('a newer turn began');
  else if (ownership === 'taken over') turn.giveAway();
}

/**
 * Stores progress and claims in one compare-and-swap. While others are asked before, no call of the
 * round has begun.
 */
async function storeClaims(
  turn: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Promise<void> {
  const { conversationId, turnId, host, log } = turn;
  if (turn.isOver) return;
  const once = calls.filter((call) => call.isOnce && !isKnownToBeDone(turn, call));
  for (const { spoken } of calls) Object.assign(spoken, INTERRUPTED);
  const claiming = await notRunningElsewhere(turn, once);
  for (const { running } of once) running.askingTurn = undefined;
  if (turn.isOver) return;
  for (const { spoken } of calls) Object.assign(spoken, BEGUN);
  const claims = claiming.map((call) => claimOf(call, host));
  for (const { running } of claiming) running.isClaimer = true;
  try {
    const noted = await host.conversations.noteProgress(
      conversationId,
      { ...progressOf(turn), claims },
      { mustBeStored: true, isClaim: claims.length > 0 },
    );
    const { ownership, claims: outcomes, earlierCalls } = noted;
    if (earlierCalls.length > 0) turn.learn(earlierCalls);
    for (const [index, call] of claiming.entries()) {
      call.claim = outcomes[index];
      call.running.isClaimer = call.claim?.kind === 'claimed';
      if (call.claim?.kind === 'claimed') host.calls.forgetUnconfirmed(call.key);
    }
    own(turn, ownership);
  } catch (error) {
    const message = 'tool calls that act once were not started, as the store did not confirm them';
    if (claiming.length > 0) log.error(message, { conversationId, turnId, error }); // others wait
    for (const { key, running } of claiming) {
      running.isClaimer = false;
      host.calls.noteUnconfirmed(key, running);
    }
    void withdrawLater(turn, claiming);
    const hasOthers = calls.some(({ isOnce }) => !isOnce); // which may run unprotected
    await (hasOthers ? storeProgress(turn) : rememberProgress(turn));
  }
}

/** What this process knows to be done needs no claim, so a store that is away changes nothing. */
function isKnownToBeDone(
  { conversationId, host: { conversations } }: ToolCallingTurn,
  call: NotedToolCall,
): boolean {
  const known = conversations.remembered(conversationId)?.onceCalls?.[call.key];
  if (known?.state !== 'completed') return false;
  call.claim = { kind: 'ended', call: known };
  return true;
}

/**
 * The calls that no other process says it runs. The store may have lost claims that such a process
 * still knows. So all are asked, and put them back. A call that runs is waited for. A claim that
 * cannot be put back still holds.
 */
async function notRunningElsewhere(
  turn: ToolCallingTurn,
  calls: readonly NotedToolCall[],
): Promise<readonly NotedToolCall[]> {
  const { conversationId, turnId, host, log } = turn;
  const { conversations, others, process: own } = host;
  if (others === undefined) return calls;
  const keys = calls.map(({ key }) => key);
  try {
    const conversation = await conversations.read(conversationId);
    const { turns = [], onceCalls } = conversation ?? {};
    const claims = keys.map((key) => onceCalls?.[key]);
    const running = [
      ...turns.filter(({ state }) => state === 'open'),
      ...claims.filter((claim) => claim?.state === 'running'),
    ];
    const known = running.flatMap((owned) => owned?.process ?? []);
    const strangers = new Set(known.filter((process) => process !== own));
    // Not before: of two that ask, one lets the other go first, but only once it has asked itself.
    for (const { running } of calls) running.askingTurn = turn;
    const answers = await others.askAll(conversationId, keys, strangers);
    const isAnyClaimed = keys.some(answers.isClaimed);
    const kept = isAnyClaimed ? await conversations.read(conversationId) : undefined;
    return calls.filter((call, index) => {
      const process = answers.runnerOf(call.key);
      if (process === undefined) {
        // Only claims that are not in the store are in doubt.
        if (answers.areDoubtful && claims[index] === undefined) {
          call.claim = { kind: 'refused' };
          const ids = { conversationId, turnId, tool: toolNameOf(call) };
          log.warn('a tool call that acts once was not started, as others may not hear us', ids);
          return false;
        }
        const isLost = answers.isClaimed(call.key) && kept?.onceCalls?.[call.key] === undefined;
        if (isLost) call.claim = { kind: 'refused' };
        return !isLost;
      }
      const claim = claims[index];
      const claimer = claim?.state === 'running' ? claim.process : undefined;
      if (claimer === own) return true; // the others may wait for this one
      // The claim names the process to wait for: others that run the call may be waiting, too.
      const mayLive = claimer !== undefined && (answers.areDoubtful || answers.isAlive(claimer));
      call.claim = {
        kind: 'running', call: claim !== undefined && mayLive ? claim : callOf(call, process),
      };
      call.spoken.joins = true;
      call.spoken.runner = mayLive ? claimer : process;
      return false;
    });
  } catch (error) {
    log.debug('other processes could not be asked about calls', { conversationId, error });
    return calls; // the claims decide
  }
}

/** A call of another process that is not in the record. */
function callOf({ spoken: { call } }: NotedToolCall, process: string): OnceCall {
  const identity = { turnId: '', runId: 0, toolCallId: '', process };
  const { running } = UNFINISHED_RESULTS;
  return { ...identity, state: 'running', tool: call.name, claimedAt: 0, content: running };
}

function claimOf(
  { key, running, tool, spoken: { call } }: NotedToolCall,
  host: ToolHost,
): OnceClaim {
  return {
    key,
    tool: call.name,
    toolCallId: call.id,
    isRepeatable: tool?.repeatable === true,
    isRefused: tool?.isRefused === true,
    isRunningHere: () => host.calls.outcomeBefore(key, running) !== undefined,
    isUnconfirmed: () => host.calls.isUnconfirmed(key),
  };
}

/** The first pause before a try to take claims back. It doubles up to the longest. */
const FIRST_WITHDRAWAL_MS = 250;
/**
 * A try costs nothing while the store is degraded, and others wait for these claims as soon as it
 * is not.
 */
const LONGEST_WITHDRAWAL_MS = 2_000;
/** How long it is tried to take a claim back. */
const WITHDRAWN_FOR_MS = 3_600_000;

/**
 * The store may have the claims although it did not confirm them. Withdraws them as soon as it
 * answers, all of a conversation at once. Until then, or until the last try has failed, this
 * process says that it runs the calls, so that they do not count as lost.
 */
async function withdrawLater(
  { conversationId, runId, host: { conversations, calls }, log }: ToolCallingTurn,
  claiming: readonly NotedToolCall[],
): Promise<void> {
  const untilMs = performance.now() + WITHDRAWN_FOR_MS;
  const added = claiming.map(({ key, running, spoken }): Withdrawal =>
    ({ key, runId, toolCallId: spoken.call.id, running, untilMs }));
  const { withdrawals } = calls;
  const others = withdrawals.get(conversationId);
  if (others !== undefined) return void others.push(...added);
  withdrawals.set(conversationId, added);
  const unconfirmed = (): Withdrawal[] =>
    (withdrawals.get(conversationId) ?? []).filter(({ key, running }) =>
      calls.isUnconfirmed(key, running));
  for (let ms = FIRST_WITHDRAWAL_MS; ; ms = Math.min(2 * ms, LONGEST_WITHDRAWAL_MS)) {
    const left = unconfirmed();
    if (left.length === 0) return void withdrawals.delete(conversationId);
    withdrawals.set(conversationId, left); // to which others may be added
    await new Promise((resolve) => setTimeout(resolve, ms).unref());
    let over = unconfirmed();
    try {
      if (over.length > 0) await conversations.withdrawClaims(conversationId, over);
    } catch (error) {
      log.debug('claims of tool calls could not be taken back yet', { conversationId, error });
      over = over.filter((claim) => claim.untilMs <= performance.now());
    }
    for (const { key, running } of over) calls.forgetUnconfirmed(key, running);
  }
}

interface StoreResultOptions {
  /** The state to store with it. Undefined if the call may not change it any more. */
  readonly liveState: ToolCallingTurn['liveState'];
  /** Called when it is stored, or lost. */
  readonly done?: () => void;
}

/** Stores the result of a call, and tries again if the store fails. A shutdown waits for it. */
export function storeResult(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  outcome: ToolCallResult,
  { liveState, done = () => undefined }: StoreResultOptions,
): void {
  const { conversationId, turnId, runId, host, erasedAt, log, isStored } = turn;
  const { spoken: { call: { id } }, key } = call;
  const { state, content, handOver } = outcome;
  if (!isStored || state === 'running') return done();
  const logged = { conversationId, turnId, tool: toolNameOf(call) };
  const once = onceResultOf(call, outcome);
  const { process } = host;
  const messages = process === undefined ? undefined : turn.spoken.messages(turnId, 'open');
  const result = {
    turnId, runId, process, toolCallId: id, state, content, handOver, once, messages, erasedAt,
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
  if (!(written instanceof Promise)) return;
  host.track(
    written.catch((error: unknown) => {
      done();
      const idempotencyKey = once === undefined ? undefined : key;
      log.error('tool result lost', { ...logged, idempotencyKey, error });
    }),
  );
}

/** What becomes of the call's claim. Undefined if it made none. */
function onceResultOf(
  { claim, key, spoken: { call } }: NotedToolCall,
  { state, content, isNotDone }: ToolCallResult,
): OnceResult | undefined {
  if (claim?.kind !== 'claimed') return undefined;
  const isDone = state === 'completed' && isNotDone !== true;
  const ended = isDone ? 'completed' : state === 'unknown' ? 'unknown' : 'not done';
  return { key, tool: call.name, state: ended, content };
}
