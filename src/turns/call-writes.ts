// What is stored of tool calls: that they begin, and what they returned.

import type { LiveState } from '../agents/live-state.ts';
import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { ToolCall } from '../conversations/message.ts';
import type { Ownership } from '../conversations/tool-call-rules.ts';
import type { Logger } from '../log.ts';
import { persist, WRITE_DELAYS_MS } from './persist.ts';
import type { CallOutcome } from './running-calls.ts';
import type { SpokenReply } from './spoken-reply.ts';
import type { TurnHost } from './turn-host.ts';

/** A turn whose agent calls tools. */
export interface CallingTurn {
  readonly conversationId: string;
  readonly turnId: string;
  readonly runId: number;
  /** False for a turn that leaves nothing in history. */
  readonly isStored: boolean;
  readonly isOver: boolean;
  readonly spoken: SpokenReply;
  /** The agent's state, which calls may change. Undefined for an agent without one. */
  readonly liveState: LiveState | undefined;
  readonly log: Logger;
  /** Ends it, if it is not over. */
  interrupt(reason: string): void;
}

/** What all calls share. */
export type CallHost = Pick<TurnHost, 'conversations' | 'calls' | 'track'>;

/**
 * Stores what the turn has said and called so far, before the calls begin. If a newer turn has
 * begun, this one is interrupted. Never rejects: calls that cannot be stored run unprotected.
 */
export function storeCalls(turn: CallingTurn, { conversations }: CallHost): Awaitable<void> {
  const { conversationId, turnId, runId, isStored, spoken, log } = turn;
  if (!isStored) return;
  const stored = (ownership: Ownership): void => {
    // The newer turn may run in another process whose message has not arrived.
    if (ownership === 'closed') turn.interrupt('a newer turn began');
  };
  const failed = (error: unknown): void => {
    const message = 'tool calls could not be stored and run unprotected';
    log.error(message, { conversationId, turnId, error });
  };
  try {
    const progress = { turnId, runId, messages: spoken.messages(turnId, 'open') };
    const storing = conversations.noteProgress(conversationId, progress);
    if (storing instanceof Promise) return storing.then(stored, failed);
    stored(storing);
  } catch (error) {
    failed(error);
  }
}

/**
 * Stores the result of a call, and tries again if the store fails. `done` is called when it is
 * stored, or lost. A shutdown waits for the write.
 */
export function storeResult(
  turn: CallingTurn,
  host: CallHost,
  call: ToolCall,
  outcome: CallOutcome,
  done: () => void,
): void {
  const { conversationId, turnId, liveState, log, isStored } = turn;
  if (!isStored) return done();
  const logged = { conversationId, turnId, tool: call.name };
  const result = { turnId, toolCallId: call.id, ...outcome };
  const write = persist(() => {
    const agentState = liveState?.textToStore(log, conversationId);
    return host.conversations.noteToolResult(conversationId, { ...result, agentState });
  }, WRITE_DELAYS_MS);
  const written = andThen(write, (isKnown) => {
    done();
    if (!isKnown) log.info('a tool result came too late to be kept', logged);
  });
  if (!(written instanceof Promise)) return;
  host.track(
    written.catch((error: unknown) => {
      done();
      log.error('tool result lost', { ...logged, error });
    }),
  );
}
