/** @import { Json } from '../../src/base/json.ts' */
/** @import { ServerFrame, TraceFrame } from '../../src/kit/platform/frames.ts' */

import { eventField, isHangUp, requestOf } from './deliveries.js';

/**
 * One reply, and what the caller said before it.
 *
 * @typedef {object} Exchange
 * @property {string | undefined} said undefined for the welcome
 * @property {string} turnId empty until the agent is asked
 * @property {string} heard the whole reply; empty for one that broke off
 * @property {boolean} hasSpoken
 * @property {Json[]} data
 * @property {boolean} hangsUp
 * @property {boolean} hasFailed
 * @property {number | undefined} interruptedAfter in words; undefined if it was not interrupted
 */

/** Events whose answer the caller hears. */
const TURNS = ['session.start', 'message'];
/** Older ones are left out of the script. */
const MAX_EXCHANGES = 500;

/** Records a talk, and writes it as a file for `talk --script`. */
export class TalkScript {
  /** @type {Exchange[]} */
  #exchanges = [];

  get isEmpty() {
    return this.#exchanges.every(({ said, heard }) => said === undefined && heard === '');
  }

  clear() {
    this.#exchanges = [];
  }

  /** Records a frame for the caller. @param {Exclude<ServerFrame, TraceFrame>} frame */
  follow(frame) {
    if (frame.type === 'user.transcript') this.#begin(frame.content);
    else if (frame.type === 'response.text.delta')
      this.#change(frame.turn_id, (exchange) => (exchange.hasSpoken = true));
    else if (frame.type === 'response.text')
      this.#change(frame.turn_id, (exchange) => (exchange.heard = frame.content));
    else if (frame.type === 'response.data')
      this.#change(frame.turn_id, ({ data }) => data.push(frame.content));
  }

  /**
   * Records a frame of the trace. @param {TraceFrame} frame @param {string} turnId the delivery's
   */
  observe(frame, turnId) {
    if (frame.type === 'local.request') {
      this.#interrupt(frame.interruption ?? frame.event['interruption_context']);
      if (frame.signature === 'right' && TURNS.includes(requestOf(frame.event).type)) {
        this.#ask(turnId);
      }
    } else if (frame.type === 'local.event' && isHangUp(frame.event)) {
      this.#change(turnId, (exchange) => (exchange.hangsUp = true));
    } else if (frame.type === 'local.turn' && frame.outcome === 'failed') {
      this.#change(turnId, (exchange) => (exchange.hasFailed = true));
    }
  }

  /**
   * The file. A model words its replies differently each time, so they become comments. Other
   * agents' replies become expectations.
   *
   * @param {{ readonly name: string, readonly hasModel: boolean }} agent
   */
  write({ name, hasModel }) {
    const lines = [
      `# A talk with the agent ${oneLine(name)}, exported from the playground.`,
      ...(hasModel
        ? [
            '# A model words its replies differently each time. To expect one of these,',
            '# remove the # and keep the words that matter.',
          ]
        : []),
    ];
    for (const exchange of this.#exchanges) {
      lines.push('', ...(exchange.said === undefined ? [] : [`say ${oneLine(exchange.said)}`]));
      lines.push(...expectations(exchange).map((step) => (hasModel ? `# ${step}` : step)));
      if (exchange.hasFailed) lines.push('# this turn failed');
      // A script interrupts words, not silence.
      const words = exchange.hasSpoken ? exchange.interruptedAfter : undefined;
      if (words !== undefined) {
        lines.push(words === 0 ? 'interrupt' : `interrupt after ${counted(words)}`);
      }
    }
    return `${lines.join('\n')}\n`;
  }

  /** @param {string} [said] */
  #begin(said) {
    this.#exchanges.push({
      said,
      turnId: '',
      heard: '',
      hasSpoken: false,
      data: [],
      hangsUp: false,
      hasFailed: false,
      interruptedAfter: undefined,
    });
    if (this.#exchanges.length > MAX_EXCHANGES) this.#exchanges.shift();
  }

  /**
   * A welcome is part of the script only at its beginning: a script has one connection.
   *
   * @param {string} turnId
   */
  #ask(turnId) {
    if (this.#exchanges.length === 0) this.#begin();
    const last = this.#exchanges.at(-1);
    if (last?.turnId === '') last.turnId = turnId;
  }

  /** @param {unknown} context that of the next message */
  #interrupt(context) {
    if (typeof context !== 'object' || context === null || !('words_heard' in context)) return;
    const words = Number(context.words_heard);
    if (!Number.isInteger(words)) return;
    this.#change(
      eventField(context, 'assistant_turn_id'),
      (exchange) => (exchange.interruptedAfter = words),
    );
  }

  /** @param {string} turnId @param {(exchange: Exchange) => unknown} change */
  #change(turnId, change) {
    const exchange = this.#exchanges.findLast((other) => other.turnId === turnId && turnId !== '');
    if (exchange !== undefined) change(exchange);
  }
}

/**
 * Only a complete reply is what the agent meant to say, unlike an interrupted or failed one.
 *
 * @param {Exchange} exchange
 */
function expectations({ heard, data, hangsUp, hasFailed, interruptedAfter }) {
  if (hasFailed || interruptedAfter !== undefined) return [];
  return [
    ...(heard.trim() === '' ? [] : [`expect ${literal(oneLine(heard))}`]),
    ...data.map((content) => `expect-data ${literal(oneLine(JSON.stringify(content)))}`),
    ...(hangsUp ? ['expect-hangup'] : []),
  ];
}

/**
 * Text between slashes would be a pattern. Without the first slash it is still part of the reply.
 *
 * @param {string} text
 */
function literal(text) {
  return /^\/.+\/\w*$/.test(text) ? text.slice(1) : text;
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/\s+/g, ' ').trim();
}

/** @param {number} words */
function counted(words) {
  return `${words} word${words === 1 ? '' : 's'}`;
}
