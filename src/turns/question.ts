import type { MessageOf } from './process-message.ts';

/** How long a process has to answer. One that does not is taken for dead. */
const ANSWER_MS = 150;

/** What other processes were asked: which calls run there, and whether a stream can be had. */
export class Question {
  /** Keys of the calls that run. */
  readonly calls = new Set<string>();
  /** Resolves when every process has answered, when the run is found, or after 150 ms. */
  readonly answered: Promise<void>;
  /** A process runs the turn that was asked for, and passes its stream on. */
  isFollowing = false;
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

  answer({ from, calls, isFollowing }: MessageOf<'answer'>): void {
    if (!this.#silent.delete(from)) return;
    for (const key of calls) this.calls.add(key);
    this.isFollowing ||= isFollowing;
    if (this.#silent.size === 0 || this.isFollowing) this.#done();
  }
}
