import { BadRequest, HttpError } from '../http/errors.ts';
import type { Check } from '../http/compose.ts';
import { offersWebSocket } from '../http/upgrade.ts';

export interface ConformanceOptions {
  /** The paths that speak WebSocket. */
  readonly webSocketPaths: readonly string[];
}

/**
 * Refuses, with a 4xx and a closed connection, what no honest client of this server sends: two `Host` headers (RFC 9112 §3.2:
 * must be 400), malformed request targets, versions other than 1.x, TRACE, and WebSocket upgrades of other paths than those given. Other `Upgrade` offers, h2c for one, are ignored (RFC 9110 §7.8).
 */
export function conformance({ webSocketPaths }: ConformanceOptions): Check {
  return function conformance(context) {
    const { request } = context;
    if (context.path === '') throw new BadRequest('the request target is malformed', CLOSE);
    if (countHeaders(request.rawHeaders, 'host') > 1) throw new BadRequest('the request has more than one host header', CLOSE);
    if (request.httpVersionMajor !== 1) throw new BadRequest('only HTTP/1.0 and HTTP/1.1 are spoken here', CLOSE);
    if (request.method === 'TRACE') throw new HttpError(405, 'TRACE is not served', { headers: ['allow', SERVED_METHODS, ...CLOSE.headers] });
    if (request.headers.upgrade !== undefined && offersWebSocket(request.headers.upgrade) && !webSocketPaths.includes(context.path)) {
      throw new BadRequest('there is no WebSocket here', CLOSE);
    }
  };
}

/** What any route may take. An unserved method has to be told (RFC 9110 §15.5.6). */
export const SERVED_METHODS = 'GET, HEAD, POST, OPTIONS';

const CLOSE = { headers: ['connection', 'close'] } as const;

/** How often a header stands in the request as it was sent. `headers` has some of them joined and others dropped. `name` is lower case. */
export function countHeaders(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index] ?? '';
    if (header.length === name.length && header.toLowerCase() === name) count++;
  }
  return count;
}
