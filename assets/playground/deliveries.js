/** @import { ServerFrame, TraceFrame } from '../../src/kit/platform/frames.ts' */
/** @typedef {Extract<TraceFrame, { type: 'local.request' }>} RequestFrame */
/** @typedef {Extract<TraceFrame, { type: 'local.turn' }>} TurnFigures */

/**
 * One POST to the webhook, as the trace shows it. Times are in milliseconds since the session
 * began.
 *
 * @typedef {object} Delivery
 * @property {number} number
 * @property {RequestFrame['signature']} signature
 * @property {'layercode' | 'chat-completions'} wire
 * @property {string} eventType `message` or `session.start` for turns on any wire
 * @property {string} turnId empty if the event has none
 * @property {string} text the caller's words
 * @property {boolean} isTurn whether its answer is spoken to the caller
 * @property {boolean} isRepeat whether its turn was delivered before
 * @property {boolean} hasTakenOver whether it continues the stream of the previous delivery
 * @property {number} requestedAt
 * @property {number | undefined} firstSpeechAt
 * @property {ToolRun[]} tools
 * @property {number} lastAt the time of its latest frame
 * @property {number | undefined} status
 * @property {string | undefined} error
 * @property {'ended' | 'dropped' | 'failed' | undefined} over undefined while it is open
 * @property {TurnFigures | undefined} figures the server's own
 */

/**
 * @typedef {object} ToolRun
 * @property {string} name
 * @property {number} startedAt
 * @property {number | undefined} endedAt undefined while it is running
 */

/** Only the newest deliveries are remembered. */
const MAX_DELIVERIES = 200;

/** @param {ServerFrame} frame @returns {frame is TraceFrame} */
export function isTraceFrame(frame) {
  return frame.type.startsWith('local.');
}

/** The deliveries of one session, assembled from the frames of its trace. */
export class Deliveries {
  /** @type {Map<number, Delivery>} */
  #byNumber = new Map();
  /** @type {Map<number, TurnFigures>} Figures of deliveries that are not over yet. */
  #early = new Map();

  /** Whether a reply is in progress. */
  get isTurnOpen() {
    return this.#find(({ isTurn, over }) => isTurn && over === undefined) !== undefined;
  }

  /** Whether the caller has said something that can be delivered again. */
  get hasMessage() {
    return (
      this.#find(({ eventType, signature }) => eventType === 'message' && signature === 'right')
      !== undefined
    );
  }

  /**
   * The frames to process now. A server often finishes before the platform has read its answer.
   * Then its figures wait for the end of the delivery, so that a reply is shown before its outcome.
   *
   * @param {TraceFrame} frame
   * @returns {readonly TraceFrame[]}
   */
  inOrder(frame) {
    if (frame.type === 'local.turn') {
      const delivery = this.#byNumber.get(frame.delivery);
      if (delivery === undefined || delivery.over !== undefined) return [frame];
      this.#early.set(frame.delivery, frame);
      return [];
    }
    const figures = frame.type === 'local.over' ? this.#early.get(frame.delivery) : undefined;
    if (figures === undefined) return [frame];
    this.#early.delete(figures.delivery);
    return [frame, figures];
  }

