// The opening handshake, the server's part: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The parts of a request that a handshake check needs. */
type HandshakeRequest = Pick<IncomingMessage, 'headers' | 'httpVersion'> & {
  readonly method?: string | undefined;
};

/** The answer to a request that is not an opening handshake. */
export interface HandshakeRefusal {
  readonly status: number;
  /** What was wrong, for the client. */
  readonly reason: string;
  /** Flat list of header names and values. */
  readonly headers: readonly string[];
}

/**
 * Undefined if the request is a correct opening handshake (RFC 6455 §4.2.1). 426 if it does not
 * offer WebSocket or offers a version other than 13, 405 for a method other than GET, 400 for the
 * rest.
 */
export function checkHandshake(request: HandshakeRequest): HandshakeRefusal | undefined {
  const { headers, method, httpVersion } = request;
  if (!hasToken(headers.upgrade, 'websocket')) {
    return { status: 426, reason: 'Upgrade must be websocket', headers: UPGRADE };
  }
  if (method !== 'GET') {
    return {
      status: 405,
      reason: `a WebSocket handshake must be GET, got ${method}`,
      headers: ['allow', 'GET'],
    };
  }
  if (httpVersion !== '1.1') {
    return badRequest(`a WebSocket handshake must be HTTP/1.1, got HTTP/${httpVersion}`);
  }
  // Node checks neither of these: an upgrade leaves its parser earlier.
  if (headers.host === undefined) return badRequest('Host is missing');
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') {
    // A proxy may take our frames for a body.
    return badRequest('a WebSocket handshake must have no body');
  }
  if (!hasToken(headers.connection, 'upgrade')) return badRequest('Connection must have upgrade');
  if (headers['sec-websocket-version'] !== VERSION) {
    return {
      status: 426,
      reason: `Sec-WebSocket-Version must be ${VERSION}`,
      headers: [...UPGRADE, 'sec-websocket-version', VERSION],
    };
  }
  // If it is sent twice, Node joins the values with a comma.
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) {
    return badRequest('Sec-WebSocket-Key must be base64 of 16 bytes, sent once');
  }
  return undefined;
}

/**
 * The headers of the 101 answer to a request that passed `checkHandshake`: a flat list of names and
 * values. No extension or subprotocol is accepted, which needs no header (RFC 6455 §4.2.2).
 */
export function acceptHeaders(request: HandshakeRequest): string[] {
  const key = request.headers['sec-websocket-key'] ?? '';
  return [
    ...UPGRADE,
    'sec-websocket-accept',
    createHash('sha1')
      .update(key + ACCEPT_GUID)
      .digest('base64'),
  ];
}

const VERSION = '13';
const UPGRADE: readonly string[] = ['upgrade', 'websocket', 'connection', 'Upgrade'];
const KEY = /^[A-Za-z0-9+/]{22}==$/;
/** RFC 6455 §1.3. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function badRequest(reason: string): HandshakeRefusal {
  return { status: 400, reason, headers: [] };
}

/** Whether a comma-separated list contains the token, ignoring case. */
function hasToken(list: string | undefined, token: string): boolean {
  return list !== undefined && list.split(',').some((item) => item.trim().toLowerCase() === token);
}
