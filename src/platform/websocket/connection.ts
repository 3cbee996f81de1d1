import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Awaitable } from '../../base/awaitable.ts';
import { CLOSE_CODES, encodeClose, isCloseCode, WebSocketError } from './close.ts';
import { encodeFrame, FrameDecoder, OPCODES, type Opcode, type Received } from './frame.ts';

/** How a connection ended. */
export interface WebSocketClose {
  /**
   * The peer's where it sent a close frame. 1005: that had no code. Ours for what the peer must not send (1002, 1003, 1007, 1009)
   * and for an error of `onText` (1011). 1006: the connection was lost without a close frame, or ours was not answered.
   */
  readonly code: number;
  readonly reason: string;
  /** What `onText` threw. */
  readonly error?: unknown;
}

export interface WebSocketOptions {
  /**
   * A whole text message of the client. Until the promise it returns is settled nothing more is read: back-pressure to the client.
   * What it throws closes the connection with 1011; what it throws after the end is dropped.
   */
  readonly onText: (text: string) => Awaitable<void>;
  /** Once, when the socket is closed, however it came to that. Nothing is called after it. */
  readonly onClose: (close: WebSocketClose) => void;
  /** Bytes of one message of the client, its fragments together; inclusive. Beyond: 1009. Default 1,048,576. */
  readonly maxMessageBytes?: number;
  /**
   * Bytes sent and not yet taken by the network. Whoever sends while there are more has the connection destroyed: the peer does not
   * read. One message may be longer. Default 1,048,576.
   */
  readonly maxUnsentBytes?: number;
  /** How long the peer may take to answer a close frame and to end its side. Then the socket is destroyed. Default 2,000. */
  readonly closeTimeoutMs?: number;
  /** Pause between pings; a peer that sent nothing since the last ping is gone, and destroyed. 0: none. Default 30,000. */
  readonly pingIntervalMs?: number;
}

/**
 * The server's end of a WebSocket, for text messages. Binary ones are refused (1003), no extension is spoken. The rules of closing
 * are in https://www.rfc-editor.org/rfc/rfc6455#section-7
 */
