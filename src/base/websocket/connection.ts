import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Awaitable } from '../awaitable.ts';
import { CLOSE_CODES, encodeClose, isCloseCode, WebSocketError } from './close.ts';
import { encodeFrame, FrameDecoder, OPCODES, type Opcode, type Received } from './frame.ts';

/** How a connection ended. */
export interface WebSocketClose {
  /**
   * The peer's code if it sent a close frame, 1005 if that had none. Our own if the peer broke the
   * protocol (1002, 1003, 1007, 1009) or `onText` failed (1011). 1006 if the connection was lost
   * without a close frame, or ours was not answered.
   */
  readonly code: number;
  readonly reason: string;
  /** What `onText` threw. */
  readonly error?: unknown;
}

export interface WebSocketOptions {
  /**
   * Receives each complete text message. Nothing more is read until the promise it returns has
   * settled, which is back-pressure to the client. An error closes the connection with 1011; after
   * the end it is ignored.
   */
  readonly onText: (text: string) => Awaitable<void>;
  /** Called once, when the socket has closed for whatever reason. Nothing is called after it. */
  readonly onClose: (close: WebSocketClose) => void;
  /**
   * Maximum bytes of one message, all its fragments together; inclusive. Beyond it: 1009. Default
   * 1,048,576.
   */
  readonly maxMessageBytes?: number;
  /**
   * Maximum bytes sent but not yet accepted by the network. A send beyond it destroys the
   * connection, because the peer has stopped reading. One message may be longer. Default
   * 1,048,576.
   */
  readonly maxUnsentBytes?: number;
  /**
   * How long the peer may take to answer a close frame and end its side. Then the socket is
   * destroyed. Default 2,000.
   */
  readonly closeTimeoutMs?: number;
  /**
   * Interval between pings. A peer that has sent nothing since the last ping is destroyed. 0 turns
   * pings off. Default 30,000.
   */
  readonly pingIntervalMs?: number;
}

/**
 * The server's end of a WebSocket, for text messages. Binary messages are refused (1003), and no
 * extensions are supported. Closing follows https://www.rfc-editor.org/rfc/rfc6455#section-7
 */
