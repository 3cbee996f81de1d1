import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import type { Json } from '../../base/json.ts';
import type { DeliveryEnd } from './delivery-frames.ts';
import type { Delivery } from './delivery.ts';
import { SpokenText, type Heard } from './spoken-text.ts';
import type { Meaning, TestEvent, TestWire } from './test-wire.ts';
import { Watchers } from './watchers.ts';

/** A caller who reads: what has arrived was heard, and no time passes. */
export const AT_ONCE = Infinity;
/** How often the number of words heard is checked: a few times per word. */
const HEARING_MS = 50;

export interface CallFailure {
  /** Undefined if there was no answer at all. */
  readonly status: number | undefined;
  /** In the words of the server or of the network. */
  readonly reason: string;
}

export interface CallerTurnOptions {
  readonly wire: Pick<TestWire, 'meaningOf' | 'lastEvent'>;
  /** On the wire, if it has one. */
  readonly id?: string | undefined;
  /** The pace of the voice. Default: that of an ordinary one. */
  readonly wordsPerMinute?: number | undefined;
  /** Gets each piece of the reply. If it returns a promise, more is read after that. */
  readonly onText?: (piece: string, turn: CallerTurn) => Awaitable<unknown>;
  /** Gets the data of the reply. */
  readonly onData?: (content: Json, turn: CallerTurn) => Awaitable<unknown>;
  /** False for an event that is answered without words. Default true. */
  readonly isReply?: boolean;
}

/** A reply as the caller gets it: what they hear of it, and how it ends. */
export class CallerTurn {
  readonly id: string;
  readonly data: Json[] = [];
  /** How the agent ends the call. */
  leaves: Meaning['leaves'];
  /** The delivery that speaks: the newest one. Undefined once it is over, or the caller left. */
  delivery: Delivery | undefined;
  /** What was heard of it, if the caller spoke over it or stopped listening. */
  cut: Heard | undefined;
  /** Whether the front end has played it to its end, or plays nothing. */
  isPlayed = false;
  /** Time from the request to the first word; undefined until there is one. */
  firstWordMs: number | undefined;
  /** Time from the request to the end of the answer. */
  durationMs: number | undefined;
  failure: CallFailure | undefined;
  /** Whether its last event has arrived. */
  isWhole = false;
  readonly #options: CallerTurnOptions;
  readonly #spoken: SpokenText;
  readonly #startedAtMs = performance.now();
  readonly #watchers = new Watchers();
  #stopsAfter = Infinity;
  /** What the caller already has when a turn is delivered again: characters and data. */
  #knownText = 0;
  #knownData = 0;

  constructor(options: CallerTurnOptions) {
    this.#options = options;
    this.id = options.id ?? '';
    this.#spoken = new SpokenText(options.wordsPerMinute);
  }

  /** Everything that was said, heard or not. */
  get text(): string {
    return this.#spoken.text;
  }

  /** What was heard of it; all of it, as long as nobody stops listening. */
  get heard(): string {
    return this.cut?.text ?? this.text;
  }

  /** The number of words in it, and the number that the caller can have heard by now. */
  get words(): { readonly said: number; readonly heard: number } {
    const heard = this.cut ?? this.#spoken.heardBy(performance.now());
    return { said: this.#spoken.words, heard: heard.words };
  }

  /** Whether the answer is complete or has failed. */
  get isOver(): boolean {
    return this.durationMs !== undefined;
  }

  /** Whether it has arrived in part or a voice would still be speaking it, to somebody. */
  get isHeard(): boolean {
    if (this.cut !== undefined) return false;
    return this.delivery !== undefined
      || (!this.isPlayed && performance.now() < (this.#spoken.endsAtMs ?? 0));
  }

  /** Takes the next event of the delivery. */
  async take(event: TestEvent): Promise<void> {
    if (this.cut !== undefined || !isObject(event)) return; // the caller does not listen any more
    const { wire } = this.#options;
    if (event.type === wire.lastEvent) this.isWhole = true;
    const { text = '', data, leaves } = wire.meaningOf(event);
    this.leaves ??= leaves;
    const told = [this.#takeText(text), this.#takeData(data)];
    this.#watchers.changed();
    await Promise.all(told);
  }

  #takeText(content: string): Awaitable<unknown> {
    const piece = content.slice(this.#knownText);
    this.#knownText -= content.length - piece.length;
    if (piece === '') return undefined;
    this.#spoken.add(piece, performance.now());
    if (this.text.trim() !== '') this.firstWordMs ??= performance.now() - this.#startedAtMs;
    if (this.firstWordMs !== undefined && this.#spoken.words >= this.#stopsAfter)
      this.cut = trimmed(this.#spoken.first(this.#stopsAfter));
    return this.#options.onText?.(piece, this);
  }

  #takeData(content: Json | undefined): Awaitable<unknown> {
    if (content === undefined) return undefined;
    if (this.#knownData > 0) {
      this.#knownData -= 1;
      return undefined;
    }
    this.data.push(content);
    return this.#options.onData?.(content, this);
  }

  /** It is delivered again from its beginning: what is known is not taken twice. */
  expectRepeat(): void {
    this.#knownText = this.text.length;
    this.#knownData = this.data.length;
  }

  /** Nothing more will arrive. */
  settle(end: DeliveryEnd, status: number | undefined): void {
    const { wire: { lastEvent }, isReply = true } = this.#options;
    if (end.outcome === 'failed') this.failure = { status, reason: end.reason };
    else if (end.outcome === 'ended' && isReply && !this.isWhole && this.cut === undefined)
      this.failure = { status, reason: `it ended without ${lastEvent}` };
    this.delivery = undefined;
    this.durationMs ??= performance.now() - this.#startedAtMs;
    this.#watchers.changed();
  }

  /** The caller stops listening at that word. 0: as soon as the reply begins. */
  stopAfter(words: number): void {
    this.#stopsAfter = words;
  }

  /** The caller leaves the reply, and its connection is closed. What was heard is final. */
  stop(): Heard {
    this.cut ??= trimmed(this.#spoken.heardBy(performance.now()));
    this.drop();
    return this.cut;
  }

  /** Closes the connection. Returns false if the reply was over. */
  drop(): boolean {
    const { delivery } = this;
    this.delivery = undefined;
    delivery?.drop();
    return delivery !== undefined;
  }

  /**
   * Resolves with true once `isSo` holds, which is checked whenever something arrives; with false
   * after the timeout, if there is one.
   */
  until(isSo: () => boolean, timeoutMs?: number): Promise<boolean> {
    return this.#watchers.until(isSo, timeoutMs);
  }

  /** Whether it is over within this time. */
  over(timeoutMs?: number): Promise<boolean> {
    return this.until(() => this.isOver, timeoutMs);
  }

  /**
   * Waits until the caller can have heard this many words. Stops earlier if the reply ends with
   * fewer, or if the voice has stopped.
   */
  async hearing(words: number, timeoutMs: number): Promise<void> {
    // Arrival says nothing about hearing: a voice takes its time.
    const ticker = setInterval(this.#watchers.changed, HEARING_MS);
    const isDone = (): boolean => {
      const { said, heard } = this.words;
      return heard >= words || (this.isOver && (said <= words || !this.isHeard));
    };
    await this.until(isDone, timeoutMs);
    clearInterval(ticker);
  }
}

function trimmed({ text, words }: Heard): Heard {
  return { text: text.trimEnd(), words };
}
