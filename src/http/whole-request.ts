import { IncomingMessage } from './node-http.ts';
import { offersWebSocket } from './upgrade.ts';

/**
 * A request that is served together with its body if that follows the head in one piece, as a
 * webhook's mostly does: the body is then there at once. For `createServer`'s `IncomingMessage`.
 *
 * Node's parser hands a body over by `push`. Held there, it spares a turn the stream's events, the
 * ticks between them and the promises. What nobody takes goes the stream's way.
 */
export class WholeRequest extends IncomingMessage {
  /** Set until the request is served. */
  #serve: (() => void) | undefined;
  #body: Buffer | undefined;
  #isWhole = false;
  #isTaken = false;
  #isUpgrade: boolean | null = null;

  /**
   * Whether Node hands the connection over instead of serving the request. Node sets it for every
   * `Upgrade` offer if somebody listens to those. Only CONNECT and offers of WebSocket are meant
   * here; others, such as h2c, may be ignored (RFC 9110 §7.8).
   */
  get upgrade(): boolean {
    if (this.#isUpgrade !== true) return false;
    return this.method === 'CONNECT' || offersWebSocket(this.headers.upgrade ?? '');
  }

  set upgrade(isUpgrade: boolean | null) {
    if (#isUpgrade in this) this.#isUpgrade = isUpgrade; // the base class sets it first, to null
  }

  /** Whether somebody has taken the body. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Whether the whole body has come, which `complete` tells only after it was handed over. */
  get isWhole(): boolean {
    return this.#isWhole || this.complete;
  }

  /**
   * Calls `serve` once: with the body at hand if that follows at once, and without it otherwise.
   */
  whenWhole(serve: () => void): void {
    this.#serve = serve;
    // In the next tick the parser has handed over what came with the head.
    process.nextTick(WholeRequest.#serveNow, this);
  }

  /**
   * The whole body, while the request is served and for whoever asks first. Undefined where it has
   * to be read from the stream: because it came otherwise, or somebody listens to the stream.
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
      const isMoreWanted = super.push(null);
      this.read(); // there is nothing to read, and so the stream ends
      return isMoreWanted;
    }
    if (chunk === null || this.#serve === undefined) return super.push(chunk, encoding);
    if (chunk.length !== Number(this.headers['content-length'])) return super.push(chunk, encoding);
    this.#isWhole = true;
    this.#body = chunk;
    WholeRequest.#serveNow(this);
    if (this.#body === undefined) {
      this.read(0); // and so Node does not think that nobody reads it
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
