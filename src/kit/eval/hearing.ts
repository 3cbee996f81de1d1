import type { Json } from '../../base/json.ts';
import { messageOf } from '../../base/thrown-values.ts';
import { SpokenText, type Heard } from '../platform/spoken-text.ts';
import { spokenIn, type TestEvent } from '../platform/test-wire.ts';
import type { PlayedTurn } from './result.ts';
import { Watchers } from './watchers.ts';

/** A voice that takes one millisecond per word: words are counted, and no time passes. */
const WORDS_PER_MINUTE = 60_000;
const QUIET_MS = 100;

/**
 * The reply to one delivery, as the caller hears it. What was heard is exactly what was read, up to
 * the word at which the reading stopped, so it is the same in each run.
 */
export class Hearing {
  readonly data: Json[] = [];
  ending: PlayedTurn['ending'] = 'whole';
  hangsUp = false;
  /** Why there was no reply. */
  refusal: string | undefined;
  firstWordMs: number | undefined;
  durationMs = 0;
  readonly #isHangUp: (event: TestEvent) => boolean;
  readonly #controller = new AbortController();
  readonly #startedAtMs = performance.now();
  readonly #spoken = new SpokenText(WORDS_PER_MINUTE);
  readonly #watchers = new Watchers();
  #cut: Heard | undefined;
  #stopsAfter = Infinity;
  #isOver = false;

  constructor(isHangUp: (event: TestEvent) => boolean) {
    this.#isHangUp = isHangUp;
  }

  /** Everything that was heard. */
  get text(): string {
    return this.#cut?.text ?? this.#spoken.text;
  }

  /** The number of words in it so far. */
  get words(): number {
    return this.#cut?.words ?? this.#spoken.heardBy(Infinity).words;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Makes the reading pause at that word. 0: as soon as the reply begins. */
  stopAfter(words: number): void {
    this.#stopsAfter = words;
  }

  /** Whether that word has been reached. */
  get isAtStop(): boolean {
    return this.#cut !== undefined;
  }

  /** Reads the events that `open` resolves with. Call it once. */
  read(open: (signal: AbortSignal) => Promise<AsyncIterable<TestEvent>>): void {
    const { signal } = this.#controller;
    const failed = (error: unknown): void => {
      if (signal.aborted || this.ending !== 'whole') return;
      this.ending = 'refused';
      this.refusal = reasonOf(error);
    };
    void this.#readAll(open, signal).catch(failed).finally(() => {
      this.durationMs = performance.now() - this.#startedAtMs;
      this.#isOver = true;
      this.#watchers.changed();
    });
  }

  /**
   * Resolves with true once `isSo` holds, which is checked whenever something arrives; with false
   * after the timeout.
   */
  until(isSo: () => boolean, timeoutMs: number): Promise<boolean> {
    return this.#watchers.until(isSo, timeoutMs);
  }

  /** Leaves the reply and closes its connection. What was heard until then is final. */
  stop(): Heard {
    this.#cut ??= trimmed(this.#spoken.heardBy(Infinity));
    this.#controller.abort();
    return this.#cut;
  }

  /** Resolves once nothing has arrived for a moment: what was sent has been heard. */
  async quiet(): Promise<void> {
    // A local socket takes much less, and nothing says that it is empty.
    const isMore = (): Promise<boolean> => {
      const { length } = this.#spoken.text;
      return this.until(() => this.#isOver || this.#spoken.text.length !== length, QUIET_MS);
    };
    while (!this.#isOver && (await isMore())) continue;
  }

  async #readAll(
    open: (signal: AbortSignal) => Promise<AsyncIterable<TestEvent>>,
    signal: AbortSignal,
  ): Promise<void> {
    for await (const event of await open(signal)) {
      if (this.#cut !== undefined) continue; // the caller does not listen any more
      this.#take(event);
      this.#watchers.changed();
    }
  }

  #take(event: TestEvent): void {
    const piece = spokenIn(event);
    if (piece !== '') {
      this.#spoken.add(piece, 0);
      if (piece.trim() !== '') this.firstWordMs ??= performance.now() - this.#startedAtMs;
      const heard = this.#spoken.heardBy(this.#stopsAfter);
      const isThere = this.firstWordMs !== undefined && heard.words >= this.#stopsAfter;
      if (isThere) this.#cut = trimmed(heard);
    } else if (event.type === 'response.data' || event.type === 'data') {
      this.data.push(event.content as Json);
    } else if (event.type === 'tool_call') {
      this.data.push(event.content as Json); // a transfer, on Chat Completions
    }
    if (this.#isHangUp(event)) this.hangsUp = true;
  }
}

function trimmed({ text, words }: Heard): Heard {
  return { text: text.trimEnd(), words };
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return messageOf(cause);
}
