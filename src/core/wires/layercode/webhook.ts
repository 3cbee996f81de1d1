import { andThen, orElse, type Awaitable } from '../../../base/awaitable.ts';
import type { Context } from '../../../base/http/context.ts';
import { ServiceUnavailable } from '../../../base/http/errors.ts';
import type { Json } from '../../../base/json.ts';
import { Counter, type Count, type Metrics } from '../../../base/metrics.ts';
import type { EventContext } from '../../agents/agent.ts';
import type { CallerInterruption, CallEvent, TurnEvent } from '../../calls/call-event.ts';
import { CallEnds } from '../call-ends.ts';
import { checkJsonType, withBadRequest } from '../json-body.ts';
import {
  checkRoomForStream, ReplyStream, StreamDelivery, type ReplyEncoder,
} from '../reply-stream.ts';
import { cutReply, runHook } from '../silent-hooks.ts';
import type { WireOptions } from '../wire-options.ts';
import { encoderFor } from './encoders.ts';
import {
  EVENT_FIELDS, isCallEvent, isKnownEvent, parseEvent, type LayercodeEvent, type UnknownEvent,
} from './events.ts';
import { callEventOf } from './our-events.ts';
import type { SignedHandler } from './signed.ts';

const STATUS_OK = { status: 'ok' } as const;

type Hook<E extends CallEvent> =
  (given: EventContext<E['raw']>, event: E) => Awaitable<Json | void>;

/**
 * A handler for the events that LayerCode posts, in either dialect. Turns are answered with a
 * stream, everything else immediately.
 */
export function webhook(options: WireOptions, metrics: Metrics): SignedHandler {
  const { agent, open, settings, turns, openSessions } = options;
  const ends = new CallEnds(options, true);
  const events = metrics.add(
    new Counter('layercode_events_total', 'Webhook events by type.', ['event']),
  );
  const counts = eventCounts(events);
  const otherEvents = events.labelled(['other']);

  function ignore(context: Context, event: UnknownEvent): void {
    otherEvents.increment();
    const fields = Object.keys(event).slice(0, 50);
    context.log.info('event of an unknown type ignored', { fields });
    context.json(200, { status: 'ignored' });
  }

  function answer(context: Context, event: CallEvent, raw: LayercodeEvent): Awaitable<void> {
    switch (event.type) {
      case 'start':
      case 'message':
        return startTurn(context, event, encoderFor(raw));
      case 'interruption':
        return answerSilently(context, raw, () => interrupt(context, event));
      case 'data':
        return answerBounded(context, event, (given, { data }) =>
          agent.onData?.({ ...given, data }));
      case 'change':
        return answerBounded(context, event, (given) => agent.onSessionUpdate?.(given));
      case 'end':
        return isCallEvent(raw)
          ? answerSilently(context, raw, () => ends.end(context, event, raw.type))
          : andThen(ends.end(context, event, 'the session ended'), () => answerJson(context));
      default:
        return event satisfies never;
    }
  }

  function startTurn(context: Context, event: TurnEvent, encoder: ReplyEncoder): void {
    checkRoomForStream(options);
    const delivery = new StreamDelivery(context, event, encoder, options);
    if (event.type === 'start') openSessions?.start(event.sessionId);
    else openSessions?.use(event.sessionId);
    delivery.begin();
  }

  /** As many hooks may run as turns may be open. */
  function answerBounded<E extends CallEvent>(
    context: Context,
    event: E,
    hook: Hook<E>,
  ): Awaitable<void> {
    const { maxStreams } = settings;
    if (open.hooks >= maxStreams) {
      const reason = `no more events can be handled: the limit is ${maxStreams}`;
      throw new ServiceUnavailable(reason, 1);
    }
    open.hooks += 1;
    context.onClose(() => {
      open.hooks -= 1;
    });
    return andThen(runHook(context, event, options, hook), (json) => answerJson(context, json));
  }

  /** Answers an event of the call dialect with an empty stream. */
  function answerSilently(
    context: Context,
    raw: LayercodeEvent,
    handle: () => Awaitable<void>,
  ): Awaitable<void> {
    const heartbeatMs = settings.heartbeatSeconds * 1_000;
    const reply = new ReplyStream(context, encoderFor(raw), heartbeatMs);
    reply.flush();
    return orElse(() => andThen(handle(), () => void reply.end()), (error) => {
      context.log.error(`${raw.type} failed`, { error });
      reply.send({ type: 'error' });
      reply.end();
    });
  }

  function interrupt(context: Context, event: CallerInterruption): Awaitable<void> {
    if (turns.interrupt(event.conversationId, event.raw.type)) return;
    return cutReply(context, event, options);
  }

  return function webhook(context, body) {
    checkJsonType(context);
    const raw = withBadRequest(() => parseEvent(body));
    context.logFields['event'] = isKnownEvent(raw) ? raw.type : raw.type.slice(0, 100);
    if (!isKnownEvent(raw)) return ignore(context, raw);
    counts[raw.type].increment();
    const given = callEventOf(raw);
    context.logFields['conversationId'] = given.conversationId;
    if (given.turnId !== undefined) context.logFields['turnId'] = given.turnId;
    return andThen(turns.redacted(given), (event) => answer(context, event, raw));
  };
}

function answerJson(context: Context, json?: Json | void): void {
  if (!context.isAnswered) context.json(200, json ?? STATUS_OK);
}

/** Looked up once, so that a turn creates no arrays of labels. */
function eventCounts(events: Counter): Readonly<Record<LayercodeEvent['type'], Count>> {
  const entries = Object.keys(EVENT_FIELDS).map((type) => [type, events.labelled([type])] as const);
  // one key per event type
  return Object.fromEntries(entries) as Record<LayercodeEvent['type'], Count>;
}