  /**
   * @param {TraceFrame} frame
   * @returns {Delivery | undefined} its delivery; undefined for one that is no longer remembered
   */
  observe(frame) {
    if (frame.type === 'local.request') return this.#begin(frame);
    if (frame.type === 'local.turn') {
      const delivery = this.#byNumber.get(frame.delivery);
      if (delivery !== undefined) delivery.figures = frame;
      const successor = this.#find(
        ({ turnId, isRepeat, figures }) =>
          isRepeat && turnId === frame.turn_id && figures === undefined,
      );
      if (frame.outcome === 'taken over' && successor !== undefined) successor.hasTakenOver = true;
      return delivery;
    }
    const delivery = this.#byNumber.get(frame.delivery);
    if (delivery === undefined) return undefined;
    delivery.lastAt = frame.at;
    if (frame.type === 'local.answer') delivery.status = frame.status;
    else if (frame.type === 'local.over') {
      delivery.over = frame.outcome;
      delivery.error = frame.reason;
      for (const run of delivery.tools) run.endedAt ??= frame.at;
    } else if (frame.type === 'local.event') {
      const type = eventField(frame.event, 'type');
      if (isWords(type)) delivery.firstSpeechAt ??= frame.at;
      else if (type === 'response.data') noteTool(delivery.tools, frame);
    }
    return delivery;
  }

  /** The connection is gone, so open deliveries will not end. Returns the turns among them. */
  abandon() {
    const turns = [...this.#byNumber.values()].filter(
      ({ isTurn, over }) => isTurn && over === undefined,
    );
    for (const turn of turns) turn.over = 'dropped';
    return turns;
  }

  /** @param {RequestFrame} frame */
  #begin({ delivery: number, at, signature, event }) {
    const { wire, type: eventType, text } = requestOf(event);
    const turnId = eventField(event, 'turn_id');
    /** @type {Delivery} */
    const delivery = {
      number, signature, wire, eventType, turnId, text,
      isTurn: signature === 'right' && (eventType === 'message' || eventType === 'session.start'),
      isRepeat:
        signature === 'right'
        && this.#find((other) => other.turnId === turnId && turnId !== '') !== undefined,
      hasTakenOver: false,
      requestedAt: at,
      firstSpeechAt: undefined,
      tools: [],
      lastAt: at,
      status: undefined,
      error: undefined,
      over: undefined,
      figures: undefined,
    };
    this.#byNumber.set(number, delivery);
    const [oldest] = this.#byNumber.keys();
    if (this.#byNumber.size > MAX_DELIVERIES && oldest !== undefined) this.#byNumber.delete(oldest);
    return delivery;
  }

  /** @param {(delivery: Delivery) => boolean} accepts */
  #find(accepts) {
    for (const delivery of this.#byNumber.values()) if (accepts(delivery)) return delivery;
    return undefined;
  }
}

/**
 * Agents with a model report each tool call as data: `{tool, status}`, with the status `running` when
 * it starts, and something else when it ends.
 *
 * @param {ToolRun[]} runs
 * @param {TraceFrame & { type: 'local.event' }} frame
 */
function noteTool(runs, { event, at }) {
  const hasContent = typeof event === 'object' && event !== null && 'content' in event;
  const content = hasContent ? event.content : null;
  const name = eventField(content, 'tool');
  if (name === '') return;
  if (eventField(content, 'status') === 'running') {
    runs.push({ name, startedAt: at, endedAt: undefined });
  } else {
    const run = runs.find((other) => other.name === name && other.endedAt === undefined);
    if (run !== undefined) run.endedAt = at;
  }
}

/**
 * What a posted event says. Over Chat Completions the whole call is posted, and its last message
 * says what the event is.
 *
 * @param {unknown} event
 * @returns {{ readonly wire: Delivery['wire'], readonly type: string, readonly text: string }}
 */
export function requestOf(event) {
  if (typeof event !== 'object' || event === null || !('messages' in event)) {
    return { wire: 'layercode', type: eventField(event, 'type'), text: eventField(event, 'text') };
  }
  const { messages } = event;
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  const isSaid = eventField(last, 'role') === 'user';
  return {
    wire: 'chat-completions',
    type: isSaid ? 'message' : 'session.start',
    text: isSaid ? eventField(last, 'content') : '',
  };
}

/** Whether the caller hears the content of events of this type. @param {string} type */
export function isWords(type) {
  return type === 'response.tts' || type === 'content';
}

/** Whether the agent hangs up or transfers the call. @param {unknown} event */
export function isHangUp(event) {
  const type = eventField(event, 'type');
  return type === 'response.hangup' || type === 'tool_call';
}

/**
 * A field of an event if it is a string, else ''.
 *
 * @param {unknown} event
 * @param {string} name
 */
export function eventField(event, name) {
  const value =
    typeof event === 'object' && event !== null
      ? /** @type {Readonly<Record<string, unknown>>} */ (event)[name]
      : undefined;
  return typeof value === 'string' ? value : '';
}
