import type { Awaitable } from '../base/awaitable.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { KnownCaller } from '../conversations/conversation.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import type { TurnOpening, TurnOpeningResult, TurnSettlement } from '../conversations/rules.ts';
import { textOf } from './delivery.ts';
import { figuresAtStart } from './figures.ts';
import type { IsCallRunning } from './other-processes.ts';
import { OPENING_DELAYS_MS, persist } from './persist.ts';
import type { TurnHost } from './turn-host.ts';

/** A turn whose record is to be opened. */
export interface OpeningTurn {
  readonly turnId: string;
  readonly runId: number;
  readonly conversationId: string;
  readonly event: TurnEvent;
  /** False for a turn that leaves nothing in history. */
  readonly isStored: boolean;
  /** On the clock of `performance.now()`. */
  readonly startedAtMs: number;
  readonly older: OlderTurn | undefined;
}

/** An older turn of the same conversation that runs in this process. */
export interface OlderTurn {
  readonly older: OlderTurn | undefined;
  soFar(): TurnSettlement;
}

/**
 * Opens the record of a turn: stores the caller's words and a placeholder for the reply.
 * `isRunningElsewhere` is set once other processes were asked. For a turn that leaves nothing in
 * history the conversation is only read, and undefined means that it has had no turn. Rejects if
 * the last try of the write fails too.
 */
export function openRecord(
  turn: OpeningTurn,
  host: TurnHost,
  isRunningElsewhere?: IsCallRunning,
): Awaitable<TurnOpeningResult | KnownConversation | undefined> {
  const { conversationId } = turn;
  const { conversations } = host;
  if (!turn.isStored) return conversations.known(conversationId);
  const opening = openingOf(turn, host, isRunningElsewhere);
  return persist(() => conversations.openTurn(conversationId, opening), OPENING_DELAYS_MS);
}

function openingOf(
  { turnId, runId, event, startedAtMs, older }: OpeningTurn,
  { calls, others, recordsCalls }: TurnHost,
  isRunningElsewhere: IsCallRunning | undefined,
): TurnOpening {
  return {
    turnId,
    runId,
    text: textOf(event),
    caller: knownCaller(event),
    interruption: event.type === 'message' ? event.interruption : undefined,
    // They settle again when this turn interrupts them. That is refused if the platform has
    // already said what was heard.
    running: older === undefined ? undefined : settlementsOf(older),
    isCallRunning:
      isRunningElsewhere === undefined
        ? calls.isRunning
        : (key) => calls.isRunning(key) || isRunningElsewhere(key),
    process: others?.ownAddress,
    hasAsked: isRunningElsewhere !== undefined,
    figures: recordsCalls ? figuresAtStart(event, startedAtMs) : undefined,
  };
}

/** What these turns would leave in history if they were interrupted now, the newest first. */
function settlementsOf(newest: OlderTurn): TurnSettlement[] {
  const settlements: TurnSettlement[] = [];
  for (let turn: OlderTurn | undefined = newest; turn !== undefined; turn = turn.older)
    settlements.push(turn.soFar());
  return settlements;
}

function knownCaller({ caller, sessionId }: TurnEvent): KnownCaller | undefined {
  return caller === undefined ? undefined : { sessionId, ...caller };
}
