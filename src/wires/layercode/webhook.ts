import type { Agent, EventContext } from '../../agents/agent.ts';
import { andThen, isThenable, type Awaitable } from '../../base/awaitable.ts';
import type { Json } from '../../base/json.ts';
import type { CallRecords } from '../../records/call-recorder.ts';
import type { ConversationManager } from '../../conversations/manager.ts';
import type { Context } from '../../http/context.ts';
import { BadRequest, HttpError, ServiceUnavailable } from '../../http/errors.ts';
import {
  conversationIdOf,
  EVENT_FIELDS,
  EventError,
  isKnownEvent,
  metadataOf,
  parseEvent,
  sessionIdOf,
  type CallEndedEvent,
  type LayercodeEvent,
  type SessionEndEvent,
  type UnknownEvent,
  type UserInterruptedEvent,
} from './events.ts';
import { Counter, type Count, type Metrics } from '../../metrics.ts';
import type { SignedHandler } from './signed.ts';
import type { TurnEvent } from '../../turns/delivery.ts';
import type { Turns } from '../../turns/turns.ts';
import { endedCallOf } from './ended-call.ts';
import { EndedSessions } from '../../calls/ended-sessions.ts';
import type { OpenSessions } from '../../calls/open-sessions.ts';
import { ReplyStream } from './reply-stream.ts';
import { WebhookDelivery, type TurnObserver } from './webhook-delivery.ts';

/** What is open at the moment. All webhooks of an app share it, as they share the limits. */
export interface OpenRequests {
  streams: number;
  /** `data` and `session.update` events the agent is handling. */
  hooks: number;
}

export interface WebhookOptions {
  readonly agent: Agent;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly metrics: Metrics;
  readonly open: OpenRequests;
  /**
   * Most turns open at once, inclusive; one more gets 503. The same limit applies separately to
   * `data` and `session.update` events. Events that end a turn or a session are never refused.
   */
  readonly maxStreams: number;
  /** 0 turns heartbeats off. */
  readonly heartbeatMs: number;
  /** How long a hook that answers with JSON may take. */
  readonly timeoutMs: number;
  readonly onTurnEnd: TurnObserver;
  /** Undefined if no shutdown waits for sessions. */
  readonly openSessions?: OpenSessions | undefined;
  /** Keeps a record of each call. Default: no records. */
  readonly records?: CallRecords | undefined;
  /** The agent's name in records. */
  readonly agentName: string;
}

const JSON_TYPE = 'application/json';
const STATUS_OK = { status: 'ok' } as const;

/**
 * Handles the events LayerCode posts, in either dialect: turns are answered with a stream,
 * everything else immediately.
 */
