import type { HttpResponse } from './exchange.ts';

/**
 * Called when a response is over. `isFinished` is false if it was cut short. Owner and subject are
 * arguments, so that one function can serve all requests.
 */
export type CloseListener<Owner, Subject = undefined> = (
  isFinished: boolean,
  owner: Owner,
  subject: Subject,
) => void;

/**
 * A linked list, because growing an array by `push` takes longer than calling all its listeners.
 */
interface Entry {
  readonly listener: CloseListener<never, never>;
  readonly subject: unknown;
  readonly earlier: Entry | undefined;
}

/**
 * Reports when a response is over: finished, or cut short because the caller left.
 *
 * It listens to the response, because the request is silent once its body has been read. If an
 * earlier response of a pipeline is in progress, it listens to the socket as well: Node never
 * closes a response that has no socket yet.
 */
export class ResponseClose<Owner> {
  readonly #response: HttpResponse;
  readonly #owner: Owner;
  #latest: Entry | undefined;
  #isClosed = false;
  #callerSignal: AbortSignal | undefined;

  constructor(response: HttpResponse, owner: Owner) {
    this.#response = response;
    this.#owner = owner;
  }

  /** Fires if the connection closes before the answer has been written. */
  get callerSignal(): AbortSignal {
    if (this.#callerSignal === undefined) {
      const controller = new AbortController();
      this.add((isFinished) => {
        if (isFinished) return;
        controller.abort(new DOMException('the caller closed the connection', 'AbortError'));
      }, undefined);
      this.#callerSignal = controller.signal;
    }
    return this.#callerSignal;
  }

  /**
   * Adds a listener, which is called once. Listeners run in reverse order; if the response is
   * over, in the next tick.
   */
  add<Subject>(listener: CloseListener<Owner, Subject>, subject: Subject): void {
    if (this.#isClosed) {
      process.nextTick(listener, this.#isFinished, this.#owner, subject);
      return;
    }
    const isFirst = this.#latest === undefined;
    this.#latest = { listener, subject, earlier: this.#latest };
    if (isFirst) this.#watch();
  }

  #watch(): void {
    const { socket } = this.#response.req;
    const onClose = (): void => this.#close();
    if (this.#response.destroyed || socket?.destroyed === true) {
      process.nextTick(onClose);
      return;
    }
    this.#response.on('close', onClose);
    // A host without connections never closes a response.
    if (socket === undefined) this.#response.on('finish', onClose);
    if (this.#response.socket !== null || socket === undefined) return;
    socket.setMaxListeners(0); // one per request in the pipeline
    socket.on('close', onClose);
    this.add(() => socket.off('close', onClose), undefined); // the socket may live on
  }

  /** A response emits `finish` even if its last bytes were lost. Only the socket knows. */
  get #isFinished(): boolean {
    const { writableFinished, req: { socket } } = this.#response;
    return writableFinished && !(socket?.errored instanceof Error);
  }

  #close(): void {
    // Not `response.off`: it would turn the emitter's table of listeners into a slow one.
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isFinished = this.#isFinished;
    for (let entry = this.#latest; entry !== undefined; entry = entry.earlier) {
      entry.listener(isFinished, this.#owner as never, entry.subject as never); // as added
    }
  }
}
