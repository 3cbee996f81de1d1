import { IncomingMessage } from 'node:http';

import { offersWebSocket } from './upgrade.ts';

/**
 * A request that is served together with its body, if that follows the head in one piece, as with
 * most webhooks. For `createServer`'s `IncomingMessage` option.
 *
 * Node's parser delivers the body through `push`. Holding it there saves a turn the stream's
 * events, the ticks between them and the promises. A body that nobody takes becomes a stream as
 * usual.
 */
export class WholeRequest extends IncomingMessage {
  /** Set until the request is served. */
  #serve: (() => void) | undefined;
  #body: Buffer | undefined;
  #isWhole = false;
  #isTaken = false;
  #isUpgrade: boolean | null = null;

  /**
   * Whether Node hands over the connection instead of serving the request. Node sets it for every
   * `Upgrade` offer if there is a listener for those. Here only CONNECT and WebSocket offers
   * count; others, like h2c, may be ignored (RFC 9110 §7.8).
   */
  get upgrade(): boolean {
    if (this.#isUpgrade !== true) return false;
    return this.method === 'CONNECT' || offersWebSocket(this.headers.upgrade ?? '');
  }

  set upgrade(isUpgrade: boolean | null) {
    if (#isUpgrade in this) this.#isUpgrade = isUpgrade; // the base class sets it first, to null
  }

  /** Whether the body has been taken. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Whether the whole body has arrived. `complete` says so only after the body was passed on. */
  get isWhole(): boolean {
    return this.#isWhole || this.complete;
  }

  /**
   * Calls `serve` once: with the body available if it follows immediately, otherwise without it.
   */
  whenWhole(serve: () => void): void {
    this.#serve = serve;
    // By the next tick the parser has passed on what arrived with the head.
    process.nextTick(WholeRequest.#serveNow, this);
  }

  /**
   * Returns the whole body to the first caller while the request is being served. Undefined if it
   * has to be read from the stream, because it arrived in pieces or something listens to the
   * stream.
   */
  takeBody(): Buffer | undefined {
    if (this.listenerCount('data') > 0 || this.listenerCount('readable') > 0) return undefined;
    const body = this.#body;
    this.#body = undefined;
    this.#isTaken ||= body !== undefined;
    return body;
  }

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null && this.#isTaken) {
      if (this.listenerCount('end') + this.listenerCount('close') === 0) {
        skipEnd(this);
        return false; // nobody wants more
      }
      const isMoreWanted = super.push(null);
      this.read(); // ends the stream, which is empty
      return isMoreWanted;
    }
    if (chunk === null || this.#serve === undefined) return super.push(chunk, encoding);
    if (chunk.length !== Number(this.headers['content-length'])) return super.push(chunk, encoding);
    this.#isWhole = true;
    this.#body = chunk;
    WholeRequest.#serveNow(this);
    if (this.#body === undefined) {
      this.read(0); // tells Node that the body was read
      return true;
    }
    this.#body = undefined;
    return super.push(chunk, encoding);
  }

  static #serveNow(request: WholeRequest): void {
    const serve = request.#serve;
    request.#serve = undefined;
    serve?.();
  }
}

/** A stream's own record of what it has done. */
interface StreamState {
  ended: boolean;
  endEmitted: boolean;
  destroyed: boolean;
  closed: boolean;
  closeEmitted: boolean;
}

/**
 * Marks an empty stream as ended and closed. To end it would take three ticks. `IncomingMessage`
 * sets the same fields for requests without a body if the server's option `optimizeEmptyRequests`
 * is on: `_dumpAndCloseReadable` of Node 24.
 */
function skipEnd(request: IncomingMessage): void {
  const state = (request as IncomingMessage & { readonly _readableState: StreamState })
    ._readableState;
  state.ended = true;
  state.endEmitted = true;
  state.destroyed = true;
  state.closed = true;
  state.closeEmitted = true;
}
