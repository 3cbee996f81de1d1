// What was sent to models, and what they answered, over the turns of a call. The first request of a
// turn is kept as the difference from the last one of the previous turn.

import type { Json, JsonObject } from '../../base/json.ts';
import {
  capturedTurn, lastRequestOf, MAX_CAPTURED_PER_TURN, wholeRequests, type Base, type CapturedTurn,
  type WholeRequest,
} from '../captures/captured-requests.ts';
import { add, subtract, type Conversation } from './conversation.ts';
import type { TurnFigures } from './turn-figures.ts';
import type { TurnRecord } from './turn-record.ts';

/** The most that is kept for all turns of a session together, in bytes of JSON. */
export const MAX_CAPTURED_PER_CALL = 4_194_304;

/** A request to a model, and its answer. */
export interface ModelExchange {
  readonly turnId: string;
  /** The request's body. */
  readonly sent: JsonObject;
  /** The model's answer. Null if none came. */
  readonly answered: Json;
}

/** The part of a turn's record that its requests are read from. */
interface TurnWithRequests {
  readonly id: string;
  readonly figures?: { readonly captured?: CapturedTurn | undefined } | undefined;
}

/** The requests of these turns and their answers, in order, whole again. */
export function exchangesIn(turns: readonly TurnWithRequests[]): readonly ModelExchange[] {
  return [...wholeTurns(turns)].flatMap(([{ id: turnId }, { requests }]) =>
    requests.map(({ body: { fields, messages }, answer = null }) => ({
      turnId, sent: { ...fields, messages }, answered: answer,
    })),
  );
}

/**
 * Keeps the figures of a turn, cut to the bounds. Later turns' requests that are stored only as a
 * difference from its requests become whole first.
 */
export function keepFigures(
  conversation: Conversation,
  record: TurnRecord,
  figures: TurnFigures,
): void {
  if (conversation.capturedBytes !== undefined)
    makeWhole(conversation, conversation.turns, (turnId) => turnId === record.id);
  subtract(conversation, record);
  record.figures = withinBounds(figures, conversation, record);
  add(conversation, record);
}

function withinBounds(
  figures: TurnFigures,
  { turns }: Conversation,
  record: TurnRecord,
): TurnFigures {
  const { captured, sessionId } = figures;
  if (captured === undefined) return figures;
  const index = turns.indexOf(record);
  const before = ofSession(turns.slice(0, index === -1 ? turns.length : index), sessionId);
  const base = baseIn(before);
  const kept = capturedTurn(wholeRequests(captured, undefined), base, MAX_CAPTURED_PER_TURN);
  return { ...figures, captured: withinCall(kept, turns, record, sessionId) };
}

/**
 * Makes whole the requests that are kept as the difference from a turn that `isGone`: it was
 * removed, or its requests are about to change. `before`: the turns as they were.
 */
export function makeWhole(
  conversation: Conversation,
  before: readonly TurnRecord[],
  isGone: (turnId: string) => boolean,
): void {
  const { turns } = conversation;
  const cut = new Set<string>(); // turns without room for all their requests
  let whole: ReturnType<typeof wholeTurns<TurnRecord>> | undefined;
  for (const turn of turns) {
    const { figures } = turn;
    const after = figures?.captured?.after;
    if (after === undefined || !(isGone(after.turnId) || cut.has(after.turnId))) continue;
    whole ??= wholeTurns(before);
    const requests = whole.get(turn)?.requests;
    if (figures?.captured === undefined || requests === undefined) continue;
    const kept = capturedTurn(requests, undefined, MAX_CAPTURED_PER_TURN);
    const { leftOut = 0 } = figures.captured;
    const all = leftOut === 0 ? kept : { ...kept, leftOut: leftOut + (kept.leftOut ?? 0) };
    const captured = withinCall(all, turns, turn, figures.sessionId);
    if (captured.requests.length < requests.length) cut.add(turn.id);
    subtract(conversation, turn);
    turn.figures = { ...figures, captured };
    add(conversation, turn);
  }
}

/** What is kept of a turn, without its requests if the session has no room for them. */
function withinCall(
  kept: CapturedTurn,
  turns: readonly TurnRecord[],
  record: TurnRecord,
  sessionId: string,
): CapturedTurn {
  let bytes = kept.bytes;
  for (const turn of ofSession(turns, sessionId))
    if (turn !== record) bytes += turn.figures?.captured?.bytes ?? 0;
  if (bytes <= MAX_CAPTURED_PER_CALL) return kept;
  return { bytes: 0, requests: [], leftOut: kept.requests.length + (kept.leftOut ?? 0) };
}

function ofSession(turns: readonly TurnRecord[], sessionId: string): readonly TurnRecord[] {
  return turns.filter(({ figures }) => figures?.sessionId === sessionId);
}

interface WholeTurn {
  readonly requests: readonly WholeRequest[];
  readonly last: Base | undefined;
}

/**
 * The whole requests of each turn that has any. The turn from which a turn's requests differ comes
 * before it.
 */
function wholeTurns<T extends TurnWithRequests>(turns: readonly T[]): Map<T, WholeTurn> {
  const bases = new Map<string, Base | undefined>();
  const whole = new Map<T, WholeTurn>();
  for (const turn of turns) {
    const captured = turn.figures?.captured;
    if (captured === undefined || captured.requests.length === 0) continue;
    const base = bases.get(captured.after?.turnId ?? '');
    const requests = wholeRequests(captured, base);
    const last = lastRequestOf(turn.id, captured, base, requests);
    bases.set(turn.id, last);
    whole.set(turn, { requests, last });
  }
  return whole;
}

/** The last request of these turns. */
function baseIn(turns: readonly TurnWithRequests[]): Base | undefined {
  return [...wholeTurns(turns).values()].at(-1)?.last;
}
