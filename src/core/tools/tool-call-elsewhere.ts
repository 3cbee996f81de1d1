// Waits for a tool call that another process is running.

import { findTurn, type Conversation } from '../conversations/conversation.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { ToolCallId } from '../conversations/message.ts';
import { isSameCall, type OnceCall } from '../conversations/once-call.ts';
import { indexOfCall } from '../conversations/turn-record.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import { UNKNOWN, type ToolCallResult } from './tool-calls-running.ts';

/** How often the record is read while another process is running a call. */
const READ_MS = 1_000;

const STILL_RUNNING: ToolCallResult = { state: 'running', content: UNFINISHED_RESULTS.running };

/** A call that another process is running, according to the record. */
export interface ToolCallElsewhere extends ToolCallId {
  readonly conversationId: string;
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
   * Calls `listener` when a call of the conversation has ended in that process. Returns a function
   * that stops this. Messages may be lost.
   */
  awaitCall(conversationId: string, process: string, listener: () => void): () => void;
  /** Tells the waiting processes that the result of a call is stored. */
  callEnded(conversationId: string): void;
}

interface Waiting {
  readonly conversations: Pick<ConversationManager, 'read' | 'goneAmong'>;
  /** Undefined if no messages are exchanged. */
  readonly others: OtherToolCalls | undefined;
}

/**
 * The outcome of the call, once the record has it. `unknown` if its process is gone and the record
 * has no result either. `running` once the signal fires. Undefined if the call did nothing: the
 * record has no such call any more. Reads the record at least once a second; a message from that
 * process only saves time.
 */
export async function outcomeElsewhere(
  call: ToolCallElsewhere,
  { conversations, others }: Waiting,
  signal: AbortSignal,
): Promise<ToolCallResult | undefined> {
  const { conversationId, process } = call;
  let wake = (): void => undefined;
  const woken = (): void => wake();
  const interval = setInterval(woken, READ_MS);
  signal.addEventListener('abort', woken);
  const stop = others?.awaitCall(conversationId, process, woken);
  try {
    for (;;) {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const gone = await conversations.goneAmong([process]);
      // Read only then, because the last thing the process did may have been to store the result.
      const conversation = await conversations.read(conversationId);
      const outcome = conversation === undefined ? undefined : outcomeIn(conversation, call);
      if (outcome?.state !== 'running') return outcome;
      if (signal.aborted) return STILL_RUNNING;
      if (gone.has(process)) return UNKNOWN;
      await next;
    }
  } finally {
    clearInterval(interval);
    signal.removeEventListener('abort', woken);
    stop?.();
  }
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
  if (claim !== undefined && (isSameCall(call, claim) || isOf(claim))) {
    const { state, content } = claim;
    return state === 'released' ? undefined : { state, content };
  }
  const turn = findTurn(conversation, call.turnId);
  const index = turn === undefined ? -1 : indexOfCall(turn, call);
  const message = turn?.messages?.[index];
  if (message?.role !== 'tool') return undefined;
  const { state, content, handOver } = message;
  return { state, content, handOver };
}
