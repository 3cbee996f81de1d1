/** @import { ClientFrame, ServerFrame } from '../../src/platform/frames.ts' */

/** @typedef {'connecting' | 'open' | 'closed' | 'failed'} ConnectionState */

/**
 * @typedef {object} SessionListener
 * @property {(state: ConnectionState) => void} onState
 * @property {(frame: ServerFrame) => void} onFrame
 * @property {(code: number, reason: string, wasOpen: boolean) => void} onClose not called for a socket that the page itself closes
 * @property {(problem: string) => void} onProblem
 */

/** The caller's connection: a key from the server, then a socket. It is never made again unasked: a page to test with hides no failure. */
export class Session {
  #listener;
  /** @type {WebSocket | undefined} */
  #socket;
  /** Counts the connections asked for: an answer to an older one comes too late. */
  #attempt = 0;
  /** @type {string | undefined} */
  #conversationId;

  /** @param {SessionListener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  get conversationId() {
    return this.#conversationId;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /**
   * Connects in place of what is there. Failures are told to the listener.
   *
   * @param {string} [conversationId] default a new conversation
   */
  async connect(conversationId) {
    const attempt = ++this.#attempt;
    const old = this.#socket;
    this.#socket = undefined;
    old?.close(1_000);
    this.#conversationId = conversationId;
    this.#listener.onState('connecting');
    try {
      const grant = await requestKey(conversationId);
      if (attempt !== this.#attempt) return;
      this.#conversationId = grant.conversationId;
      this.#open(grant.key);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#listener.onState('failed');
      this.#listener.onProblem(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * @param {ClientFrame} frame
   * @returns {boolean} false when it could not be sent, as nothing is connected
   */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** @param {string} key */
  #open(key) {
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
      this.#listener.onState(wasOpen && code !== 1_006 ? 'closed' : 'failed');
      this.#listener.onClose(code, reason, wasOpen);
    };
  }

  /** @param {unknown} data */
  #receive(data) {
    const frame = typeof data === 'string' ? parseFrame(data) : undefined;
    if (frame === undefined) this.#listener.onProblem('The server sent a frame that is no JSON object with a type.');
    else this.#listener.onFrame(frame);
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

/** @param {string | undefined} conversationId */
async function requestKey(conversationId) {
  const response = await fetch('/playground/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ agent_id: 'playground', ...(conversationId === undefined ? {} : { conversation_id: conversationId }) }),
  }).catch((cause) => {
    throw new Error('The server does not answer. Is it running?', { cause });
  });
  const answer = await response.json().catch(() => undefined); // a proxy's page: its status says enough
  if (!response.ok) throw new Error(`The server gave no session: ${response.status} ${answer?.error ?? response.statusText}`);
  if (typeof answer?.client_session_key !== 'string' || typeof answer.conversation_id !== 'string') {
    throw new Error('The server\'s answer lacks client_session_key or conversation_id.');
  }
  return { key: answer.client_session_key, conversationId: answer.conversation_id };
}
