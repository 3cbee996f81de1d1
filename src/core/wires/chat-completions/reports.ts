// What platforms post about a call besides its turns: that it has ended, or that the caller spoke
// over a reply.

import { createHmac, timingSafeEqual } from 'node:crypto';

import { andThen, type Awaitable } from '../../../base/awaitable.ts';
import { isId, isObject } from '../../../base/fields.ts';
import type { Handler } from '../../../base/http/compose.ts';
import type { Context } from '../../../base/http/context.ts';
import { HttpError } from '../../../base/http/errors.ts';
import type { JsonObject } from '../../../base/json.ts';
import type { CallEnd, CallerInterruption } from '../../calls/call-event.ts';
import { CallEnds } from '../call-ends.ts';
import { metadataOf, msOf } from '../event-fields.ts';
import { checkJsonType } from '../json-body.ts';
import { cutReply } from '../silent-hooks.ts';
import type { WireOptions } from '../wire-options.ts';
import { BearerKeys } from './bearer-keys.ts';
import { withErrorBody } from './error-body.ts';
import { CHAT_COMPLETIONS, type CallReportEvent } from './events.ts';
import { callerOf, firstId, firstValue, PROFILES } from './profiles.ts';
import { parseBody } from './request.ts';

/** A report that we act on. */
type Report = CallEnd | CallerInterruption;

const STATUS_OK = { status: 'ok' } as const;
/** Older signatures from ElevenLabs are refused, as its own library does. */
const TOLERANCE_SECONDS = 30 * 60;

/**
 * The secrets of the platforms that report; several during a rotation. Empty: reports of that
 * platform are refused.
 */
export interface ReportSecrets {
  readonly vapiWebhookSecrets: readonly string[];
  readonly elevenLabsWebhookSecrets: readonly string[];
}

/** Answers reports from Vapi and from ElevenLabs. Each is checked by its own secrets. */
export function reports(options: WireOptions, secrets: ReportSecrets): Handler {
  // A platform may post the reports of all its calls to one path, even those of other agents.
  const ends = new CallEnds(options, false);
  const { vapiWebhookSecrets, elevenLabsWebhookSecrets } = secrets;
  const vapi = vapiWebhookSecrets.length > 0 ? new BearerKeys(vapiWebhookSecrets) : undefined;

  return withErrorBody((context) => {
    const signature = context.header('elevenlabs-signature');
    if (signature === undefined && vapi === undefined) throw unknownSignature();
    const checkBody = signature === undefined
      ? vapi?.check(context, 'x-vapi-secret')
      : checkSignature(context, signature, elevenLabsWebhookSecrets);
    checkJsonType(context);
    return andThen(context.takeRawBody(), (body) => {
      checkBody?.(body);
      const raw = parseBody(body);
      const report = signature === undefined ? vapiReport(raw) : elevenLabsReport(raw);
      return report === undefined
        ? context.json(200, { status: 'ignored' })
        : andThen(options.turns.redacted(report), (redacted) =>
            answer(context, redacted, ends, options));
    });
  });
}

function answer(
  context: Context,
  report: Report,
  ends: CallEnds,
  options: WireOptions,
): Awaitable<void> {
  const { conversationId } = report;
  Object.assign(context.logFields, { event: report.raw.type, conversationId });
  const done = report.type === 'interruption'
    ? interrupt(context, report, options)
    : ends.end(context, report, 'the call ended');
  return andThen(done, () => {
    if (!context.isAnswered) context.json(200, STATUS_OK);
  });
}

/**
 * How much was heard of the reply comes with the caller's next words, if at all. A report may be
 * late, so it does not concern a reply that has not begun.
 */
function interrupt(
  context: Context,
  report: CallerInterruption,
  options: WireOptions,
): Awaitable<void> {
  const reason = 'the caller spoke over the reply';
  if (options.turns.interruptSpeaking(report.conversationId, reason)) return;
  return cutReply(context, report, options);
}

