import type { Agent, EventContext } from '../../agents/agent.ts';
import { untilAborted } from '../../base/abort.ts';
import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Json } from '../../base/json.ts';
import type { CallEnd, CallerInterruption, CallEvent, TurnEvent } from '../../calls/call-event.ts';
import type { OpenSessions } from '../../calls/open-sessions.ts';
import type { ConversationManager } from '../../conversations/manager.ts';
import type { Context } from '../../http/context.ts';
import { BadRequest, ServiceUnavailable } from '../../http/errors.ts';
import { Counter, type Count, type Metrics } from '../../metrics.ts';
import type { CallRecords } from '../../records/call-recorder.ts';
import type { Settings } from '../../settings/settings.ts';
import type { Turns } from '../../turns/turns.ts';
import { CallEnds } from '../call-ends.ts';
import { cutReply } from '../cut-reply.ts';
import { hookContext } from '../hook-context.ts';
import { checkJsonType, EventError } from '../json-body.ts';
import {
  checkRoomForStream, ReplyStream, StreamDelivery, type OpenRequests, type ReplyEncoder,
  type TurnObserver,
} from '../reply-stream.ts';
import { callEventOf } from './call-events.ts';
import { encoderFor } from './encoders.ts';
import {
  EVENT_FIELDS, isCallEvent, isKnownEvent, parseEvent, type LayercodeEvent, type UnknownEvent,
} from './events.ts';
import type { SignedHandler } from './signed.ts';

export interface WebhookOptions {
  readonly agent: Agent;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly metrics: Metrics;
  readonly open: OpenRequests;
  readonly settings: Settings;
  readonly onTurnEnd: TurnObserver;
  /** Undefined if no shutdown waits for sessions. */
  readonly openSessions?: OpenSessions | undefined;
  /** Keeps a record of each call. Default: no records. */
  readonly records?: CallRecords | undefined;
  /** The agent's name in records. */
  readonly agentName: string;
}

const STATUS_OK = { status: 'ok' } as const;

/** A handler for the events that LayerCode posts, in either dialect. */
export function webhook(options: WebhookOptions): SignedHandler {
  const events = new Webhook(options);
  return function webhook(context, body) {
    return events.answer(context, body);
  };
}

