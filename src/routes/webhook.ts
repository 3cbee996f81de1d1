import type { Agent, Occasion } from '../agents/agent.ts';
import type { TurnEvent } from '../turns/delivery.ts';
import type { Turns } from '../turns/turns.ts';
import { after, type Awaitable } from '../base/awaitable.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { Context } from '../http/context.ts';
import { BadRequest, HttpError, ServiceUnavailable } from '../http/errors.ts';
import { callDialect } from '../layercode/call-dialect.ts';
import {
  conversationIdOf, EVENT_FIELDS, EventError, isCallEvent, isKnownEvent, metadataOf, parseEvent,
  type CallEndedEvent, type LayercodeEvent, type UnknownEvent, type UserInterruptedEvent,
} from '../layercode/events.ts';
import type { Json } from '../layercode/fields.ts';
import { ReplyStream } from '../layercode/reply-stream.ts';
import { sessionDialect } from '../layercode/session-dialect.ts';
import { Counter, Gauge, type Count, type Metrics } from '../metrics.ts';
import type { SignedHandler } from '../middleware/signature.ts';
import { TurnDelivery, TurnReports, type TurnFigures } from './turn-delivery.ts';

export interface WebhookOptions {
  readonly agent: Agent;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly metrics: Metrics;
  /** Streams open at once, inclusive. A turn beyond gets 503. */
  readonly maxStreams: number;
  /** 0: off. */
  readonly heartbeatMs: number;
  /** How long a hook that answers with JSON may take. */
  readonly timeoutMs: number;
  /** Told of every request for a turn when it has been answered. */
  readonly onTurnEnd?: ((figures: TurnFigures) => void) | undefined;
}

const JSON_TYPE = 'application/json';
const STATUS_OK = { status: 'ok' } as const;

