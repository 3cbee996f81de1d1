// The codes and reasons of close frames: https://www.rfc-editor.org/rfc/rfc6455#section-7.4

import { isUtf8 } from 'node:buffer';

/** The close codes that we send or report. */
export const CLOSE_CODES = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  /** The peer's close frame has no code. Never sent. */
  noCode: 1005,
  /** There was no close frame. Never sent. */
  lost: 1006,
  invalidText: 1007,
  /** A message breaks the rules of its reader. */
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
} as const;

/**
 * The peer broke the protocol or exceeded a bound. `code` is the close code to answer with,
 * `message` the reason.
 */
export class WebSocketError extends Error {
  override readonly name = 'WebSocketError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Whether a close frame may have this code: those of RFC 6455 §7.4.1, those registered later
 * (1012–1014), and 3000–4999.
 */
export function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (
    code >= 1000
    && code <= 1014
    && code !== 1004
    && code !== CLOSE_CODES.noCode
    && code !== CLOSE_CODES.lost
  );
}

/**
 * The payload of a close frame. The reason is cut to 123 bytes at a code-point boundary, because a
 * control frame holds 125.
 */
export function encodeClose(code: number, reason = ''): Buffer {
  const bytes = Buffer.from(reason);
  let end = Math.min(bytes.length, MAX_REASON_BYTES);
  // 10xxxxxx continues a code point.
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  const payload = Buffer.allocUnsafe(2 + end);
  payload.writeUInt16BE(code);
  bytes.copy(payload, 2, 0, end);
  return payload;
}

/**
 * The code and reason in a close frame's payload; 1005 if it is empty. Throws a `WebSocketError`.
 */
export function parseClose(payload: Buffer): { readonly code: number; readonly reason: string } {
  if (payload.length === 0) return { code: CLOSE_CODES.noCode, reason: '' };
  if (payload.length === 1) {
    throw new WebSocketError(
      CLOSE_CODES.protocolError,
      'a close frame must have no payload or a code of 2 bytes',
    );
  }
  const code = payload.readUInt16BE();
  if (!isCloseCode(code)) {
    throw new WebSocketError(
      CLOSE_CODES.protocolError,
      `a close frame must not have the code ${code}`,
    );
  }
  const reason = payload.subarray(2);
  if (!isUtf8(reason)) {
    throw new WebSocketError(CLOSE_CODES.invalidText, 'the reason of a close frame must be UTF-8');
  }
  return { code, reason: reason.toString() };
}

const MAX_REASON_BYTES = 123;
