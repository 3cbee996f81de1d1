// Waiting for a tool call that another process runs.

import { mayLive } from '../base/process-address.ts';
import { findTurn, type Conversation } from '../conversations/conversation.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { ToolCallId } from '../conversations/message.ts';
import { isSameCall, type OnceCall } from '../conversations/once-call.ts';
import { indexOfCall } from '../conversations/turn-record.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import { REFUSED, UNKNOWN, type ToolCallResult } from './tool-calls-running.ts';
import { MAX_UNANSWERED, type Answers, type AnswersOfAll } from './tool-question.ts';

/** How often the record is read while another process runs a call. */
const READ_MS = 1_000;

const STILL_RUNNING: ToolCallResult = { state: 'running', content: UNFINISHED_RESULTS.running };

/**
 * How often a process may say that nothing began under its claim. It takes the claim back as soon
 * as the store answers it.
 */
const MAX_IDLE = 2;

/** A call that another process runs, according to the record. */
export interface ToolCallElsewhere extends ToolCallId {
  readonly conversationId: string;
  /** Empty as long as only its process has told of it. */
  readonly turnId: string;
  readonly key: string;
  /** The address of its process. */
  readonly process: string;
  /** Whether it acts once per conversation. */
  readonly isOnce: boolean;
}

/** The processes that share conversations with this one. */
export interface OtherToolCalls {
  /**
   * Asks processes which tool calls they run: `calls` has the keys by the address of the process.
   */
  ask(
    conversationId: string,
    calls: ReadonlyMap<string, readonly string[]>,
    tries?: number,
  ): Promise<Answers>;
  /**
   * Asks all processes which of the calls they run or have claimed. Those in `known` are asked by
   * name, too. Each first puts back what the store has lost of the conversation.
   */
  askAll(
    conversationId: string,
    keys: readonly string[],
    known: ReadonlySet<string>,
  ): Promise<AnswersOfAll>;
  /** Calls `listener` when another process says that its call with that key has ended. */
  awaitCall(key: string, listener: () => void): void;
  stopAwaiting(key: string, listener: () => void): void;
}

/** What a waiting call needs. */
export interface Waiting {
  readonly conversations: Pick<ConversationManager, 'read'>;
  /** Undefined if no messages are exchanged: then only the machine may say who is gone. */
  readonly others: OtherToolCalls | undefined;
}

/**
 * The outcome of the call, once the record has it. `unknown` if its process says that it does not
 * run it, does not answer three times in a row or is known to be gone, and the record has no result
 * either. `running` once the signal fires. Undefined if the process answers that it does not run
 * it, and the record has never had it: it did nothing. So did a call whose claim the store has not
 * confirmed: `interrupted`, if the record goes on having that claim. Reads the record at least once
 * a second; a message of that process only saves time.
 */
export async function outcomeElsewhere(
  waitedFor: ToolCallElsewhere,
  { conversations, others }: Waiting,
  signal: AbortSignal,
): Promise<ToolCallResult | undefined> {
  let call = waitedFor;
  let silent = 0;
  let idle = 0;
  let wake = (): void => undefined;
  const woken = (): void => wake();
  const interval = setInterval(woken, READ_MS);
  signal.addEventListener('abort', woken);
  others?.awaitCall(call.key, woken);
  try {
    for (;;) {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const answer = await others?.ask(call.conversationId, new Map([[call.process, [call.key]]]));
      const isAlive = answer?.isAlive(call.process) ?? mayLive(call.process);
      // After that: a process stops running a call once its result is stored.
      const conversation = await conversations.read(call.conversationId);
      call = namedIn(conversation, call);
      const recorded = conversation === undefined ? undefined : outcomeIn(conversation, call);
      const isMissing = recorded === undefined;
      const outcome = recorded ?? UNKNOWN;
      const isRunning = answer?.isCallRunning(call.key, call.process) === true;
      const isIdle = answer?.isIdle(call.key) === true;
      // A store that has lost the record gets it back with the result.
      const isLost = isMissing && isRunning;
      if (isLost && isIdle) return undefined;
      if (isMissing && !isLost && isAlive && call.turnId === '') return undefined;
      silent = isAlive || isRunning ? 0 : silent + 1;
      const isGone = silent >= (answer === undefined ? 1 : MAX_UNANSWERED);
      // A process that was only busy may have claimed the call meanwhile.
      const mayCome = isMissing && !isAlive && !isGone;
      if (outcome.state !== 'running' && !isLost && !mayCome) return outcome;
      if (signal.aborted) return STILL_RUNNING;
      idle = isIdle ? idle + 1 : 0;
      if (idle === MAX_IDLE) return REFUSED;
      if (isGone || (answer !== undefined && isAlive && !isRunning)) return UNKNOWN;
      await next;
    }
  } finally {
    clearInterval(interval);
    signal.removeEventListener('abort', woken);
    others?.stopAwaiting(call.key, woken);
  }
}

/** The claim may have been stored, or put back, after the process told of the call. */
function namedIn(
  conversation: Conversation | undefined,
  call: ToolCallElsewhere,
): ToolCallElsewhere {
  const claim = conversation?.onceCalls?.[call.key];
  if (call.turnId !== '' || claim?.process !== call.process) return call;
  const { turnId, runId, toolCallId } = claim;
  return { ...call, turnId, runId, toolCallId };
}

/**
 * The outcome according to the record. Undefined if it has no such call. For a call that acts once,
 * its claim counts first: the turn may have been trimmed.
 */
function outcomeIn(
  conversation: Conversation,
  call: ToolCallElsewhere,
): ToolCallResult | undefined {
  const claim = call.isOnce ? conversation.onceCalls?.[call.key] : undefined;
  const isOf = (of: OnceCall): boolean => of.process === call.process || of.state === 'completed';
  if (claim !== undefined && (isSameCall(call, claim) || isOf(claim)))
    return { state: claim.state, content: claim.content };
  const turn = findTurn(conversation, call.turnId);
  const index = turn === undefined ? -1 : indexOfCall(turn, call);
  const message = turn?.messages?.[index];
  if (message?.role !== 'tool') return undefined;
  const { state, content, handOver } = message;
  return { state, content, handOver };
}
