import type { MessageOf } from './process-message.ts';

/** A process that has not answered after this time is taken for dead. */
const ANSWER_MS = 150;

/** A question to other processes: which tool calls they run. */
export class Question {
  /** Keys of the calls that run, as far as answers have come. */
  readonly calls = new Set<string>();
  /** Resolves when all have answered, but at the latest after 150 ms. */
  readonly answered: Promise<void>;
  /** Processes that have not answered. */
  readonly #silent: Set<string>;
  #done!: () => void;

  constructor(asked: Iterable<string>) {
    this.#silent = new Set(asked);
    this.answered = new Promise((resolve) => {
      const timer = setTimeout(resolve, ANSWER_MS);
      this.#done = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  answer({ from, calls }: MessageOf<'answer'>): void {
    if (!this.#silent.delete(from)) return;
    for (const key of calls) this.calls.add(key);
    if (this.#silent.size === 0) this.#done();
  }
}