/** What LayerCode posts, in either dialect: turns are answered with a stream, everything else at once. */
export function webhook(options: WebhookOptions): SignedHandler {
  const { agent, conversations, turns, metrics, maxStreams, heartbeatMs, timeoutMs, onTurnEnd } = options;
  let openStreams = 0;
  const events = metrics.add(new Counter('layercode_events_total', 'Webhook events by type.', ['event']));
  const counts = eventCounts(events);
  const otherEvents = events.labelled(['other']);
  const reports = new TurnReports(metrics, onTurnEnd);
  metrics.add(new Gauge('layercode_open_streams', 'Event streams that are open now.', () => openStreams));
  metrics.add(new Gauge('layercode_running_turns', 'Turns whose agent is at work now.', () => turns.count));

  function openReply(context: Context, event: LayercodeEvent): ReplyStream {
    if (openStreams >= maxStreams) throw new ServiceUnavailable(`${maxStreams} streams are open, which is the most`, 1);
    const dialect = isCallEvent(event) ? callDialect : sessionDialect;
    return new ReplyStream(context.eventWriter(), { dialect, turnId: event.turn_id ?? undefined, heartbeatMs });
  }

  /** Counts a stream as open until its connection closes, and lets go of what answers on it when that is before the end. */
  function countStream(context: Context, answering: { destroy(): void }): void {
    openStreams += 1;
    context.onClose(closeStream, answering);
  }

  function closeStream(isFinished: boolean, _context: Context, answering: { destroy(): void }): void {
    openStreams -= 1;
    if (!isFinished) answering.destroy();
  }

  function startTurn(context: Context, event: TurnEvent, conversationId: string): void {
    const delivery = new TurnDelivery(context, event, conversationId, openReply(context, event), reports);
    countStream(context, delivery);
    delivery.begin(turns);
  }

  /** What a hook that does not speak is told. Its time is bounded, and ends when the platform leaves. */
  function occasion<E extends LayercodeEvent>(context: Context, event: E): Occasion<E> {
    return {
      event,
      conversationId: conversationIdOf(event),
      metadata: metadataOf(event),
      headers: context.headers,
      log: context.log,
      signal: AbortSignal.any([context.callerSignal, AbortSignal.timeout(timeoutMs)]),
    };
  }

  function answerJson<E extends LayercodeEvent>(context: Context, event: E, hook: (occasion: Occasion<E>) => Awaitable<Json | void>): Awaitable<void> {
    const told = occasion(context, event);
    return after(untilAborted(hook(told), told.signal), (answer) => {
      if (!context.isAnswered) context.json(200, answer ?? STATUS_OK);
    });
  }

  /** In the call dialect the end of a call and an interruption are answered with a stream that says nothing. */
  function answerSilently(context: Context, event: UserInterruptedEvent | CallEndedEvent): Awaitable<void> {
    const reply = openReply(context, event);
    countStream(context, reply);
    reply.flush();
    const wasRunning = turns.interrupt(event.call_id, event.type);
    const failed = (error: unknown): void => {
      context.log.error(`${event.type} failed`, { error });
      reply.send({ type: 'error' });
      reply.end();
    };
    try {
      const told = occasion(context, event);
      const hook = event.type === 'call_ended' ? agent.onSessionEnd?.({ ...told, event }) : wasRunning ? undefined : interruptSpoken(event.call_id);
      const answered = after(untilAborted(hook, told.signal), () => reply.end());
      return answered instanceof Promise ? answered.catch(failed) : answered;
    } catch (error) {
      return failed(error);
    }
  }

  /** The turn was sent whole, and the voice that spoke it is cut. This wire does not tell what was heard. */
  function interruptSpoken(conversationId: string): Awaitable<void> {
    return after(conversations.cutTurn(conversationId, { textHeard: undefined, turnId: undefined }), (cut) =>
      cut === undefined ? undefined : agent.onInterrupted?.({ conversationId, ...cut }),
    );
  }

  function answer(context: Context, event: LayercodeEvent, conversationId: string): Awaitable<void> {
    switch (event.type) {
      case 'session.start':
      case 'message':
      case 'call_started':
      case 'transcript':
        return startTurn(context, event, conversationId);
      case 'user_interrupted':
      case 'call_ended':
        return answerSilently(context, event);
      case 'data':
        return answerJson(context, event, (told) => agent.onData?.({ ...told, data: event.data }));
      case 'session.update':
        return answerJson(context, event, (told) => agent.onSessionUpdate?.(told));
      case 'session.end':
        turns.interrupt(conversationId, 'the session ended', event.session_id);
        return answerJson(context, event, (told) => agent.onSessionEnd?.(told));
    }
  }

  return function webhook(context, body) {
    const event = readEvent(context, body);
    context.logFields['event'] = isKnownEvent(event) ? event.type : event.type.slice(0, 100);
    if (!isKnownEvent(event)) {
      otherEvents.increment();
      context.log.info('event of an unknown type ignored', { fields: Object.keys(event).slice(0, 50) });
      return context.json(200, { status: 'ignored' });
    }
    counts[event.type].increment();
    const conversationId = conversationIdOf(event);
    context.logFields['conversationId'] = conversationId;
    if (event.turn_id) context.logFields['turnId'] = event.turn_id;
    return answer(context, event, conversationId);
  };
}

function readEvent(context: Context, body: Buffer): LayercodeEvent | UnknownEvent {
  const contentType = context.header('content-type');
  const type = contentType === JSON_TYPE ? contentType : contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== JSON_TYPE) {
    throw new HttpError(415, `content-type must be application/json, got ${type ? JSON.stringify(type.slice(0, 100)) : 'none'}`);
  }
  try {
    return parseEvent(body);
  } catch (error) {
    throw error instanceof EventError ? new BadRequest(error.message, { cause: error }) : error;
  }
}

/** The hook's value, or a rejection once nobody waits for it: a hook may ignore its signal. */
function untilAborted<T>(value: Awaitable<T>, signal: AbortSignal): Awaitable<T> {
  if (!(value instanceof Promise)) return value;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    value.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Looked up once: a turn makes no arrays of labels. */
function eventCounts(events: Counter): Readonly<Record<LayercodeEvent['type'], Count>> {
  return Object.fromEntries(Object.keys(EVENT_FIELDS).map((type) => [type, events.labelled([type])])) as Record<LayercodeEvent['type'], Count>; // from the table of all types
}
