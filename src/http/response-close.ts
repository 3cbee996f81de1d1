import type { HttpResponse } from './exchange.ts';

/**
 * Called when a response is over. `isFinished` is false when it was cut short. The owner and the
 * subject are handed over, so that one function can serve all requests.
 */
export type CloseListener<Owner, Subject = undefined> = (
  isFinished: boolean,
  owner: Owner,
  subject: Subject,
) => void;

/** A linked list: an array that grows by `push` costs a turn more than all its listeners. */
interface Entry {
  readonly listener: CloseListener<never, never>;
  readonly subject: unknown;
  readonly earlier: Entry | undefined;
}

/**
 * Knows when a response is over: finished, or cut short because the caller left.
 *
 * It watches the response, because the request is silent once its body was read. Behind an earlier
 * response of a pipeline it watches the socket too: Node never closes a response without a socket.
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

  /** Fires when the connection closes before the answer was written. */
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

  /** Adds a listener, called once, in reverse order; in the next tick if the response is over. */
  add<Subject>(listener: CloseListener<Owner, Subject>, subject: Subject): void {
    if (this.#isClosed) {
      process.nextTick(listener, this.#response.writableFinished, this.#owner, subject);
      return;
    }
    const isFirst = this.#latest === undefined;
    this.#latest = { listener, subject, earlier: this.#latest };
    if (isFirst) this.#watch();
  }

  #watch(): void {
    const { socket } = this.#response.req;
    const onClose = (): void => this.#close();
    if (this.#response.destroyed || socket.destroyed) {
      process.nextTick(onClose);
      return;
    }
    this.#response.on('close', onClose);
    if (this.#response.socket !== null) return;
    socket.setMaxListeners(0); // as many as there are requests in the pipeline
    socket.on('close', onClose);
    this.add(() => socket.off('close', onClose), undefined); // the socket may serve many more
  }

  #close(): void {
    // Not `response.off`: an emitter that loses a listener gets a slow table of them.
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isFinished = this.#response.writableFinished;
    for (let entry = this.#latest; entry !== undefined; entry = entry.earlier) {
      entry.listener(isFinished, this.#owner as never, entry.subject as never); // as it was added
    }
  }
}
