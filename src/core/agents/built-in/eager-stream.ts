/**
 * Starts reading a stream of texts at once and hands them out later. For a model that thinks while
 * another one speaks.
 */
export class EagerStream {
  readonly #texts: string[] = [];
  #hasEnded = false;
  #error: unknown;
  #wake: (() => void) | undefined;
  #onFirst: (() => void) | undefined;
  /** Resolves on the first text, on the end or on a failure. */
  readonly ready: Promise<void>;
  readonly #source: AsyncGenerator<string, void, undefined>;

  constructor(source: AsyncGenerator<string, void, undefined>) {
    this.#source = source;
    this.ready = new Promise((resolve) => {
      this.#onFirst = resolve;
    });
    // `texts` rethrows the error to its reader
    this.#read(source).catch((error: unknown) => this.#end(error));
  }

  /** Whether `ready` has resolved. */
  get isReady(): boolean {
    return this.#texts.length > 0 || this.#hasEnded;
  }

  /** The texts read so far and those to come. Throws what the source threw. Call it once. */
  async *texts(): AsyncGenerator<string, void, undefined> {
    for (;;) {
      yield* this.#texts.splice(0);
      if (this.#texts.length > 0) continue;
      if (this.#hasEnded) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Ends the source, so that an unread reply costs nothing more. */
  async cancel(): Promise<void> {
    await this.#source.return();
  }

  async #read(source: AsyncIterable<string>): Promise<void> {
    for await (const text of source) {
      this.#texts.push(text);
      this.#notify();
    }
    this.#end(undefined);
  }

  #end(error: unknown): void {
    this.#error = error;
    this.#hasEnded = true;
    this.#notify();
  }

  #notify(): void {
    this.#onFirst?.();
    this.#wake?.();
  }
}
