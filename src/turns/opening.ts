import type { Awaitable } from '../base/awaitable.ts';
import type { KnownCaller } from '../conversations/conversation.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import type { TurnOpening, TurnOpeningResult, TurnSettlement } from '../conversations/rules.ts';
import { callerOf, sessionIdOf } from '../wires/layercode/events.ts';
import { interruptionOf, textOf, type TurnEvent } from './delivery.ts';
import { figuresAtStart } from './figures.ts';
import type { AnswerOfOthers } from './other-processes.ts';
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

/** What other processes answered about their tool calls. */
type AnswerAboutCalls = Pick<AnswerOfOthers, 'isCallRunning'>;

/** Stands for the answer if no process is left to ask. */
export const NOBODY_ANSWERS: AnswerAboutCalls = { isCallRunning: () => false };

/**
 * Opens the record of a turn: stores the caller's words and a placeholder for the reply. `answer`
 * is set once other processes were asked. For a turn that leaves nothing in history the
 * conversation is only read, and undefined means that it has had no turn. Rejects if the last try
 * of the write fails too.
 */
export function openRecord(
  turn: OpeningTurn,
  host: TurnHost,
  answer?: AnswerAboutCalls,
): Awaitable<TurnOpeningResult | KnownConversation | undefined> {
  const { conversationId } = turn;
  const { conversations } = host;
  if (!turn.isStored) return conversations.known(conversationId);
  const opening = openingOf(turn, host, answer);
  return persist(() => conversations.openTurn(conversationId, opening), OPENING_DELAYS_MS);
}

function openingOf(
  { turnId, runId, event, startedAtMs, older }: OpeningTurn,
  { calls, others, recordsCalls }: TurnHost,
  answer: AnswerAboutCalls | undefined,
): TurnOpening {
  return {
    turnId,
    runId,
    text: textOf(event),
    caller: knownCaller(event),
    interruption: interruptionOf(event),
    // They settle again when this turn interrupts them. That is refused if the platform has
    // already said what was heard.
    running: older === undefined ? undefined : settlementsOf(older),
    isCallRunning:
      answer === undefined
        ? calls.isRunning
        : (key) => calls.isRunning(key) || answer.isCallRunning(key),
    process: others?.ownAddress,
    hasAsked: answer !== undefined,
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

function knownCaller(event: TurnEvent): KnownCaller | undefined {
  const caller = callerOf(event);
  return caller === undefined ? undefined : { sessionId: sessionIdOf(event), ...caller };
}