/** Vapi's server messages (docs.vapi.ai, "Server events"). Undefined for those that we ignore. */
function vapiReport(raw: Readonly<Record<string, unknown>>): Report | undefined {
  const { message: body } = raw;
  if (!isObject(body)) return undefined;
  const request = { body, headers: {} };
  const { type, status } = body;
  const id = firstId([['call', 'id']], request);
  if (id === undefined) return undefined;
  const fields = fieldsOf(raw, id, firstValue(PROFILES.vapi.metadata, request));
  const caller = callerOf(PROFILES.vapi, request);
  if (type === 'user-interrupted') return { type: 'interruption', caller, ...fields };
  const isEnd = type === 'end-of-call-report' || (type === 'status-update' && status === 'ended');
  if (!isEnd) return undefined;
  return {
    type: 'end',
    caller,
    startedAt: msOf(body['startedAt']),
    endedAt: msOf(body['endedAt']),
    ...(type === 'status-update' ? { isReportedAgain: true } : {}),
    ...fields,
  };
}

/** ElevenLabs' post-call webhook. It names no caller that we could trust more than the turns do. */
function elevenLabsReport(raw: Readonly<Record<string, unknown>>): Report | undefined {
  const { data, type } = raw;
  if (type !== undefined && type !== 'post_call_transcription') return undefined;
  const id = isObject(data) ? data['conversation_id'] : undefined;
  if (!isObject(data) || !isId(id)) return undefined;
  const request = { body: data, headers: {} };
  const startedAt = firstValue([['metadata', 'start_time_unix_secs']], request);
  const seconds = firstValue([['metadata', 'call_duration_secs']], request);
  const startedAtMs = typeof startedAt === 'number' ? msOf(startedAt * 1_000) : undefined;
  const isKnown = startedAtMs !== undefined && typeof seconds === 'number';
  return {
    type: 'end',
    caller: undefined,
    startedAt: startedAtMs,
    endedAt: isKnown ? msOf(startedAtMs + seconds * 1_000) : undefined,
    ...fieldsOf(raw, id, undefined),
  };
}

/** What all reports contain. */
type ReportFields =
  Omit<CallerInterruption, 'type' | 'caller' | 'raw'> & { readonly raw: CallReportEvent };

function fieldsOf(
  raw: Readonly<Record<string, unknown>>,
  conversationId: string,
  metadata: unknown,
): ReportFields {
  const event = { type: 'call.report', body: raw as JsonObject } as const;
  return {
    raw: event,
    conversationId,
    sessionId: conversationId,
    turnId: undefined,
    metadata: metadataOf(metadata),
    language: undefined,
    wire: CHAT_COMPLETIONS,
  };
}

/**
 * `t=<unix seconds>,v0=<hex HMAC-SHA256 of "<t>.<body>">`. Returns a check for the body. This and
 * the check both throw an `HttpError` (401).
 */
function checkSignature(
  context: Context,
  header: string,
  secrets: readonly string[],
): (body: Buffer) => void {
  if (secrets.length === 0) throw unknownSignature();
  const [, time = '', digest = ''] = /^t=(\d{1,12}),v0=([0-9a-f]{64})$/.exec(header) ?? [];
  if (digest === '') refuse(context, 'the signature is malformed');
  const age = Math.abs(Date.now() / 1_000 - Number(time));
  if (age > TOLERANCE_SECONDS) refuse(context, 'its time is more than 30 minutes off');
  return (body) => {
    const given = Buffer.from(digest, 'hex');
    const isRight = secrets.some((secret) => timingSafeEqual(
      createHmac('sha256', secret).update(`${time}.`).update(body).digest(), given,
    ));
    if (!isRight) refuse(context, 'wrong secret or body');
    context.authenticated();
  };
}

function refuse(context: Context, hint: string): never {
  context.logFields['hint'] = hint;
  throw unknownSignature();
}

function unknownSignature(): HttpError {
  return new HttpError(401, 'the report carries no known signature');
}
