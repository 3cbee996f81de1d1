// The hooks of an agent that a turn calls.

import type { Agent, MessageTurn, Spoken, StartTurn } from '../agents/agent.ts';
import { DEFAULT_APOLOGY, DEFAULT_LIMIT_REACHED } from '../agents/phrases.ts';
import { isThenable, type Awaitable } from '../base/awaitable.ts';
import type { CallStart, TurnEvent } from '../calls/call-event.ts';
import type { CutTurn } from '../conversations/heard.ts';
import type { LogFields, Logger } from '../log.ts';
import { TurnReply } from './reply.ts';
import { messageTurn, startTurn, type ViewedTurn } from './turn-view.ts';

/** Calls the hook that answers the turn's event. Returns undefined if the agent has none. */
export function callAgent(
  agent: Agent,
  turn: ViewedTurn & { readonly told: TurnEvent },
  isResumed: boolean,
): Awaitable<Spoken> {
  const { told: event } = turn;
  switch (event.type) {
    case 'start':
      return agent.onSessionStart?.(startTurn(event, turn, isResumed), new TurnReply(turn));
    case 'message':
      return agent.onMessage(messageTurn(event, turn), new TurnReply(turn));
    default:
      return event satisfies never;
  }
}

/**
 * Tells the agent that a call has begun in which the platform greets: its reply is over before it
 * begins. Never throws or rejects: a failure is logged.
 */
export function tellStarted(
  agent: Agent, start: CallStart, turn: ViewedTurn & { readonly signal: AbortSignal },
): Awaitable<void> {
  const failed = (error: unknown): void =>
    turn.log.error('onSessionStart failed', { agent: agent.name, error });
  const reply = new TurnReply({
    isOver: true,
    canTransfer: false,
    get signal() {
      return turn.signal; // created when it is first asked for
    },
    spoken: turn.spoken,
    send: () => false,
    end: () => undefined,
  });
  try {
    const told: unknown = agent.onSessionStart?.(startTurn(start, turn, false), reply);
    if (isThenable(told)) return Promise.resolve(told).then(() => undefined, failed);
  } catch (error) {
    failed(error);
  }
}

type PhraseTurn = ViewedTurn & { readonly told: TurnEvent };

/** What the agent says when a turn fails. Never throws: a failure is logged. */
export function apologyOf(agent: Agent, turn: PhraseTurn): string {
  const { name, apology = DEFAULT_APOLOGY } = agent;
  const failed = (why: LogFields): void =>
    turn.log.error('apology failed', { agent: name, ...why });
  return phraseOf(apology, turn, failed) ?? DEFAULT_APOLOGY;
}

/** What the agent says when the call has reached its limit. Never throws: a failure is logged. */
export function limitTextOf(agent: Agent, turn: PhraseTurn): string {
  const { name, limitReached = DEFAULT_LIMIT_REACHED } = agent;
  const failed = (why: LogFields): void =>
    turn.log.error('limitReached failed', { agent: name, ...why });
  return phraseOf(limitReached, turn, failed) ?? DEFAULT_LIMIT_REACHED;
}

/** Undefined if it is a function that threw, or that returned no text. */
function phraseOf(
  phrase: string | ((turn: StartTurn | MessageTurn) => string),
  turn: PhraseTurn,
  failed: (why: LogFields) => void,
): string | undefined {
  if (typeof phrase === 'string') return phrase;
  const { told: event } = turn;
  try {
    const view = event.type === 'start' ? startTurn(event, turn, true) : messageTurn(event, turn);
    const text: unknown = phrase(view);
    if (typeof text === 'string') return text;
    failed({ got: typeof text });
  } catch (error) {
    failed({ error });
  }
  return undefined;
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
