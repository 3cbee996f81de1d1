// Frames: what we send as bytes, and a client's bytes as messages.
// https://www.rfc-editor.org/rfc/rfc6455#section-5

import { isUtf8 } from 'node:buffer';

import { CLOSE_CODES, parseClose, WebSocketError } from './close.ts';

export const OPCODES = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

export type Opcode = (typeof OPCODES)[keyof typeof OPCODES];

/**
 * A server's message in one frame, which is not masked (RFC 6455 §5.1). A string is sent as UTF-8;
 * lone surrogates become U+FFFD.
 */
export function encodeFrame(opcode: Opcode, payload: string | Uint8Array): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const { length } = bytes;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = FINAL | opcode;
  if (headerBytes === 2) frame[1] = length;
  else if (headerBytes === 4) {
    frame[1] = LENGTH_OF_16_BITS;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = LENGTH_OF_64_BITS;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.set(bytes, headerBytes);
  return frame;
}

/**
 * A complete message or a control frame from a client. `code` is 1005 if the close frame has none.
 */
export type Received =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'ping' | 'pong'; readonly payload: Buffer }
  | { readonly type: 'close'; readonly code: number; readonly reason: string };

/**
 * Decodes the frames of one client, in chunks of any size. After each `push`, call `next` until it
 * returns undefined; you may also stop earlier and continue later. `next` throws a `WebSocketError`
 * for what a client must not send; do not use the decoder after that. Binary messages are refused
 * (1003) at their header, and text that is not UTF-8 once it is whole. It keeps no more than the
 * current message, at most twice its bytes, however many fragments and chunks it arrives in.
 */
export class FrameDecoder {
  readonly #maxMessageBytes: number;
  #input: Buffer = EMPTY;
  /** Bytes of the input that have been decoded. */
  #offset = 0;

  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerBytes = 0;
  /** The length of the header, as far as its bytes show. */
  #headerSize = MIN_HEADER_BYTES;
  #isInPayload = false;
  #isFinal = false;
  #opcode: number = OPCODES.continuation;
  #payloadSize = 0;
  #payloadBytes = 0;

  /**
   * Set between the first and the last fragment of a message: control frames may come between them.
   */
  #isFragmented = false;
  #message: Buffer = EMPTY;
  #messageBytes = 0;
  #control: Buffer = EMPTY;

  /** `maxMessageBytes`: the size of all fragments of a message together, inclusive. */
  constructor(maxMessageBytes = 1_048_576) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True while bytes wait for `next`. Bytes of an incomplete frame do not count. */
  get hasInput(): boolean {
    return this.#offset < this.#input.length;
  }