export function webhook(options: WebhookOptions): SignedHandler {
  const { agent, conversations, turns, metrics, open, openSessions, onTurnEnd } = options;
  const { maxStreams, heartbeatMs, timeoutMs, records, agentName } = options;
  const endedSessions = new EndedSessions();
  const events = metrics.add(
    new Counter('layercode_events_total', 'Webhook events by type.', ['event']),
  );
  const counts = eventCounts(events);
  const otherEvents = events.labelled(['other']);

  function startTurn(context: Context, event: TurnEvent, conversationId: string): void {
    if (open.streams >= maxStreams) {
      throw new ServiceUnavailable(`no more streams can be opened: the limit is ${maxStreams}`, 1);
    }
    const delivery = new WebhookDelivery(
      context,
      event,
      conversationId,
      heartbeatMs,
      turns,
      onTurnEnd,
      open,
    );
    context.onClose(streamClosed, delivery);
    if (openSessions !== undefined) noteSession(openSessions, event);
    delivery.begin();
  }

  /**
   * The context of a hook that does not speak. Its signal fires at the time limit and when the
   * platform disconnects. Not `AbortSignal.any` with `AbortSignal.timeout`: Node 20 collects the
   * latter.
   */
  function contextOf<E extends LayercodeEvent>(context: Context, event: E): EventContext<E> {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      const reason = `the agent took longer than ${timeoutMs} ms`;
      controller.abort(new DOMException(reason, 'TimeoutError'));
    }, timeoutMs);
    context.onClose((isFinished) => {
      clearTimeout(timer);
      if (isFinished) return;
      controller.abort(new DOMException('the caller closed the connection', 'AbortError'));
    });
    return {
      event,
      conversationId: conversationIdOf(event),
      metadata: metadataOf(event),
      headers: context.headers,
      log: context.log,
      signal: controller.signal,
    };
  }

  function answerJson<E extends LayercodeEvent>(
    context: Context,
    event: E,
    hook: (told: EventContext<E>) => Awaitable<Json | void>,
  ): Awaitable<void> {
    const told = contextOf(context, event);
    return andThen(untilAborted(hook(told), told.signal), (answer) => {
      if (!context.isAnswered) context.json(200, answer ?? STATUS_OK);
    });
  }

  /** Like `answerJson`, with a limit: as many hooks may run as turns may be open. */
  function answerBounded<E extends LayercodeEvent>(
    context: Context,
    event: E,
    hook: (told: EventContext<E>) => Awaitable<Json | void>,
  ): Awaitable<void> {
    if (open.hooks >= maxStreams) {
      const reason = `no more events can be handled: the limit is ${maxStreams}`;
      throw new ServiceUnavailable(reason, 1);
    }
    open.hooks += 1;
    context.onClose(() => {
      open.hooks -= 1;
    });
    return answerJson(context, event, hook);
  }

  /** Ends the session's turn and tells the agent. A repeated end of the session does neither. */
  function endSession(
    context: Context,
    event: SessionEndEvent,
    conversationId: string,
  ): Awaitable<void> {
    const { session_id: sessionId } = event;
    openSessions?.end(sessionId);
    if (!endedSessions.add(sessionId)) {
      context.logFields['outcome'] = 'repeated';
      return context.json(200, STATUS_OK);
    }
    turns.interrupt(conversationId, 'the session ended', sessionId);
    keepRecord(event, conversationId);
    return orForget(sessionId, () => answerJson(context, event, tellEnd));
  }

  /** Call it after the interruption of the turn, so that the store hears of that first. */
  function keepRecord(event: SessionEndEvent | CallEndedEvent, conversationId: string): void {
    if (records === undefined) return;
    const call = endedCallOf(event, conversations.keyOf(conversationId), agentName);
    records.ended(call, () => conversations.read(conversationId));
  }

  /** Reads the conversation only for an agent that wants to know. */
  function tellEnd(told: EventContext<SessionEndEvent | CallEndedEvent>): Awaitable<void> {
    if (agent.onSessionEnd === undefined) return;
    return andThen(conversations.snapshot(told.conversationId), (conversation) =>
      agent.onSessionEnd?.(turns.toldAtEnd(told, conversation)),
    );
  }

  /** Forgets the end if the hook fails, so that a repeated end is reported to the agent again. */
  function orForget(sessionId: string, tell: () => Awaitable<void>): Awaitable<void> {
    const failed = (error: unknown): never => {
      endedSessions.forget(sessionId);
      throw error;
    };
    try {
      const told = tell();
      return told instanceof Promise ? told.catch(failed) : told;
    } catch (error) {
      return failed(error);
    }
  }

  /** The call dialect answers an interruption and the end of a call with an empty stream. */
  function answerSilently(
    context: Context,
    event: UserInterruptedEvent | CallEndedEvent,
  ): Awaitable<void> {
    const reply = new ReplyStream(context, event, heartbeatMs);
    context.onClose(streamClosed, reply);
    reply.flush();
    const failed = (error: unknown): void => {
      context.log.error(`${event.type} failed`, { error });
      reply.send({ type: 'error' });
      reply.end();
    };
    try {
      const isEnd = event.type === 'call_ended';
      const done = isEnd ? endCall(context, event) : interruptCall(context, event);
      const answered = andThen(done, () => void reply.end());
      return answered instanceof Promise ? answered.catch(failed) : answered;
    } catch (error) {
      return failed(error);
    }
  }

  function endCall(context: Context, event: CallEndedEvent): Awaitable<void> {
    openSessions?.end(event.call_id);
    if (!endedSessions.add(event.call_id)) {
      context.logFields['outcome'] = 'repeated';
      return;
    }
    turns.interrupt(event.call_id, event.type);
    keepRecord(event, event.call_id);
    return orForget(event.call_id, () => {
      const told = contextOf(context, event);
      return untilAborted(tellEnd(told), told.signal);
    });
  }

  function interruptCall(context: Context, event: UserInterruptedEvent): Awaitable<void> {
    if (turns.interrupt(event.call_id, event.type)) return;
    return untilAborted(interruptSpoken(event.call_id), contextOf(context, event).signal);
  }

  /**
   * Handles an interruption after the whole turn was sent. This dialect does not say what was
   * heard.
   */
  function interruptSpoken(conversationId: string): Awaitable<void> {
    return andThen(
      conversations.cutTurn(conversationId, { textHeard: undefined, turnId: undefined }),
      (cut) => (cut === undefined ? undefined : agent.onInterrupted?.({ conversationId, ...cut })),
    );
  }

  function answer(
    context: Context,
    event: LayercodeEvent,
    conversationId: string,
  ): Awaitable<void> {
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
        return answerBounded(context, event, (told) =>
          agent.onData?.({ ...told, data: event.data }),
        );
      case 'session.update':
        return answerBounded(context, event, (told) => agent.onSessionUpdate?.(told));
      case 'session.end':
        return endSession(context, event, conversationId);
      default:
        event satisfies never;
    }
  }

  return function webhook(context, body) {
    const event = readEvent(context, body);
    context.logFields['event'] = isKnownEvent(event) ? event.type : event.type.slice(0, 100);
    if (!isKnownEvent(event)) {
      otherEvents.increment();
      context.log.info('event of an unknown type ignored', {
        fields: Object.keys(event).slice(0, 50),
      });
      return context.json(200, { status: 'ignored' });
    }
    counts[event.type].increment();
    const conversationId = conversationIdOf(event);
    context.logFields['conversationId'] = conversationId;
    if (event.turn_id) context.logFields['turnId'] = event.turn_id;
    return answer(context, event, conversationId);
  };
}

