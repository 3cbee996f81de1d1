import { SERVED_METHODS, type Check } from './compose.ts';
import { BadRequest, HttpError } from './errors.ts';
import { offersWebSocket } from './upgrade.ts';

/**
 * Refuses what no legitimate client sends, with a 4xx and a closed connection: malformed request
 * targets, two `Host` headers (RFC 9112 §3.2 demands a 400), HTTP versions other than 1.x, TRACE,
 * and WebSocket upgrades on paths other than these.
 */
export function wellFormed(webSocketPaths: readonly string[]): Check {
  return function wellFormed(context) {
    const { request, path } = context;
    const { upgrade } = request.headers;
    if (path === '') throw new BadRequest('the request target is malformed', CLOSE);
    if (countHeaders(request.rawHeaders, 'host') > 1) {
      throw new BadRequest('the request has more than one host header', CLOSE);
    }
    if (request.httpVersionMajor !== 1) {
      throw new BadRequest('only HTTP/1.0 and HTTP/1.1 are supported', CLOSE);
    }
    if (request.method === 'TRACE') {
      const headers = ['allow', SERVED_METHODS, ...CLOSE.headers];
      throw new HttpError(405, 'TRACE is not supported', { headers });
    }
    if (upgrade !== undefined && offersWebSocket(upgrade) && !webSocketPaths.includes(path)) {
      throw new BadRequest('this path does not accept WebSocket', CLOSE);
    }
  };
}

const CLOSE = { headers: ['connection', 'close'] } as const;

/**
 * How many times the request contains a header. `name` is in lower case. Needed because Node's
 * `headers` joins some repeated headers and drops others.
 */
export function countHeaders(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index] ?? '';
    if (header.length === name.length && header.toLowerCase() === name) count++;
  }
  return count;
}