/** Turns are answered with a stream, everything else immediately. */
class Webhook {
  readonly #options: WebhookOptions;
  readonly #ends: CallEnds;
  readonly #counts: Readonly<Record<LayercodeEvent['type'], Count>>;
  readonly #otherEvents: Count;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#ends = new CallEnds(options);
    const events = options.metrics.add(
      new Counter('layercode_events_total', 'Webhook events by type.', ['event']),
    );
    this.#counts = eventCounts(events);
    this.#otherEvents = events.labelled(['other']);
  }

  answer(context: Context, body: Buffer): Awaitable<void> {
    const raw = readEvent(context, body);
    context.logFields['event'] = isKnownEvent(raw) ? raw.type : raw.type.slice(0, 100);
    if (!isKnownEvent(raw)) return this.#ignore(context, raw);
    this.#counts[raw.type].increment();
    const given = callEventOf(raw);
    context.logFields['conversationId'] = given.conversationId;
    if (given.turnId !== undefined) context.logFields['turnId'] = given.turnId;
    return andThen(this.#options.turns.redacted(given), (event) =>
      this.#answer(context, event, raw));
  }

  #ignore(context: Context, event: UnknownEvent): void {
    this.#otherEvents.increment();
    const fields = Object.keys(event).slice(0, 50);
    context.log.info('event of an unknown type ignored', { fields });
    context.json(200, { status: 'ignored' });
  }

  #answer(context: Context, event: CallEvent, raw: LayercodeEvent): Awaitable<void> {
    const { agent } = this.#options;
    switch (event.type) {
      case 'start':
      case 'message':
        return this.#startTurn(context, event, encoderFor(raw));
      case 'interruption':
        return this.#answerSilently(context, raw, () => this.#interrupt(context, event));
      case 'data':
        return this.#answerBounded(context, event, (given, { data }) =>
          agent.onData?.({ ...given, data }));
      case 'change':
        return this.#answerBounded(context, event, (given) => agent.onSessionUpdate?.(given));
      case 'end':
        return isCallEvent(raw)
          ? this.#answerSilently(context, raw, () => this.#endCall(context, event))
          : this.#endSession(context, event);
      default:
        return event satisfies never;
    }
  }

  #startTurn(context: Context, event: TurnEvent, encoder: ReplyEncoder): void {
    const { open, settings, turns, onTurnEnd, openSessions } = this.#options;
    const heartbeatMs = settings.heartbeatSeconds * 1_000;
    checkRoomForStream(open, settings.maxStreams);
    const delivery = new StreamDelivery(context, event, encoder, heartbeatMs, onTurnEnd, open);
    if (event.type === 'start') openSessions?.start(event.sessionId);
    else openSessions?.use(event.sessionId);
    delivery.begin(turns);
  }

  // Events that are answered with JSON.

  #answerJson<E extends CallEvent>(
    context: Context,
    event: E,
    hook: (given: EventContext<E['raw']>, event: E) => Awaitable<Json | void>,
  ): Awaitable<void> {
    const { turns, settings } = this.#options;
    return andThen(turns.told(event, context.log), (event) => {
      const given = hookContext(event, context, settings);
      return andThen(untilAborted(hook(given, event), given.signal), (answer) => {
        if (!context.isAnswered) context.json(200, answer ?? STATUS_OK);
      });
    });
  }

  /** Like `#answerJson`, with a limit: as many hooks may run as turns may be open. */
  #answerBounded<E extends CallEvent>(
    context: Context,
    event: E,
    hook: (given: EventContext<E['raw']>, event: E) => Awaitable<Json | void>,
  ): Awaitable<void> {
    const { open, settings: { maxStreams } } = this.#options;
    if (open.hooks >= maxStreams) {
      const reason = `no more events can be handled: the limit is ${maxStreams}`;
      throw new ServiceUnavailable(reason, 1);
    }
    open.hooks += 1;
    context.onClose(() => {
      open.hooks -= 1;
    });
    return this.#answerJson(context, event, hook);
  }

  /** A repeated end neither ends the session's turn nor is the agent told. */
  #endSession(context: Context, event: CallEnd): Awaitable<void> {
    if (!this.#ends.end(event, 'the session ended')) {
      context.logFields['outcome'] = 'repeated';
      return context.json(200, STATUS_OK);
    }
    return this.#answerJson(context, event, (given) => this.#ends.tell(event, given));
  }

  // Events of the call dialect that are answered with an empty stream.

  #answerSilently(
    context: Context,
    raw: LayercodeEvent,
    handle: () => Awaitable<void>,
  ): Awaitable<void> {
    const heartbeatMs = this.#options.settings.heartbeatSeconds * 1_000;
    const reply = new ReplyStream(context, encoderFor(raw), heartbeatMs);
    reply.flush();
    const failed = (error: unknown): void => {
      context.log.error(`${raw.type} failed`, { error });
      reply.send({ type: 'error' });
      reply.end();
    };
    try {
      const answered = andThen(handle(), () => void reply.end());
      return answered instanceof Promise ? answered.catch(failed) : answered;
    } catch (error) {
      return failed(error);
    }
  }

  #endCall(context: Context, event: CallEnd): Awaitable<void> {
    if (!this.#ends.end(event, event.raw.type)) {
      context.logFields['outcome'] = 'repeated';
      return;
    }
    const { turns, settings } = this.#options;
    return andThen(turns.told(event, context.log), (event) => {
      const given = hookContext(event, context, settings);
      return untilAborted(this.#ends.tell(event, given), given.signal);
    });
  }

  #interrupt(context: Context, event: CallerInterruption): Awaitable<void> {
    const { turns, conversations, agent, settings } = this.#options;
    const { conversationId, raw } = event;
    if (turns.interrupt(conversationId, raw.type)) return;
    const { signal } = hookContext(event, context, settings);
    return untilAborted(cutReply(conversationId, conversations, agent), signal);
  }
}

function readEvent(context: Context, body: Buffer): LayercodeEvent | UnknownEvent {
  checkJsonType(context);
  try {
    return parseEvent(body);
  } catch (error) {
    throw error instanceof EventError ? new BadRequest(error.message, { cause: error }) : error;
  }
}

/** Looked up once, so that a turn creates no arrays of labels. */
function eventCounts(events: Counter): Readonly<Record<LayercodeEvent['type'], Count>> {
  const entries = Object.keys(EVENT_FIELDS).map((type) => [type, events.labelled([type])] as const);
  // one key per event type
  return Object.fromEntries(entries) as Record<LayercodeEvent['type'], Count>;
}
