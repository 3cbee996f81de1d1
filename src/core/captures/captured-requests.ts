// What was sent to models in a turn, and what they answered. Each request is kept as the difference
// from the previous one, the first one as the difference from the last request of an earlier turn.

import { createHash } from 'node:crypto';

import { isObject } from '../../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../../base/json.ts';

/** The most that is kept of one turn, in bytes of JSON. Requests beyond that are left out. */
export const MAX_CAPTURED_PER_TURN = 262_144;

/** One request to a model, and its answer. */
export interface CapturedRequest {
  /** Its place among the turn's `requests`, from 0. */
  readonly request: number;
  /** Fields of the body that are new or different, without `messages`. */
  readonly fields?: JsonObject;
  /** Fields of the previous request that this one lacks. */
  readonly withoutFields?: readonly string[];
  /** How many messages at its beginning are the same as in the previous request. Missing: none. */
  readonly sameMessages?: number;
  /** The messages that follow. */
  readonly messages: readonly Json[];
  readonly answer?: Json;
}

/** What was captured in a turn. */
export interface CapturedTurn {
  /**
   * The earlier turn of the same session whose last request the first one here is compared with.
   * Missing if the first one is whole.
   */
  readonly after?: { readonly turnId: string; readonly hash: string };
  /** The hash of the last request. Missing until the turn is kept. */
  readonly hash?: string;
  /** The size of all requests as JSON. */
  readonly bytes: number;
  readonly requests: readonly CapturedRequest[];
  /** How many more requests there were. */
  readonly leftOut?: number;
}

/** A request as it was sent. */
export interface SentRequest {
  /** JSON. Undefined if unknown. */
  readonly body: string | undefined;
  /** The model's answer, as far as it arrived. */
  readonly answer: object | undefined;
}

/** A request's body in two parts. */
export interface Body {
  readonly fields: Readonly<Record<string, Json>>;
  readonly messages: readonly Json[];
}

/** A request that can be read without those before it. */
export interface WholeRequest {
  /** Its place among the turn's `requests`, from 0. */
  readonly request: number;
  readonly body: Body;
  readonly answer?: Json;
}

/** The last request of a turn, for those that are kept as the difference from it. */
export interface Base {
  readonly turnId: string;
  readonly body: Body;
  readonly hash: string;
}

const NOTHING: Body = { fields: {}, messages: [] };

/** All requests, however long. Undefined if there is nothing to capture. */
export function captured(requests: readonly SentRequest[]): CapturedTurn | undefined {
  const whole = requests.flatMap(({ body: text, answer }, request): WholeRequest[] => {
    const body = bodyIn(text);
    return body === undefined ? [] : [{ request, body, ...answerOf(answer) }];
  });
  return whole.length === 0 ? undefined : differencesOf(whole, NOTHING, Infinity).kept;
}

/**
 * Each request as the difference from the previous one, the first one from `base`. Leaves out those
 * that do not fit into `maxBytes`.
 */
export function capturedTurn(
  whole: readonly WholeRequest[],
  base: Base | undefined,
  maxBytes: number,
): CapturedTurn {
  const { kept, last } = differencesOf(whole, base?.body ?? NOTHING, maxBytes);
  if (kept.requests.length === 0) return kept;
  const after = base && { turnId: base.turnId, hash: base.hash };
  return { ...(after === undefined ? {} : { after }), hash: hashOf(last), ...kept };
}

/** `last` is the last body that is kept. */
function differencesOf(
  whole: readonly WholeRequest[],
  base: Body,
  maxBytes: number,
): { readonly kept: CapturedTurn; readonly last: Body } {
  const requests: CapturedRequest[] = [];
  let [last, bytes, leftOut] = [base, 0, 0];
  for (const { request, body, answer } of whole) {
    const words = answer === undefined ? {} : { answer };
    const difference = { request, ...differenceOf(body, last), ...words };
    const size = Buffer.byteLength(JSON.stringify(difference));
    if (bytes + size > maxBytes) {
      leftOut += 1;
      continue;
    }
    bytes += size;
    requests.push(difference);
    last = body;
  }
  return { kept: { bytes, requests, ...(leftOut === 0 ? {} : { leftOut }) }, last };
}

/**
 * The whole requests again, in order. `base` is the last request of the turn that `after` names. If
 * it is missing or has changed, they lack what they had in common with it.
 */
export function wholeRequests(
  { after, requests }: CapturedTurn,
  base: Base | undefined,
): readonly WholeRequest[] {
  let before = after !== undefined && base?.hash === after.hash ? base.body : NOTHING;
  return requests.map((each) => {
    const { request, fields = {}, withoutFields = [], sameMessages = 0, messages, answer } = each;
    const kept = Object.entries(before.fields).filter(([name]) => !withoutFields.includes(name));
    before = {
      fields: { ...Object.fromEntries(kept), ...fields },
      messages: [...before.messages.slice(0, sameMessages), ...messages],
    };
    return { request, body: before, ...(answer === undefined ? {} : { answer }) };
  });
}

/**
 * What the next turn may be compared with: the last of these requests, which `wholeRequests` made
 * from the turn and the same base.
 */
export function lastRequestOf(
  turnId: string,
  { after, hash }: CapturedTurn,
  base: Base | undefined,
  whole: readonly WholeRequest[],
): Base | undefined {
  const body = whole.at(-1)?.body;
  if (body === undefined) return undefined;
  // The turn's hash is that of what was sent. This one may lack what it had in common with the
  // base.
  const isAsSent = after === undefined || base?.hash === after.hash;
  return { turnId, body, hash: (isAsSent ? hash : undefined) ?? hashOf(body) };
}

function hashOf({ fields, messages }: Body): string {
  const sorted = Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1));
  const text = JSON.stringify([sorted, messages]);
  return createHash('sha1').update(text).digest('base64url').slice(0, 12);
}

function bodyIn(text: string | undefined): Body | undefined {
  const body: unknown = text === undefined ? undefined : parseJson(text);
  if (!isObject(body)) return undefined;
  const { messages, ...fields } = body as JsonObject;
  return { fields, messages: Array.isArray(messages) ? messages : [] };
}

function differenceOf(
  sent: Body,
  before: Body,
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
