// What a conversation says about turns and tool calls in other processes.

import type { Conversation } from './conversation.ts';
import type { OnceCall } from './once-call.ts';
import { loseOnceCalls } from './once-rules.ts';
import { forgetLostCalls } from './tool-call-rules.ts';
import { toolMessagesOf, type RunElsewhere, type TurnRecord } from './turn-record.ts';

/** What is known about runs, here and in other processes. */
export interface KnownRuns {
  /** The address of this process, if it shares the conversation with others. */
  readonly process?: string | undefined;
  /** The turns running in this process. */
  readonly running?: readonly { readonly runId: number }[] | undefined;
  /** Whether the process at that address is alive and running the tool call. Default: never. */
  readonly isCallRunning?: ((key: string, process: string | undefined) => boolean) | undefined;
  /**
   * Whether a process may be alive. Undefined until that has been looked up: until then nothing is
   * taken from other processes.
   */
  readonly isAlive?: ((process: string) => boolean) | undefined;
}

/** A tool call whose outcome is unknown. */
export interface LostCall {
  /** The turn that made it. */
  readonly turnId: string;
  /** For a call that does not act once, what the model called: it may have made up the name. */
  readonly tool: string | undefined;
  /** Whether it acts once. */
  readonly isOnce: boolean;
  /** Undefined if its arguments were not JSON. */
  readonly idempotencyKey: string | undefined;
}

/**
 * Other processes may be running tool calls that this turn would count as lost, or a newer turn.
 * Find out first which of them are alive; nothing has changed.
 */
export interface AskedFirst {
  readonly kind: 'elsewhere';
  /** The addresses of those processes. */
  readonly processes: ReadonlySet<string>;
  /** Those that are running calls of the same turn. The turn should give them a moment to end. */
  readonly ofSameTurn: ReadonlySet<string>;
  /** If this turn has run before: the id of the newest turn. One after that comes later. */
  readonly newest: string | undefined;
}

const NO_RUNS: readonly RunElsewhere[] = [];
const NO_CALLS: readonly LostCall[] = [];

/** The turns running in other processes, as far as the conversation knows. */
export function openRunsElsewhere(
  { turns, openTurns }: Conversation,
  own: string,
): readonly RunElsewhere[] {
  if (openTurns === 0) return NO_RUNS;
  return turns.flatMap(({ state, process, runId }) =>
    state === 'open' && process !== undefined && process !== own ? [{ process, runId }] : [],
  );
}

/**
 * The processes that are running calls, and those with an open turn if this turn may yield: as long
 * as they are alive, it may have to yield to such a turn. Undefined if there are none. `known`:
 * this turn, if it has run before.
 */
export function askedFirst(
  conversation: Conversation,
  own: string,
  mayYield: boolean,
  known: TurnRecord | undefined,
): AskedFirst | undefined {
  const processes = callersElsewhere(conversation, own);
  const newest = known === undefined ? undefined : conversation.turns.at(-1)?.id;
  const ofSameTurn = new Set(known === undefined ? [] : callersIn(known, own));
  if (mayYield || processes.size > 0)
    for (const { process } of openRunsElsewhere(conversation, own)) processes.add(process);
  return processes.size === 0 ? undefined : { kind: 'elsewhere', processes, ofSameTurn, newest };
}

/** The other processes that are running tool calls, as far as the conversation knows. */
export function callersElsewhere(
  { turns, runningCalls, onceCalls }: Conversation,
  own: string | undefined,
): Set<string> {
  const callers = runningCalls === 0 ? [] : turns.flatMap((turn) => callersIn(turn, own));
  for (const { state, process } of Object.values(onceCalls ?? {}))
    if (state === 'running' && isOther(process, own)) callers.push(process);
  return new Set(callers);
}

function callersIn(turn: TurnRecord, own: string | undefined): string[] {
  return toolMessagesOf(turn).flatMap(({ state, process = turn.process }) =>
    state === 'running' && isOther(process, own) ? [process] : [],
  );
}

function isOther(process: string | undefined, own: string | undefined): process is string {
  return process !== undefined && process !== own;
}

/** Whether a turn after this one is running: here, or in another living process. */
export function runsAfter(
  { turns }: Conversation,
  record: TurnRecord,
  { running = [], process: own, isAlive = () => false }: KnownRuns,
): boolean {
  for (let index = turns.length - 1; index >= 0 && turns[index] !== record; index--) {
    const turn = turns[index];
    if (turn?.state !== 'open') continue;
    if (running.some(({ runId }) => runId === turn.runId)) return true;
    if (own !== undefined && isOther(turn.process, own) && isAlive(turn.process)) return true;
  }
  return false;
}

/**
 * Marks the calls that no living process is running, and returns them. A call that acts once is
 * lost with its claim, and so are calls of other turns that are waiting for it. A claim that was
 * lost before has been reported already.
 */
export function lostCallsOf(
  conversation: Conversation,
  { process: own, isAlive = () => false, isCallRunning: isRunning = () => false }: KnownRuns,
): readonly LostCall[] {
  if (conversation.runningCalls === 0 && conversation.onceCalls === undefined) return NO_CALLS;
  const lost = new Map<unknown, LostCall>();
  const isRunningOnce = (key: string, { process }: OnceCall): boolean => isRunning(key, process);
  for (const [key, { tool, turnId }] of loseOnceCalls(conversation, isRunningOnce))
    lost.set(key, { turnId, tool, isOnce: true, idempotencyKey: key });
  const stateOf = (key = ''): OnceCall['state'] | undefined => conversation.onceCalls?.[key]?.state;
  for (const turn of conversation.turns)
    for (const message of forgetLostCalls(
      conversation,
      turn,
      (key, process) => stateOf(key) === 'running' || isRunning(key, process),
      (process) => process === own || isAlive(process),
    ))
      if (!lost.has(message.key) && stateOf(message.key) === undefined)
        lost.set(message.key ?? message, {
          turnId: turn.id,
          tool: calledIn(turn, message.toolCallId),
          isOnce: false,
          idempotencyKey: message.key,
        });
  return [...lost.values()];
}

function calledIn({ messages = [] }: TurnRecord, toolCallId: string): string | undefined {
  const calls = messages.flatMap((message) =>
    message.role === 'assistant' ? (message.toolCalls ?? []) : [],
  );
  return calls.findLast(({ id }) => id === toolCallId)?.name;
}