export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #onText: (text: string) => Awaitable<void>;
  readonly #onClose: (close: WebSocketClose) => void;
  readonly #maxUnsentBytes: number;
  readonly #closeTimeoutMs: number;
  readonly #decoder: FrameDecoder;
  readonly #pings: NodeJS.Timeout | undefined;
  #closeTimer: NodeJS.Timeout | undefined;
  /** Set with the first close frame, the peer's or ours: no message is sent or delivered any more. */
  #isClosing = false;
  /** Set with the last frame: ours is sent, and what comes still is thrown away. */
  #isFinished = false;
  /** Set while the promise of `onText` is open. */
  #isBusy = false;
  /** Set while pongs wait for room: who floods us with pings and reads none of the answers is not read either. */
  #isFlooded = false;
  /** Set once the peer ended its side; what came before may still wait for `onText`. */
  #isCutOff = false;
  #isOver = false;
  /** Set by everything received, unset by a ping. */
  #isAlive = true;
  #close: Pick<WebSocketClose, 'code' | 'reason'> | undefined;
  #error: unknown;
  /** Who waits for room. */
  #senders: ((isSent: boolean) => void)[] = [];

  /** Takes over a socket on which the 101 has been written. What came behind the request must be put back with `unshift` before. */
  constructor(socket: Duplex, options: WebSocketOptions) {
    const {
      onText,
      onClose,
      maxMessageBytes,
      maxUnsentBytes = 1_048_576,
      closeTimeoutMs = 2_000,
      pingIntervalMs = 30_000,
    } = options;
    this.#socket = socket;
    this.#onText = onText;
    this.#onClose = onClose;
    this.#maxUnsentBytes = maxUnsentBytes;
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#decoder = new FrameDecoder(maxMessageBytes === undefined ? {} : { maxMessageBytes });
    if (pingIntervalMs > 0) this.#pings = setInterval(() => this.#ping(), pingIntervalMs).unref();
    if (socket instanceof Socket) socket.setNoDelay(true).setTimeout(0); // a server's time-out is for requests
    socket.on('error', () => socket.destroy()); // `close` follows, and tells
    socket.on('close', () => this.#over());
    socket.on('end', () => this.#cutOff());
    socket.on('drain', () => this.#drained());
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The peer may have left meanwhile, and these events do not come twice. `closed` is set a tick before its event.
    if (socket.closed) process.nextTick(() => this.#over());
    else if (socket.readableEnded) socket.destroy();
    else socket.resume();
  }

  /** True until a close frame was sent or received, or the connection is lost: a message sent now may still arrive. */
  get isOpen(): boolean {
    return !this.#isClosing && this.#socket.writable;
  }

  /**
   * Sends a text message. True, or a promise of it where the sender should wait for room; false when the connection is over, also
   * while waiting. Never throws and never rejects.
   */
  send(text: string): Awaitable<boolean> {
    if (!this.isOpen || !this.#write(OPCODES.text, text)) return false;
    if (!this.#socket.writableNeedDrain) return true;
    return new Promise((resolve) => this.#senders.push(resolve));
  }

  /**
   * Sends a close frame and waits for the peer's. The reason is cut to 123 bytes at a code-point border. Does nothing once the
   * connection closes. Throws a `RangeError` for a code that must not be sent.
   */
  close(code: number = CLOSE_CODES.normal, reason = ''): void {
    if (!isCloseCode(code)) {
      throw new RangeError(`a close code must be 1000–1003, 1007–1014 or 3000–4999, got ${code}`);
    }
    if (!this.isOpen) return;
    this.#sendClose(encodeClose(code, reason));
    this.#deliver(); // the peer's close frame may stand behind messages that nobody waits for any more
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

  /** Takes what is decoded up to a message that must be waited for. */
  #deliver(): void {
    this.#socket.cork(); // the answers to all of a chunk, pongs above all, take one call of the system
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
        return; // that something came is all there is to it
      case 'close':
        this.#close ??= { code: received.code, reason: received.reason };
        this.#finish(received.code === CLOSE_CODES.noCode ? NO_CODE : encodeClose(received.code));
    }
  }

  #takeText(text: string): void {
    try {
      const answer = this.#onText(text);
      if (!(answer instanceof Promise)) return;
      this.#isBusy = true;
      answer.catch((error: unknown) => this.#failText(error)).finally(() => {
        this.#isBusy = false;
        this.#isAlive = true; // its pongs may be among what was not read
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

  /** The peer cannot be understood any more, and so neither its close frame (RFC 6455 §7.1.7). */
  #fail({ code, message }: WebSocketError): void {
    this.#close ??= { code, reason: message };
    this.#finish(encodeClose(code, message));
  }

  #sendClose(payload: Buffer): void {
    this.#isClosing = true;
    this.#closeTimer ??= setTimeout(() => this.destroy(), this.#closeTimeoutMs);
    this.#write(OPCODES.close, payload);
  }

  /**
   * Ends our side of the TCP connection behind our close frame. The other side is read on, and thrown away: closed with bytes
   * unread, it would be reset, and the peer might lose our close frame (RFC 6455 §7.1.1).
   */
  #finish(payload: Buffer): void {
    if (!this.#isClosing) this.#sendClose(payload);
    this.#isFinished = true;
    this.#socket.end();
  }

  #write(opcode: Opcode, payload: string | Buffer): boolean {
    if (this.#socket.writableLength > this.#maxUnsentBytes && this.#socket.writableCorked > 0) {
      // What is held back for one call of the system is not unread yet.
      this.#socket.uncork();
      this.#socket.cork();
    }
    if (this.#socket.writableLength > this.#maxUnsentBytes) this.destroy();
    if (!this.#socket.writable) return false;
    this.#socket.write(encodeFrame(opcode, payload));
    return true;
  }

  #drained(): void {
    this.#settleSenders(true);
    if (!this.#isFlooded) return;
    this.#isFlooded = false;
    this.#isAlive = true;
    this.#deliver();
  }

  /** While the promise of `onText` is open nothing is read, and so nothing says whether the peer is there. */
  #ping(): void {
    if (!this.#isAlive && !this.#isBusy) this.destroy();
    else {
      this.#isAlive = false;
      this.#write(OPCODES.ping, '');
    }
  }

  /** The peer ended its side. Without a close frame before, which may still be among what waits, this is a loss. */
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
    this.#settleSenders(false);
    const close = this.#close ?? { code: CLOSE_CODES.lost, reason: '' };
    this.#onClose(this.#error === undefined ? close : { ...close, error: this.#error });
  }

  #settleSenders(isSent: boolean): void {
    for (const settle of this.#senders.splice(0)) settle(isSent);
  }
}

const NO_CODE = Buffer.alloc(0);
