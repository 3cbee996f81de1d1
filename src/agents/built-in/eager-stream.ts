/**
 * Asks a stream of texts for the first one at once, and hands out all of them later. For a model
 * that thinks while another one speaks.
 */
export class EagerStream {
  /** Resolves at the first text, at the end or at a failure. */
  readonly ready: Promise<void>;
  #isReady = false;
  readonly #source: AsyncGenerator<string, void, undefined>;
  readonly #first: Promise<IteratorResult<string, void>>;

  constructor(source: AsyncGenerator<string, void, undefined>) {
    this.#source = source;
    this.#first = source.next();
    const isReady = (): void => {
      this.#isReady = true;
    };
    this.ready = this.#first.then(isReady, isReady); // `texts` throws the error to its reader
  }

  /** Whether `ready` has resolved. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** All texts. Throws what the source threw. Call it once. */
  async *texts(): AsyncGenerator<string, void, undefined> {
    for (let next = await this.#first; next.done !== true; next = await this.#source.next())
      yield next.value;
  }

  /** Ends the source, so that an unread reply costs nothing more. */
  async cancel(): Promise<void> {
    await this.#source.return();
  }
}
