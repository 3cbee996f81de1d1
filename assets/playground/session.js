/** @import { ClientFrame, ServerFrame } from '../../src/kit/platform/frames.ts' */
/** @import { Caller } from './caller-form.js' */

/** @typedef {'connecting' | 'open' | 'reconnecting' | 'closed' | 'failed'} ConnectionState */

/**
 * @typedef {object} SessionListener
 * @property {(state: ConnectionState) => void} onState
 * @property {(frame: ServerFrame) => void} onFrame
 * @property {(close: SocketClose) => void} onClose not for a socket that the page closes
 * @property {(problem: string) => void} onProblem
 */

/**
 * @typedef {object} SocketClose
 * @property {number} code
 * @property {string} reason
 * @property {boolean} wasOpen
 * @property {boolean} isLost the server went away, and the page reconnects when it is back
 */

/** Pauses before each attempt to reconnect; the last one repeats. */
const RETRY_MS = [250, 500, 1_000, 2_000];
const GOING_AWAY = 1_001;
const LOST = 1_006;

/**
 * The caller's connection: a key from the server, then a socket. Reconnects when the server
 * restarts.
 */
export class Session {
  #listener;
  /** @type {WebSocket | undefined} */
  #socket;
  /** Counts the page's requests. Answers to older ones are ignored. */
  #attempt = 0;
  /** @type {string | undefined} */
  #conversationId;
  /** @type {Caller} */
  #caller = {};

  /** @param {SessionListener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  get conversationId() {
    return this.#conversationId;
  }

  /**
   * Connects, after closing the previous connection. Failures are reported to the listener.
   *
   * @param {Caller} caller
   * @param {string} [conversationId] default a new conversation
   */
  async connect(caller, conversationId) {
    const attempt = ++this.#attempt;
    const old = this.#socket;
    this.#socket = undefined;
    old?.close(1_000);
    this.#caller = caller;
    this.#conversationId = conversationId;
    this.#listener.onState('connecting');
    try {
      const key = await this.#requestKey(attempt);
      if (key !== undefined) this.#open(key, (close) => this.#listener.onClose(close));
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(error);
    }
  }

  /**
   * @param {ClientFrame} frame
   * @returns {boolean} false if it could not be sent because nothing is connected
   */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /**
   * Tries until the server is back or refuses, or the page asks for another connection.
   *
   * @param {number} [tries] the number of tries so far
   */
  async #reconnect(tries = 0) {
    const attempt = ++this.#attempt;
    this.#listener.onState('reconnecting');
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[tries] ?? RETRY_MS.at(-1)));
    if (attempt !== this.#attempt) return;
    try {
      const key = await this.#requestKey(attempt);
      // A server that is shutting down still gives out keys, but opens no sockets.
      if (key !== undefined) this.#open(key, () => void this.#reconnect(tries + 1));
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof Refusal && error.status < 500) this.#fail(error);
      else void this.#reconnect(tries + 1);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#listener.onState('failed');
    this.#listener.onProblem(error instanceof Error ? error.message : String(error));
  }

  /**
   * @param {number} attempt
   * @returns {Promise<string | undefined>} undefined if the page has asked for something else since
   */
  async #requestKey(attempt) {
    const grant = await requestKey(this.#caller, this.#conversationId);
    if (attempt !== this.#attempt) return undefined;
    this.#conversationId = grant.conversationId;
    return grant.key;
  }

  /**
   * @param {string} key
   * @param {(close: SocketClose) => void} onRefused called if it closes before it has opened
   */
  #open(key, onRefused) {
    const url = new URL('/v1/agents/web/websocket', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = String(new URLSearchParams({ client_session_key: key, trace: 'true' }));
    const socket = new WebSocket(url);
    let wasOpen = false;
    this.#socket = socket;
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      wasOpen = true;
      this.#listener.onState('open');
      this.send({ type: 'client.ready' });
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      const isLost = wasOpen && (code === GOING_AWAY || code === LOST);
      const close = { code, reason, wasOpen, isLost };
      if (!isLost) this.#listener.onState(wasOpen ? 'closed' : 'failed');
      if (wasOpen) this.#listener.onClose(close);
      else onRefused(close);
      if (isLost) void this.#reconnect();
    };
  }

  /** @param {unknown} data */
  #receive(data) {
    const frame = typeof data === 'string' ? parseFrame(data) : undefined;
    if (frame === undefined) {
      this.#listener.onProblem('The server sent a frame that is not a JSON object with a type.');
    }
    else this.#listener.onFrame(frame);
  }
}

/** The server answered without a key. */
class Refusal extends Error {
  status;

  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} text
 * @returns {ServerFrame | undefined}
 */
function parseFrame(text) {
  try {
    const value = JSON.parse(text);
    return typeof value?.type === 'string' ? value : undefined;
  } catch {
    return undefined; // the caller shows it as a problem
  }
}

/** @param {Caller} caller @param {string | undefined} conversationId */
async function requestKey(caller, conversationId) {
  const response = await fetch('/playground/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ agent_id: 'playground', conversation_id: conversationId, ...caller }),
  }).catch((cause) => {
    throw new Error('The server does not answer. Is it running?', { cause });
  });
  const answer = await response.json().catch(() => undefined); // a proxy's page: the status is enough
  if (!response.ok) {
    throw new Refusal(
      response.status,
      `The server refused a session: ${response.status} ${answer?.error ?? response.statusText}`,
    );
  }
  if (
    typeof answer?.client_session_key !== 'string'
    || typeof answer.conversation_id !== 'string'
  ) {
    throw new Refusal(
      response.status,
      'The server\'s answer lacks client_session_key or conversation_id.',
    );
  }
  return { key: answer.client_session_key, conversationId: answer.conversation_id };
}
