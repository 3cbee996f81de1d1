// Frames as clients make them, right and wrong, and a server's frames parsed from bytes.

import { OPCODES } from '../../../src/base/websocket/frame.ts';

export interface ClientFrameOptions {
  readonly isFinal?: boolean;
  /** Undefined: not masked, which a client must not send. Default `MASK`. */
  readonly mask?: Uint8Array | undefined;
  /** The three reserved bits as a number, 0–7. */
  readonly reserved?: number;
  /** Bits of the length field. Default: the fewest that hold the length. */
  readonly lengthBits?: 7 | 16 | 64;
  /** The length in the header. Default: that of the payload. */
  readonly length?: number | bigint;
}

export const MASK = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);
/** A payload masked with it stays as it is. */
export const NO_MASK = Uint8Array.of(0, 0, 0, 0);

export function clientFrame(
  opcode: number,
  payload: string | Uint8Array = '',
  options: ClientFrameOptions = {},
): Buffer {
  const { isFinal = true, reserved = 0 } = options;
  const mask = 'mask' in options ? options.mask : MASK;
  const bytes = Buffer.from(payload);
  const length = BigInt(options.length ?? bytes.length);
  const lengthBits = options.lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const header = [(isFinal ? 0x80 : 0) | (reserved << 4) | opcode];
  const isMasked = mask === undefined ? 0 : 0x80;
  if (lengthBits === 7) header.push(isMasked | Number(length));
  else {
    header.push(isMasked | (lengthBits === 16 ? 126 : 127));
    for (let shift = lengthBits - 8; shift >= 0; shift -= 8) {
      header.push(Number((length >> BigInt(shift)) & 0xffn));
    }
  }
  if (mask !== undefined) header.push(...mask);
  if (mask !== undefined && mask !== NO_MASK) {
    for (let index = 0; index < bytes.length; index++) {
      bytes[index] = Number(bytes[index]) ^ Number(mask[index & 3]);
    }
  }
  return Buffer.concat([Buffer.from(header), bytes]);
}

export function text(payload: string | Uint8Array, options?: ClientFrameOptions): Buffer {
  return clientFrame(OPCODES.text, payload, options);
}

/** The fragments of one text message. */
export function fragments(...payloads: readonly (string | Uint8Array)[]): Buffer[] {
  return payloads.map((payload, index) => {
    return clientFrame(index === 0 ? OPCODES.text : OPCODES.continuation, payload, {
      isFinal: index === payloads.length - 1,
    });
  });
}

/** A close frame; without a code its payload is empty. */
export function close(code?: number, reason: string | Uint8Array = ''): Buffer {
  return clientFrame(
    OPCODES.close,
    code === undefined
      ? ''
      : Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]),
  );
}

export interface ServerFrame {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly payload: Buffer;
}

/** The complete frames, and the bytes after them. */
export function parseServerFrames(bytes: Buffer): {
  readonly frames: ServerFrame[];
  readonly rest: Buffer;
} {
  const frames: ServerFrame[] = [];
  let rest = bytes;
  while (rest.length >= 2) {
    const [first = 0, second = 0] = rest;
    if ((first & 0x70) !== 0 || (second & 0x80) !== 0) {
      throw new Error(`a server's frame begins with ${first}, ${second}`);
    }
    const start = second < 126 ? 2 : second === 126 ? 4 : 10;
    if (rest.length < start) break;
    const length =
      start === 2 ? second : start === 4 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
    if (rest.length < start + length) break;
    frames.push({
      opcode: first & 0x0f,
      isFinal: (first & 0x80) !== 0,
      payload: rest.subarray(start, start + length),
    });
    rest = rest.subarray(start + length);
  }
  return { frames, rest };
}
