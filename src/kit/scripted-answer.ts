// What a scripted model can be told to do in answer to one request.

import type { ModelErrorCode } from '../core/models/model.ts';

/** A tool call by the model. */
export interface ScriptedCall {
  /** The name of the tool. */
  readonly call: string;
  /** Default `{}`. */
  readonly args?: object;
}

/** The model is late. The rest of the answer comes after this wait. */
export interface ScriptedWait {
  /** From 0 to 2,147,483,647. The end of the request also ends the wait. */
  readonly waitMs: number;
}

/**
 * The model fails with a `ModelError`. Nothing follows in the answer.
 *
 * - A number is the HTTP status of the vendor's answer, 400 to 599. No text or call precedes it.
 * - A string is the error's code: `connection_dropped` for a stream that breaks off,
 *   `content_filter` for a refusal.
 */
export interface ScriptedFailure {
  readonly fail: number | ModelErrorCode;
}

/** The answer is cut at the model's limit. Nothing follows in it. */
export interface ScriptedCut {
  readonly cut: true;
}

/** A part of an answer. A string is text. */
export type ScriptedPart = string | ScriptedCall | ScriptedWait | ScriptedFailure | ScriptedCut;

/**
 * The answer to one request: text, a call, a wait, a failure, a cut, or several of these in order.
 * After calls the model is asked again with their results, and gives its next answer.
 */
export type ScriptedAnswer = ScriptedPart | readonly ScriptedPart[];

/** Whether a model that fails like this is worth asking again. */
export const IS_RETRYABLE: Readonly<Record<ModelErrorCode, boolean>> = {
  bad_model_name: false, bad_base_url: false, key_missing: false, key_refused: false,
  rate_limited: true, no_credit: false, http_error: false, connect_timeout: false,
  first_delta_timeout: false, idle_timeout: false, total_timeout: false, connection_failed: true,
  connection_dropped: true, malformed_stream: true, error_in_stream: true, empty_reply: false,
  unclosed_thought: false, content_filter: false, reply_too_large: false, limit_reached: false,
};

const MAX_WAIT_MS = 2_147_483_647; // beyond it, Node's timers fire at once

const KINDS = 'a text, { call, args }, { waitMs }, { fail }, { cut: true } or a list of these';

/** The fields of each kind of part, by the field that identifies the kind. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  call: ['call', 'args'],
  waitMs: ['waitMs'],
  fail: ['fail'],
  cut: ['cut'],
};

/** The parts of an answer. Throws a `TypeError` that begins with `subject` for an invalid one. */
export function parseAnswer(answer: unknown, subject: string): readonly ScriptedPart[] {
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  const parts = list.map((part) => parsePart(part, subject));
  for (const [index, part] of parts.entries()) {
    if (typeof part === 'string' || !('cut' in part || 'fail' in part)) continue;
    const end = 'cut' in part ? 'a cut' : 'a failure';
    if (index < parts.length - 1) throw new TypeError(`${subject}: nothing can follow ${end}`);
    const hasBegun = parts.some((one) => typeof one === 'string' || 'call' in one);
    if (!hasBegun || 'cut' in part || typeof part.fail !== 'number') continue;
    const rule = 'a status comes before any text or call';
    throw new TypeError(`${subject}: ${rule}; use a code such as "connection_dropped"`);
  }
  return parts;
}

function parsePart(part: unknown, subject: string): ScriptedPart {
  if (typeof part === 'string') return part;
  const fields: Readonly<Record<string, unknown>> =
    typeof part === 'object' && part !== null ? { ...part } : {};
  const kind = Object.keys(FIELDS).find((field) => Object.hasOwn(fields, field)) ?? '';
  const { call, args = {}, waitMs, fail, cut } = fields;
  const stray = Object.keys(fields).find((field) => FIELDS[kind]?.includes(field) === false);
  if (stray !== undefined) {
    const rule = `it may have ${FIELDS[kind]?.join(' and ')}`;
    throw new TypeError(`${subject} has a field "${stray}"; ${rule}`);
  }
  if (kind === 'waitMs') return { waitMs: checkWait(waitMs, subject) };
  if (kind === 'fail') return { fail: checkFailure(fail, subject) };
  if (kind === 'cut' && cut === true) return { cut };
  if (typeof call !== 'string') throw new TypeError(`${subject} must be ${KINDS}`);
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    throw new TypeError(`${subject}: args must be an object`);
  }
  return { call, args };
}

function checkWait(value: unknown, subject: string): number {
  const isWait = typeof value === 'number' && value >= 0 && value <= MAX_WAIT_MS;
  if (!isWait) throw new TypeError(`${subject}: waitMs must be 0 to ${MAX_WAIT_MS}`);
  return value;
}

function checkFailure(value: unknown, subject: string): ScriptedFailure['fail'] {
  if (Number.isInteger(value) && Number(value) >= 400 && Number(value) < 600) return Number(value);
  if (isCode(value)) return value;
  const rule = 'must be a status from 400 to 599 or the code of a ModelError';
  throw new TypeError(`${subject}: fail ${rule}, got ${JSON.stringify(value)}`);
}

function isCode(value: unknown): value is ModelErrorCode {
  return typeof value === 'string' && Object.hasOwn(IS_RETRYABLE, value);
}
