// What models were sent and answered in a turn: each request as the difference from the one before.

import { isObject } from '../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../base/json.ts';

/** Most of one turn, as bytes of JSON. Requests that go beyond it are left out. */
export const MAX_CAPTURED_PER_TURN = 262_144;
/** Most of all turns of a session, as bytes of JSON. */
export const MAX_CAPTURED_PER_CALL = 4_194_304;

/** One request to a model, and its answer. */
export interface CapturedRequest {
  /** Its place among the turn's `requests`, from 0. */
  readonly request: number;
  /** Fields of the body that are new or different, without `messages`. */
  readonly fields?: JsonObject;
  /** Fields that the request before had. */
  readonly withoutFields?: readonly string[];
  /** How many messages it begins with as the request before. Missing: none. */
  readonly sameMessages?: number;
  /** The messages that follow. */
  readonly messages: readonly Json[];
  readonly answer?: Json;
}

/** What was captured of a turn. */
export interface CapturedTurn {
  /** Of the JSON of all requests. */
  readonly bytes: number;
  readonly requests: readonly CapturedRequest[];
  /** How many more requests there were. */
  readonly leftOut?: number;
}

/** A request as it was sent. */
export interface SentRequest {
  /** JSON. Undefined if that is not known. */
  readonly body: string | undefined;
  /** What the model has answered, as far as it came. */
  readonly answer: object | undefined;
}

/** A request to a model, and its answer. */
export interface Exchange {
  readonly turnId: string;
  /** The request's body. */
  readonly sent: JsonObject;
  /** Null if nothing came. */
  readonly answered: Json;
}

/** As much of a turn's record as is needed here. */
interface TurnWithRequests {
  readonly id: string;
  readonly figures?: { readonly captured?: CapturedTurn | undefined };
}

interface Body {
  readonly fields: Readonly<Record<string, Json>>;
  readonly messages: readonly Json[];
}

const NOTHING: Body = { fields: {}, messages: [] };

/** What models were sent in these turns and answered, in order, whole again. */
export function exchangesIn(turns: readonly TurnWithRequests[]): readonly Exchange[] {
  return turns.flatMap(({ id: turnId, figures }) => {
    const turn = figures?.captured;
    if (turn === undefined) return [];
    const bodies = wholeRequests(turn);
    return turn.requests.map(({ answer = null }, index) => ({
      turnId, sent: bodies[index] ?? {}, answered: answer,
    }));
  });
}

/** Undefined if there is nothing to capture. */
export function captured(requests: readonly SentRequest[]): CapturedTurn | undefined {
  const kept: CapturedRequest[] = [];
  let [before, bytes, leftOut] = [NOTHING, 0, 0];
  for (const [request, { body, answer }] of requests.entries()) {
    const sent = bodyIn(body);
    if (sent === undefined) continue;
    const difference = { request, ...differenceOf(sent, before), ...answerOf(answer) };
    const size = Buffer.byteLength(JSON.stringify(difference));
    if (bytes + size > MAX_CAPTURED_PER_TURN) {
      leftOut += 1;
      continue;
    }
    bytes += size;
    kept.push(difference);
    before = sent;
  }
  if (kept.length + leftOut === 0) return undefined;
  return { bytes, requests: kept, ...(leftOut === 0 ? {} : { leftOut }) };
}

/** The same, without its requests, if the session has no room for them. */
export function withinCall(turn: CapturedTurn, bytesOfOthers: number): CapturedTurn {
  const { bytes, requests, leftOut = 0 } = turn;
  if (bytes + bytesOfOthers <= MAX_CAPTURED_PER_CALL) return turn;
  return { bytes: 0, requests: [], leftOut: leftOut + requests.length };
}

/** The whole bodies again, in order. */
export function wholeRequests({ requests }: CapturedTurn): readonly JsonObject[] {
  let before = NOTHING;
  return requests.map(({ fields = {}, withoutFields = [], sameMessages = 0, messages }) => {
    const kept = Object.entries(before.fields).filter(([name]) => !withoutFields.includes(name));
    before = {
      fields: { ...Object.fromEntries(kept), ...fields },
      messages: [...before.messages.slice(0, sameMessages), ...messages],
    };
    return { ...before.fields, messages: before.messages };
  });
}

function bodyIn(text: string | undefined): Body | undefined {
  const body: unknown = text === undefined ? undefined : parseJson(text);
  if (!isObject(body)) return undefined;
  const { messages, ...fields } = body as JsonObject;
  return { fields, messages: Array.isArray(messages) ? messages : [] };
}

function differenceOf(
  sent: Body, before: Body,
): Pick<CapturedRequest, 'fields' | 'withoutFields' | 'sameMessages' | 'messages'> {
  const isSame = (one: Json | undefined, other: Json | undefined): boolean =>
    JSON.stringify(one) === JSON.stringify(other);
  const changed = Object.entries(sent.fields).filter(
    ([name, value]) => !Object.hasOwn(before.fields, name) || !isSame(value, before.fields[name]),
  );
  const withoutFields = Object.keys(before.fields).filter(
    (name) => !Object.hasOwn(sent.fields, name),
  );
  const first = sent.messages.findIndex(
    (message, index) => !isSame(message, before.messages[index]),
  );
  const sameMessages = first === -1 ? sent.messages.length : first;
  return {
    ...(changed.length === 0 ? {} : { fields: Object.fromEntries(changed) }),
    ...(withoutFields.length === 0 ? {} : { withoutFields }),
    ...(sameMessages === 0 ? {} : { sameMessages }),
    messages: sent.messages.slice(sameMessages),
  };
}

/** As JSON, so that it is the same from every store. */
function answerOf(answer: object | undefined): Pick<CapturedRequest, 'answer'> {
  const json = answer === undefined ? undefined : parseJson(JSON.stringify(answer));
  return json === undefined ? {} : { answer: json };
}
