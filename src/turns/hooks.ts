// The hooks of an agent that a turn calls.

import type { Agent, Spoken } from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { CutTurn } from '../conversations/heard.ts';
import type { Logger } from '../log.ts';
import { TurnReply } from './reply.ts';
import { messageTurn, startTurn, type ViewedTurn } from './turn-view.ts';

/** Calls the hook that answers the turn's event. Returns undefined if the agent has none. */
export function callAgent(
  agent: Agent,
  turn: ViewedTurn & { readonly event: TurnEvent },
  isResumed: boolean,
): Awaitable<Spoken> {
  const { event } = turn;
  switch (event.type) {
    case 'start':
      return agent.onSessionStart?.(startTurn(event, turn, isResumed), new TurnReply(turn));
    case 'message':
      return agent.onMessage(messageTurn(event, turn), new TurnReply(turn));
    default:
      return event satisfies never;
  }
}

/** Calls `onInterrupted`, with what is kept of the reply. Never throws: a failure is logged. */
export function tellInterrupted(
  agent: Agent,
  { conversationId, log }: { readonly conversationId: string; readonly log: Logger },
  { turnId, text }: CutTurn,
): void {
  const failed = (error: unknown): void =>
    log.error('onInterrupted failed', { agent: agent.name, error });
  try {
    const told = agent.onInterrupted?.({ conversationId, turnId, text });
    if (told instanceof Promise) told.catch(failed);
  } catch (error) {
    failed(error);
  }
}
