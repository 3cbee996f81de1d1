/** How long one question waits for answers. */
export const ANSWER_MS = 150;

/**
 * A process counts as dead after this many unanswered questions in a row. After fewer it may only
 * be busy.
 */
export const MAX_UNANSWERED = 3;

/** Which of the calls in a question a process runs. */
export interface ToolAnswer {
  /** The address of the process. */
  readonly from: string;
  /** Keys. */
  readonly calls: readonly string[];
  /** Keys that the process remembers to have claimed. */
  readonly claimed?: readonly string[] | undefined;
  /**
   * Those of `calls` under which nothing began or will: the store has not confirmed the claim, and
   * may have it.
   */
  readonly idle?: readonly string[] | undefined;
}

/** What other processes answered in time. */
export interface Answers {
  /**
   * Whether one of them runs the tool call of that key. Calls are noted with their process and the
   * time when they began, in milliseconds since the epoch.
   */
  readonly isCallRunning: (
    key: string,
    process: string | undefined,
    sinceMs?: number,
  ) => boolean;
  /** Whether a process has only claimed that key, and nothing began. */
  readonly isIdle: (key: string) => boolean;
  /** The process that runs the call of that key. */
  readonly runnerOf: (key: string) => string | undefined;
  /** Whether the process has answered, so that it is alive. */
  readonly isAlive: (process: string) => boolean;
}

/** What they answered to a question to everyone. */
export interface AnswersOfAll extends Answers {
  /**
   * Whether a process that did not answer may live: it, or this process, may not be connected again
   * after an outage.
   */
  readonly areDoubtful: boolean;
  /** Whether a process remembers that it has claimed that key. */
  readonly isClaimed: (key: string) => boolean;
}

/**
 * A question to other processes: which tool calls they run. A process that was not asked, or not
 * about that call, has begun it meanwhile, so it is alive and runs it.
 */
export class Question implements AnswersOfAll {
  /** The process that runs each call, by key, as answered so far. */
  readonly #runners = new Map<string, string>();
  readonly #claimed = new Set<string>();
  readonly #idle = new Set<string>();
  /** The keys of the calls that each process was asked about. */
  readonly #asked: ReadonlyMap<string, readonly string[]>;
  /** Those that all others were asked about. */
  readonly #askedOfAll: readonly string[];
  /** Processes that have not answered. */
  readonly #silent: Set<string>;
  #done = (): void => undefined;
  #hasAnswers = false;
  /** Set if a process that did not answer may live: see `AnswersOfAll`. */
  areDoubtful = false;

  /**
   * `calls`: keys by the address of the process that may run them. `keysOfAll`: those that everyone
   * else is asked about.
   */
  constructor(calls: ReadonlyMap<string, readonly string[]>, keysOfAll: readonly string[] = []) {
    this.#asked = calls;
    this.#askedOfAll = keysOfAll;
    this.#silent = new Set(calls.keys());
  }

  /** The processes that have not answered. */
  get silent(): ReadonlySet<string> {
    return this.#silent;
  }

  /** Whether any process has answered. */
  get hasAnswers(): boolean {
    return this.#hasAnswers;
  }

  /**
   * Resolves when all have answered, but at the latest after 150 ms. If the question `isOpen`, not
   * before: processes that are not known may answer, too.
   */
  answered(isOpen = false): Promise<void> {
    if (!isOpen && this.#silent.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ANSWER_MS);
      if (isOpen) return;
      this.#done = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  readonly isCallRunning = (key: string, process: string | undefined): boolean => {
    if (this.#runners.has(key)) return true;
    if (process === undefined) return false;
    const asked = this.#asked.get(process) ?? this.#askedOfAll;
    return !asked.includes(key) || (this.areDoubtful && this.#silent.has(process));
  };

  readonly runnerOf = (key: string): string | undefined => this.#runners.get(key);

  readonly isIdle = (key: string): boolean => this.#idle.has(key);

  readonly isClaimed = (key: string): boolean => this.#claimed.has(key);

  readonly isAlive = (process: string): boolean => !this.#silent.has(process);

  /** Another process is about to claim that key, and this one lets it go first. */
  letAhead(process: string, key: string): void {
    this.#runners.set(key, process);
  }

  /** A process that was not asked by name may answer, too: a question may go to everyone. */
  answer({ from, calls, claimed, idle }: ToolAnswer): void {
    this.#hasAnswers = true;
    for (const key of calls) this.#runners.set(key, from);
    // A message may have null there.
    for (const key of claimed ?? []) this.#claimed.add(key);
    for (const key of idle ?? []) this.#idle.add(key);
    if (this.#silent.delete(from) && this.#silent.size === 0) this.#done();
  }
}
