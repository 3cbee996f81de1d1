import { andThen, type Awaitable } from '../base/awaitable.ts';
import { mayLive } from '../base/process-address.ts';
import type { TurnEvent } from '../calls/call-event.ts';
import type { KnownCaller } from '../conversations/conversation.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import { OPENING_DELAYS_MS, persist } from '../conversations/persist.ts';
import type { TurnOpening, TurnOpeningResult, TurnSettlement } from '../conversations/rules.ts';
import type { Redaction } from '../redaction/redaction.ts';
import type { Answers } from '../tools/tool-question.ts';
import { textOf } from './delivery.ts';
import { figuresAtStart } from './figures.ts';
import type { TurnHost } from './turn-host.ts';

/** What the store says of a turn's record. `beside`: of a turn that leaves nothing in history. */
export type Opening =
  | TurnOpeningResult
  | {
      readonly kind: 'beside';
      /** Whether the conversation has had a turn. */
      readonly isResumed: boolean;
      /** The agent that the conversation was last handed over to. */
      readonly agent: string | undefined;
    };

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
  /** It may end while it waits for the store. */
  readonly isOver: boolean;
}

/** An older turn of the same conversation that runs in this process. */
export interface OlderTurn {
  readonly older: OlderTurn | undefined;
  soFar(): TurnSettlement;
}

/**
 * Opens the record of a turn: stores the caller's words and a placeholder for the reply. `answers`
 * are those of other processes, once they were asked. For a turn that leaves nothing in history the
 * conversation is only read. Rejects if the last try of the write fails too.
 */
export function openRecord(
  turn: OpeningTurn,
  host: TurnHost,
  answers?: Answers,
): Awaitable<Opening> {
  const { conversationId } = turn;
  const { conversations } = host;
  if (!turn.isStored) {
    return andThen(conversations.known(conversationId), (known) => {
      numberAnonymous(turn.event, host.redaction, known);
      return beside(known);
    });
  }
  const opening = openingOf(turn, host, answers ?? withoutMessages(host));
  const opened = persist(
    () => conversations.openTurn(conversationId, opening), OPENING_DELAYS_MS,
  );
  const { redaction } = host;
  if (redaction === undefined) return opened;
  return andThen(opened, (result) => {
    if (result.kind === 'opened') redaction.learn(conversationId, result.placeholders);
    return result;
  });
}

/** The values of a turn that stores nothing are numbered in the order in which they were said. */
function numberAnonymous(
  event: TurnEvent, redaction: Redaction | undefined, known: KnownConversation | undefined,
): void {
  if (redaction === undefined) return;
  redaction.learn(event.conversationId, known?.placeholders);
  if (event.type !== 'message') return;
  const said = [event.transcript?.lines, event.text];
  void redaction.numberedHere(event.conversationId, said);
}

function beside(known: KnownConversation | undefined): Opening {
  return { kind: 'beside', isResumed: known !== undefined, agent: known?.agent };
}

/**
 * Where no messages are exchanged, a process is taken to run its calls as long as it may live, but
 * no longer than an hour.
 */
function withoutMessages({ others }: TurnHost): Answers | undefined {
  return others === undefined ? SILENT : undefined;
}

/** As long as a conversation with an open turn is kept beyond its time. */
const LONGEST_SILENCE_MS = 3_600_000;

const SILENT: Answers = {
  isCallRunning: (_key, process, sinceMs = 0) =>
    process !== undefined && mayLive(process) && Date.now() - sinceMs < LONGEST_SILENCE_MS,
  runnerOf: () => undefined,
  isAlive: mayLive,
};

function openingOf(turn: OpeningTurn, host: TurnHost, answers: Answers | undefined): TurnOpening {
  const { turnId, runId, event, startedAtMs, older } = turn;
  const { calls, process, recordsCalls } = host;
  return {
    turnId,
    runId,
    text: textOf(event),
    caller: knownCaller(event),
    interruption: event.type === 'message' ? event.interruption : undefined,
    transcript: event.type === 'message' ? event.transcript : undefined,
    // They settle again when this turn interrupts them. That is refused if the platform has
    // already said what was heard.
    running: older === undefined ? undefined : settlementsOf(older),
    isCallRunning: (key, owner, sinceMs) =>
      owner === process
        ? calls.isRunning(key)
        : answers?.isCallRunning(key, owner, sinceMs) === true,
    process,
    isAlive: answers?.isAlive,
    waitedMs: () => performance.now() - startedAtMs,
    isOver: () => turn.isOver,
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
