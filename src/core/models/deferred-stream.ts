import type { ModelDelta } from './model.ts';

type DeltaStream = AsyncGenerator<ModelDelta, void, undefined>;
type DeltaResult = IteratorResult<ModelDelta, void>;

/** Asks a model: calls its `stream` and returns the first delta, or throws the model's error. */
export type Ask = (stream: () => DeltaStream) => Promise<DeltaResult>;

const OVER: DeltaResult = { done: true, value: undefined };

/**
 * Stands in for a model's stream until the model is certain: it may still have to be loaded, and if
 * it fails before its first delta, it may be asked again, or another model instead. From the first
 * delta on, each `next` is that stream's own, so this costs nothing per token.
 *
 * `begin` asks until a model answers. Its signal aborts when `signal` does, and when the reader
 * stops. After that nobody is asked, and an error is only an echo of the abort: the stream just
 * ends. Once it has begun, that is up to the model's own stream.
 */
export class DeferredStream implements DeltaStream {
  readonly #signal: AbortSignal;
  readonly #begin: (ask: Ask, signal: AbortSignal) => Promise<DeltaResult>;
  readonly #beginning = new AbortController();
  #first: Promise<DeltaResult> | undefined;
  /** The stream of the model that was asked last. */
  #stream: DeltaStream | undefined;
  #hasBegun = false;
  #isOver = false;

  constructor(
    signal: AbortSignal,
    begin: (ask: Ask, signal: AbortSignal) => Promise<DeltaResult>,
  ) {
    this.#signal = signal;
    this.#begin = begin;
  }

  next(): Promise<DeltaResult> {
    if (this.#isOver) return Promise.resolve(OVER);
    if (this.#hasBegun && this.#stream !== undefined) return this.#stream.next();
    if (this.#first === undefined) return (this.#first = this.#askFirst());
    const again = (): Promise<DeltaResult> => this.next();
    return this.#first.then(again, again);
  }

  /** Ends the request at once, even while a delta is awaited. */
  async return(): Promise<DeltaResult> {
    this.#isOver = true;
    this.#beginning.abort();
    await this.#stream?.return();
    return OVER;
  }

  async throw(error: unknown): Promise<DeltaResult> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #askFirst(): Promise<DeltaResult> {
    if (this.#signal.aborted) return this.return();
    const { signal } = this.#beginning;
    const abort = (): void => this.#beginning.abort();
    this.#signal.addEventListener('abort', abort, { once: true });
    try {
      const first = await this.#begin((stream) => this.#ask(stream), signal);
      this.#hasBegun = true;
      if (!signal.aborted) return first;
      return await (this.#isOver ? OVER : this.return());
    } catch (error) {
      this.#isOver = true;
      if (signal.aborted) return OVER;
      throw error;
    } finally {
      this.#signal.removeEventListener('abort', abort);
    }
  }

  async #ask(stream: () => DeltaStream): Promise<DeltaResult> {
    this.#beginning.signal.throwIfAborted();
    this.#stream = stream();
    return this.#stream.next();
  }
}
