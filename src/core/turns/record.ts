import { andThen, type Awaitable } from '../../base/awaitable.ts';
import { textOf, type TurnEvent } from '../calls/call-event.ts';
import type { KnownCaller } from '../conversations/conversation.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import { OPENING_DELAYS_MS, persist, WRITE_DELAYS_MS } from '../conversations/persist.ts';
import type {
  TurnOpening, TurnOpeningResult, WaitingTurn,
} from '../conversations/turn-opening.ts';
import type { TurnSettlement } from '../conversations/turn-settlement.ts';
import type { Redaction } from '../redaction/redaction.ts';
import type { LiveState } from '../state/live-state.ts';
import type { Ending } from './machine.ts';
import type { TurnRun } from './turn-run.ts';

/**
 * What the store says about a turn's record. `beside`: about a turn that leaves nothing in history.
 */
export type Opening =
  | TurnOpeningResult
  | {
      readonly kind: 'beside';
      /** Whether the conversation has had a turn. */
      readonly isResumed: boolean;
      /** The agent that the conversation was last handed over to. */
      readonly agent: string | undefined;
    };

/** What a turn that had to ask about other processes has found out. */
export interface Asked {
  readonly mayLive: (process: string) => boolean;
  /** See `AskedFirst`. */
  readonly newest: string | undefined;
}

/**
 * Opens the record of a turn: stores the caller's words and a placeholder for the reply. `asked`:
 * set once it is known which processes are alive. For a turn that leaves nothing in history the
 * conversation is only read. Rejects if the last attempt to write fails too.
 */
export function openRecord(
  turn: TurnRun,
  asked?: Asked,
): Awaitable<Opening> {
  const { conversationId, host } = turn;
  const { conversations, options: { values } } = host;
  if (!turn.isStored) {
    return andThen(conversations.known(conversationId), (known) => {
      numberAnonymous(turn.event, values?.redaction, known);
      return { kind: 'beside', isResumed: known !== undefined, agent: known?.agent };
    });
  }
  const opening = openingOf(turn, asked);
  const opened = persist(
    () => conversations.openTurn(conversationId, opening), OPENING_DELAYS_MS,
  );
  if (values === undefined) return opened;
  return andThen(opened, (result) => {
    if (result.kind === 'opened') values.redaction.learn(conversationId, result.placeholders);
    return result;
  });
}

/** The values of a turn that stores nothing are numbered in the order in which they were said. */
function numberAnonymous(
  event: TurnEvent,
  redaction: Redaction | undefined,
  known: KnownConversation | undefined,
): void {
  if (redaction === undefined) return;
  redaction.learn(event.conversationId, known?.placeholders);
  if (event.type !== 'message') return;
  const said = [event.transcript?.lines, event.text];
  void redaction.numberedHere(event.conversationId, said);
}

function openingOf(
  turn: TurnRun,
  asked: Asked | undefined,
): TurnOpening {
  const { turnId, runId, event, startedAtMs, older, trace } = turn;
  const { calls, process, options: { figures } } = turn.host;
  // Not spread: Node 20 would give each object a hidden class of its own. See decision 5.
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
    waiting: older === undefined ? undefined : waitingAmong(older),
    isCallRunning: (key, owner) =>
      owner === undefined || owner === process
        ? calls.isRunning(key)
        : asked?.mayLive(owner) === true,
    process,
    isAlive: asked?.mayLive,
    newestBefore: asked?.newest,
    waitedMs: () => performance.now() - startedAtMs,
    isOver: () => turn.isOver,
    figures: figures?.atStart(turn),
    trace: trace?.place,
  };
}

/** What these turns would leave in history if they were interrupted now, the newest first. */
function settlementsOf(newest: TurnRun): TurnSettlement[] {
  const settlements: TurnSettlement[] = [];
  for (let turn: TurnRun | undefined = newest; turn !== undefined; turn = turn.older)
    settlements.push(turn.soFar());
  return settlements;
}

/** Those of these turns that have not been opened yet, the newest first. */
function waitingAmong(newest: TurnRun): WaitingTurn[] {
  const waiting: WaitingTurn[] = [];
  for (let turn: TurnRun | undefined = newest; turn !== undefined; turn = turn.older) {
    const { turnId, runId, event, startedAtMs, host: { process } } = turn;
    if (turn.opened !== undefined || turn.isOver) continue;
    const waitedMs = (): number => performance.now() - startedAtMs;
    waiting.push({ turnId, text: textOf(event), runId, process, waitedMs });
  }
  return waiting;
}

function knownCaller({ caller, sessionId }: TurnEvent): KnownCaller | undefined {
  return caller === undefined ? undefined : { sessionId, ...caller };
}

/**
 * What history will hold of a turn that ends like this. For an interrupted reply, only events that
 * have left this process count: those still waiting here were never sent.
 */
export function settlementOf(turn: TurnRun, state: Ending): TurnSettlement {
  const { turnId, runId, spoken, erasedAt } = turn;
  const { options: { figures }, process } = turn.host;
  const count =
    state === 'interrupted' ? spoken.countSent(turn.delivery.unsent) : spoken.events.length;
  return {
    turnId,
    runId,
    process,
    erasedAt,
    state,
    messages: spoken.messages(turnId, state, count),
    filler: spoken.filler,
    sent: state === 'completed' ? spoken.replay() : undefined,
    figures: figures?.atEnd(turn, state === 'failed'),
    trace: turn.trace?.place,
  };
}

/**
 * Stores the settlement of a turn, and tries again if the store fails. Never throws or rejects: a
 * settlement that cannot be stored is logged. A shutdown waits for the write. `isLeaving`: the last
 * events have not left yet. If they do not leave, or a newer turn has stored what this one had said
 * so far, `correctSettlement` must follow.
 */
export function storeSettlement(turn: TurnRun, state: Ending, isLeaving?: true): Awaitable<void> {
  const { liveState } = turn;
  const settled = settlementOf(turn, state);
  const settlement = isLeaving === undefined ? settled : { ...settled, isLeaving };
  const stored = store(turn, settlement, liveState);
  if (!(stored instanceof Promise)) return liveState?.leave();
  const done = stored.then(() => liveState?.leave());
  turn.host.track(done);
  return done;
}

/**
 * Corrects a turn that was stored as complete and then cut, or as cut by a newer turn and then left
 * as a whole. State and figures stay.
 */
export function correctSettlement(turn: TurnRun, ending: Ending): void {
  const settlement = { ...settlementOf(turn, ending), figures: undefined };
  const stored = store(turn, settlement, undefined);
  if (stored instanceof Promise) turn.host.track(stored);
}

/** Returns at once if the store does. Never rejects. */
function store(
  turn: TurnRun,
  settlement: TurnSettlement,
  liveState: LiveState | undefined,
): Awaitable<void> {
  const { conversationId, host: { conversations } } = turn;
  const agentState = liveState?.changes(turn.log, conversationId);
  const whole = agentState === undefined ? settlement : { ...settlement, agentState };
  const stored = persist(() => conversations.settleTurn(conversationId, whole), WRITE_DELAYS_MS);
  if (!(stored instanceof Promise)) return;
  return stored.then(
    () => undefined,
    (error: unknown) => logLoss(settlement, turn, error),
  );
}

function logLoss(
  { state, messages }: TurnSettlement,
  { conversationId, turnId, log }: TurnRun,
  error: unknown,
): void {
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  log.error('history not written', { conversationId, turnId, state, characters, error });
}