export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #options: WebSocketOptions;
  readonly #maxUnsentBytes: number;
  readonly #decoder: FrameDecoder;
  readonly #pings: NodeJS.Timeout | undefined;
  #closeTimer: NodeJS.Timeout | undefined;
  /**
   * Set with the first close frame, the peer's or ours. After it no message is sent or delivered.
   */
  #isClosing = false;
  /** Set with the last frame: ours has been sent. What still arrives is discarded. */
  #isFinished = false;
  /** Set while the promise of `onText` is pending. */
  #isBusy = false;
  /**
   * Set while pongs wait for room. A peer that floods us with pings and does not read the answers
   * is not read either.
   */
  #isFlooded = false;
  /**
   * Set once the peer has ended its side. What it sent before may still be waiting for `onText`.
   */
  #isCutOff = false;
  #isOver = false;
  /** Set by anything received, cleared by a ping. */
  #isAlive = true;
  #close: Pick<WebSocketClose, 'code' | 'reason'> | undefined;
  #error: unknown;
  /** Senders that wait for room. */
  #senders: ((isSent: boolean) => void)[] = [];

  /**
   * Takes over a socket after the 101 has been written. Bytes that followed the request must have
   * been put back with `unshift`.
   */
  constructor(socket: Duplex, options: WebSocketOptions) {
    const { maxMessageBytes, maxUnsentBytes = 1_048_576, pingIntervalMs = 30_000 } = options;
    this.#socket = socket;
    this.#options = options;
    this.#maxUnsentBytes = maxUnsentBytes;
    this.#decoder = new FrameDecoder(maxMessageBytes);
    if (pingIntervalMs > 0) this.#pings = setInterval(() => this.#ping(), pingIntervalMs).unref();
    // A server's timeout is for requests.
    if (socket instanceof Socket) socket.setNoDelay(true).setTimeout(0);
    socket.on('error', () => socket.destroy()); // `close` follows
    socket.on('close', () => this.#over());
    socket.on('end', () => this.#cutOff());
    socket.on('drain', () => this.#drained());
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The peer may have left already, and these events do not fire twice. `closed` is set one tick
    // before its event.
    if (socket.closed) process.nextTick(() => this.#over());
    else if (socket.readableEnded) socket.destroy();
    else socket.resume();
  }

  /**
   * True until a close frame has been sent or received, or the connection lost: a message sent now
   * may still arrive.
   */
  get isOpen(): boolean {
    return !this.#isClosing && this.#socket.writable;
  }

  /**
   * Sends a text message. Returns true, or a promise of it if the sender should wait for room;
   * false if the connection is over or ends meanwhile. Never throws and never rejects.
   */
  send(text: string): Awaitable<boolean> {
    if (!this.isOpen || !this.#write(OPCODES.text, text)) return false;
    if (!this.#socket.writableNeedDrain) return true;
    return new Promise((resolve) => this.#senders.push(resolve));
  }

  /**
   * Sends a close frame and waits for the peer's. The reason is cut to 123 bytes at a code-point
   * boundary. Does nothing if the connection is already closing. Throws a `RangeError` for a code
   * that must not be sent.
   */
  close(code: number = CLOSE_CODES.normal, reason = ''): void {
    if (!isCloseCode(code)) {
      throw new RangeError(`a close code must be 1000–1003, 1007–1014 or 3000–4999, got ${code}`);
    }
    if (!this.isOpen) return;
    this.#sendClose(encodeClose(code, reason));
    this.#deliver(); // The peer's close frame may come after messages that are no longer delivered
  }

  /** Closes the socket at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#isAlive = true;
    if (this.#isFinished) return;
    this.#decoder.push(chunk);
    this.#deliver();
  }

  get #isWaiting(): boolean {
    return this.#isFlooded || (this.#isBusy && !this.#isClosing);
  }

  /** Handles what has been decoded, until a message has to be awaited. */
  #deliver(): void {
    this.#socket.cork(); // all answers to one chunk, mostly pongs, take one system call
    try {
      while (!this.#isWaiting && !this.#isFinished && !this.#socket.destroyed) {
        const received = this.#decoder.next();
        if (received === undefined) break;
        this.#take(received);
      }
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      this.#fail(error);
    } finally {
      this.#socket.uncork();
    }
    if (this.#isWaiting) this.#socket.pause();
    else if (this.#isCutOff && !this.#isFinished) this.#socket.destroy();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #take(received: Received): void {
    switch (received.type) {
      case 'text':
        if (!this.#isClosing) this.#takeText(received.text);
        return;
      case 'ping':
        if (this.#write(OPCODES.pong, received.payload)) {
          this.#isFlooded = this.#socket.writableNeedDrain;
        }
        return;
      case 'pong':
        return; // receiving it was enough
      case 'close':
        this.#close ??= { code: received.code, reason: received.reason };
        this.#finish(received.code === CLOSE_CODES.noCode ? NO_CODE : encodeClose(received.code));
        return;
      default:
        received satisfies never;
    }
  }

  #takeText(text: string): void {
    try {
      const answer = this.#options.onText(text);
      if (!(answer instanceof Promise)) return;
      this.#isBusy = true;
      answer
        .catch((error: unknown) => this.#failText(error))
        .finally(() => {
          this.#isBusy = false;
          this.#isAlive = true; // its pongs may be among the unread bytes
          this.#deliver();
        });
    } catch (error) {
      this.#failText(error);
    }
  }

  #failText(error: unknown): void {
    this.#error = error;
    if (!this.isOpen) return;
    const close = { code: CLOSE_CODES.internalError, reason: 'internal error' };
    this.#close = close;
    this.#sendClose(encodeClose(close.code, close.reason));
  }

  /**
   * Fails the connection. The peer cannot be understood any more, not even its close frame (RFC
   * 6455 §7.1.7).
   */
  #fail({ code, message }: WebSocketError): void {
    this.#close ??= { code, reason: message };
    this.#finish(encodeClose(code, message));
  }

  #sendClose(payload: Buffer): void {
    this.#isClosing = true;
    const { closeTimeoutMs = 2_000 } = this.#options;
    this.#closeTimer ??= setTimeout(() => this.destroy(), closeTimeoutMs);
    this.#write(OPCODES.close, payload);
  }

  /**
   * Ends our side of the TCP connection after our close frame. The other side is still read and
   * discarded: closing with unread bytes would reset the connection, and the peer might lose our
   * close frame (RFC 6455 §7.1.1).
   */
  #finish(payload: Buffer): void {
    if (!this.#isClosing) this.#sendClose(payload);
    this.#isFinished = true;
    this.#socket.end();
  }

  #write(opcode: Opcode, payload: string | Buffer): boolean {
    if (this.#socket.writableLength > this.#maxUnsentBytes && this.#socket.writableCorked > 0) {
      // Bytes held back for one system call do not count as unread.
      this.#socket.uncork();
      this.#socket.cork();
    }
    if (this.#socket.writableLength > this.#maxUnsentBytes) this.destroy();
    if (!this.#socket.writable) return false;
    this.#socket.write(encodeFrame(opcode, payload));
    return true;
  }

  #drained(): void {
    this.#releaseSenders(true);
    if (!this.#isFlooded) return;
    this.#isFlooded = false;
    this.#isAlive = true;
    this.#deliver();
  }

  /**
   * While the promise of `onText` is pending nothing is read, so silence says nothing about the
   * peer.
   */
  #ping(): void {
    if (!this.#isAlive && !this.#isBusy) this.destroy();
    else {
      this.#isAlive = false;
      this.#write(OPCODES.ping, '');
    }
  }

  /**
   * The peer has ended its side. Without a close frame, which may still be among the waiting bytes,
   * the connection is lost.
   */
  #cutOff(): void {
    this.#isCutOff = true;
    if (!this.#isFinished && !this.#decoder.hasInput) this.destroy();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#pings);
    clearTimeout(this.#closeTimer);
    this.#isClosing = true;
    this.#isFinished = true;
    this.#releaseSenders(false);
    const close = this.#close ?? { code: CLOSE_CODES.lost, reason: '' };
    this.#options.onClose(this.#error === undefined ? close : { ...close, error: this.#error });
  }

  #releaseSenders(isSent: boolean): void {
    for (const release of this.#senders.splice(0)) release(isSent);
  }
}

const NO_CODE = Buffer.alloc(0);