function streamClosed(_isFinished: boolean, _context: Context, stream: ReplyStream): void {
  stream.closed();
}

function noteSession(openSessions: OpenSessions, event: TurnEvent): void {
  const isStart = event.type === 'session.start' || event.type === 'call_started';
  if (isStart) openSessions.start(sessionIdOf(event));
  else openSessions.use(sessionIdOf(event));
}

function readEvent(context: Context, body: Buffer): LayercodeEvent | UnknownEvent {
  const contentType = context.header('content-type');
  const type =
    contentType === JSON_TYPE ? contentType : contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== JSON_TYPE) {
    throw new HttpError(
      415,
      `content-type must be application/json, got ${type ? JSON.stringify(type.slice(0, 100)) : 'none'}`,
    );
  }
  try {
    return parseEvent(body);
  } catch (error) {
    throw error instanceof EventError ? new BadRequest(error.message, { cause: error }) : error;
  }
}

/** The hook's value, or a rejection once the signal fires, because a hook may ignore its signal. */
function untilAborted<T>(value: Awaitable<T>, signal: AbortSignal): Awaitable<T> {
  if (!isThenable(value)) return value; // thenables too: database query builders are not promises
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const settled = Promise.resolve(value).then(resolve, reject);
    void settled.finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Looked up once, so that a turn creates no arrays of labels. */
function eventCounts(events: Counter): Readonly<Record<LayercodeEvent['type'], Count>> {
  const entries = Object.keys(EVENT_FIELDS).map((type) => [type, events.labelled([type])] as const);
  // one key per event type
  return Object.fromEntries(entries) as Record<LayercodeEvent['type'], Count>;
}
