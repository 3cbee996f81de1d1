// Every undocumented field of Node's objects that this project uses: what for, and what is lost if
// Node no longer has it. test/base/http/node-internals.test.ts fails on such a Node. None of them
// is for speed: docs/decisions/005-tuned-for-v8.md.

import { IncomingMessage, type ServerResponse } from 'node:http';

/**
 * `socket._httpMessage`: the response being written to a socket. Node's own handler of malformed
 * requests reads it too. Without it, the refusal of a second request could be written into the
 * middle of the first one's answer.
 */
export function responseUnderWay(socket: object): ServerResponse | undefined {
  if (!('_httpMessage' in socket)) return undefined;
  return (socket._httpMessage as ServerResponse | null | undefined) ?? undefined;
}

/**
 * `socket._handle.writeQueueSize`: the bytes that the operating system has not accepted yet.
 * Undefined for an object that is not one of Node's open sockets.
 *
 * All public figures of a socket count a chunk as a whole, and `drain` comes only when all of it
 * has left. So neither shows that a slow client is reading. Node's own socket timeouts use this
 * field. Without it, a slow reader of one large chunk would be disconnected.
 */
export function bytesNotAccepted(socket: object): number | undefined {
  if (!('_handle' in socket)) return undefined;
  const handle = socket._handle;
  if (typeof handle !== 'object' || handle === null) return undefined;
  if (!('writeQueueSize' in handle)) return undefined;
  const { writeQueueSize } = handle;
  return typeof writeQueueSize === 'number' ? writeQueueSize : undefined;
}

/**
 * A class of requests, for `createServer`, that hand over their connection only if `mayUpgrade`
 * allows it. Sets `request.upgrade`: if a server listens for `upgrade`, Node 20 hands over the
 * connection for every `Upgrade` offer. The public alternative is `shouldUpgradeCallback`, which
 * Node 20 does not have. Without this class, a request that offers h2c would lose its body and its
 * connection.
 */
export function requestsUpgradedIf(
  mayUpgrade: (request: IncomingMessage) => boolean,
): typeof IncomingMessage {
  return class extends IncomingMessage {
    #isUpgrade: boolean | null = null;

    get upgrade(): boolean {
      return this.#isUpgrade === true && (this.method === 'CONNECT' || mayUpgrade(this));
    }

    set upgrade(isUpgrade: boolean | null) {
      if (#isUpgrade in this) this.#isUpgrade = isUpgrade; // the base class sets it first, to null
    }
  };
}

/** `request.upgrade`: whether Node has handed over the connection of a request. */
export function isUpgraded(request: object): boolean {
  return 'upgrade' in request && request.upgrade === true;
}

/**
 * Turns `response._header` into one flat string. While the response is open, Node keeps its head as
 * a tree of four strings per header. Without this, an open stream would take more memory.
 */
export function flattenHead(response: object): void {
  if (!('_header' in response) || typeof response._header !== 'string') return;
  response._header.charCodeAt(0); // makes V8 join the pieces
}

/**
 * `socket.parser.onIncoming`: from now on the connection's parser stops after the headers of a
 * request if `isFull` says so, with an error whose code is `HPE_PAUSED`, number 21. Node's own way
 * to stop reading takes effect only after the packet. Without this, all requests in a packet of 64
 * KiB would wait in memory.
 */
export function stopParserIf(socket: object, isFull: () => boolean): void {
  const parser = parserOf(socket);
  const onIncoming = parser?.['onIncoming'];
  if (parser === undefined || typeof onIncoming !== 'function') return;
  parser['onIncoming'] = (...args: unknown[]): unknown => {
    const result: unknown = onIncoming.apply(parser, args);
    return result === 0 && isFull() ? 21 : result;
  };
}

/**
 * `socket.parser.resume()` and `execute()`: lets a stopped parser go on, so that it reports the end
 * of a request without a body. Without this, the connection would wait for its time limit.
 */
export function resumeParser(socket: object): void {
  const parser = parserOf(socket);
  for (const [method, ...args] of [['resume'], ['execute', NO_BYTES]] as const) {
    const call = parser?.[method];
    if (typeof call === 'function') call.apply(parser, args);
  }
}

/** With memory of its own: without any, the parser would take it for the end of the connection. */
const NO_BYTES = Buffer.alloc(1).subarray(1);

function parserOf(socket: object): Record<string, unknown> | undefined {
  const parser = 'parser' in socket ? socket.parser : undefined;
  return (parser as Record<string, unknown> | null) ?? undefined;
}