  push(chunk: Buffer): void {
    this.#input = this.hasInput
      ? Buffer.concat([this.#input.subarray(this.#offset), chunk])
      : chunk;
    this.#offset = 0;
  }

  next(): Received | undefined {
    for (;;) {
      if (!this.#isInPayload && !this.#readHeader()) return undefined;
      this.#readPayload();
      if (this.#payloadBytes < this.#payloadSize) return undefined;
      const received = this.#endFrame();
      if (received !== undefined) return received;
    }
  }

  #readHeader(): boolean {
    while (this.#headerBytes < this.#headerSize) {
      if (!this.hasInput) return false;
      this.#header[this.#headerBytes++] = this.#input[this.#offset++] ?? 0;
      if (this.#headerBytes === MIN_HEADER_BYTES) {
        this.#headerSize = this.#beginHeader(this.#header[0] ?? 0, this.#header[1] ?? 0);
      }
    }
    this.#payloadSize = this.#length();
    this.#payloadBytes = 0;
    this.#isInPayload = true;
    if (this.#isControl) this.#control = Buffer.allocUnsafe(this.#payloadSize);
    else if (this.#messageBytes + this.#payloadSize > this.#maxMessageBytes) {
      throw new WebSocketError(
        CLOSE_CODES.tooBig,
        `a message must have at most ${this.#maxMessageBytes} bytes`,
      );
    }
    return true;
  }

  /** Takes the two bytes that every header begins with, and returns the header's size. */
  #beginHeader(first: number, second: number): number {
    const opcode = first & OPCODE_BITS;
    const length = second & LENGTH_BITS;
    this.#isFinal = (first & FINAL) !== 0;
    this.#opcode = opcode;
    if ((first & RESERVED_BITS) !== 0) {
      throw protocolError('a reserved bit is set, and no extension was agreed on');
    }
    if (!KNOWN_OPCODES.has(opcode)) throw protocolError(`the opcode ${opcode} is unknown`);
    if ((second & MASKED) === 0) throw protocolError('a client must mask its frames');
    if (this.#isControl) {
      if (!this.#isFinal) throw protocolError('a control frame must not be fragmented');
      if (length >= LENGTH_OF_16_BITS) {
        throw protocolError('a control frame must have at most 125 bytes');
      }
    } else if (opcode === OPCODES.continuation) {
      if (!this.#isFragmented) throw protocolError('a continuation needs a message to continue');
    } else if (this.#isFragmented)
      throw protocolError('a message must not begin inside a fragmented one');
    else if (opcode === OPCODES.binary)
      throw new WebSocketError(CLOSE_CODES.unsupportedData, 'a message must be text, not binary');
    return (
      MIN_HEADER_BYTES
      + (length === LENGTH_OF_16_BITS ? 2 : length === LENGTH_OF_64_BITS ? 8 : 0)
      + MASK_BYTES
    );
  }

  #length(): number {
    const length = (this.#header[1] ?? 0) & LENGTH_BITS;
    if (length < LENGTH_OF_16_BITS) return length;
    // Above 2^53 the number is not exact, but it is above every bound too. So the top bit, which
    // must be 0, needs no check.
    const extended =
      length === LENGTH_OF_16_BITS
        ? this.#header.readUInt16BE(2)
        : Number(this.#header.readBigUInt64BE(2));
    if (extended < (length === LENGTH_OF_16_BITS ? 126 : 65_536)) {
      throw protocolError(`the length ${extended} must take fewer bytes`);
    }
    return extended;
  }

  #readPayload(): void {
    const count = Math.min(
      this.#payloadSize - this.#payloadBytes,
      this.#input.length - this.#offset,
    );
    if (count === 0) return;
    if (this.#isControl) this.#unmask(count, this.#control, this.#payloadBytes);
    else {
      this.#reserve(count);
      this.#unmask(count, this.#message, this.#messageBytes);
      this.#messageBytes += count;
    }
    this.#payloadBytes += count;
    this.#offset += count;
    // The chunk may be far larger than the part that is kept.
    if (!this.hasInput) this.#input = EMPTY;
  }

  #unmask(count: number, target: Buffer, start: number): void {
    const input = this.#input;
    const header = this.#header;
    const offset = this.#offset;
    const mask = this.#headerSize - MASK_BYTES;
    const phase = this.#payloadBytes;
    for (let index = 0; index < count; index++) {
      target[start + index] =
        (input[offset + index] ?? 0) ^ (header[mask + ((phase + index) & 3)] ?? 0);
    }
  }

  /**
   * Makes room in the message. Doubles it, so that a message in many pieces is not copied for each
   * of them. Allocates for what has arrived, not for what was announced, so that using our memory
   * costs a client as many bytes.
   */
  #reserve(count: number): void {
    const needed = this.#messageBytes + count;
    if (needed <= this.#message.length) return;
    const grown = Buffer.allocUnsafe(
      Math.max(needed, Math.min(2 * this.#message.length, this.#maxMessageBytes)),
    );
    this.#message.copy(grown, 0, 0, this.#messageBytes);
    this.#message = grown;
  }

  #endFrame(): Received | undefined {
    this.#headerBytes = 0;
    this.#headerSize = MIN_HEADER_BYTES;
    this.#isInPayload = false;
    if (this.#isControl) {
      const payload = this.#control;
      this.#control = EMPTY;
      if (this.#opcode === OPCODES.close) return { type: 'close', ...parseClose(payload) };
      return { type: this.#opcode === OPCODES.ping ? 'ping' : 'pong', payload };
    }
    this.#isFragmented = !this.#isFinal;
    if (this.#isFragmented) return undefined;
    const bytes = this.#message.subarray(0, this.#messageBytes);
    if (!isUtf8(bytes)) {
      throw new WebSocketError(CLOSE_CODES.invalidText, 'a text message must be UTF-8');
    }
    const text = bytes.toString('utf8');
    this.#message = EMPTY;
    this.#messageBytes = 0;
    return { type: 'text', text };
  }

  get #isControl(): boolean {
    return this.#opcode >= OPCODES.close;
  }
}

const EMPTY = Buffer.alloc(0);
const FINAL = 0x80;
const RESERVED_BITS = 0x70;
const OPCODE_BITS = 0x0f;
const MASKED = 0x80;
const LENGTH_BITS = 0x7f;
/** These two replace a short length; the real one follows. */
const LENGTH_OF_16_BITS = 126;
const LENGTH_OF_64_BITS = 127;
const MIN_HEADER_BYTES = 2;
const MASK_BYTES = 4;
const MAX_HEADER_BYTES = MIN_HEADER_BYTES + 8 + MASK_BYTES;
const KNOWN_OPCODES: ReadonlySet<number> = new Set(Object.values(OPCODES));

function protocolError(message: string): WebSocketError {
  return new WebSocketError(CLOSE_CODES.protocolError, message);
}
