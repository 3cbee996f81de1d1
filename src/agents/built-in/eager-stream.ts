/**
 * Reads a stream of texts from the start, whoever is ready to listen, and gives it out later. For a
 * model that is to think while another one speaks.
 */
export class EagerStream {
  readonly #texts: string[] = [];
  #hasEnded = false;
  #error: unknown;
  #wake: (() => void) | undefined;
  #onFirst: (() => void) | undefined;
  /** Resolves at the first text, at the end and at a failure: there is no more to wait for. */
  readonly ready: Promise<void>;
  readonly #source: AsyncGenerator<string, void, undefined>;

  constructor(source: AsyncGenerator<string, void, undefined>) {
    this.#source = source;
    this.ready = new Promise((resolve) => {
      this.#onFirst = resolve;
    });
    // what is thrown is thrown again to whoever reads
    this.#read(source).catch((error: unknown) => this.#end(error));
  }

  /** Whether `ready` has resolved. */
  get isReady(): boolean {
    return this.#texts.length > 0 || this.#hasEnded;
  }

  /** What was read and what is still to come. Throws what the source threw. Once only. */
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

  /** Ends the source: whoever stops reading stops paying. */
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
