import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import type { Json } from '../../base/json.ts';
import type { OutgoingDelivery } from './delivery.ts';
import type { DeliveryEnd } from './frames.ts';
import { SimulatedVoice, type Heard } from './simulated-voice.ts';
import type { Meaning, TestEvent, TestWire } from './test-wire.ts';
import { Watchers } from './watchers.ts';

/** A caller who reads: whatever has arrived has been heard, without any time passing. */
export const AT_ONCE = Infinity;
/** How often the number of words heard is checked: a few times per word. */
const HEARING_MS = 50;

export interface CallFailure {
  /** Undefined if there was no answer at all. */
  readonly status: number | undefined;
  /** In the words of the server or of the network. */
  readonly reason: string;
}

interface CallerTurnOptions {
  readonly wire: Pick<TestWire, 'meaningOf' | 'lastEvent'>;
  /** The turn's id on the wire, if the wire has ids. */
  readonly id?: string | undefined;
  /** The pace of the voice. Default: that of an ordinary voice. */
  readonly wordsPerMinute?: number | undefined;
  /**
   * Gets each piece of the reply. If it returns a promise, reading goes on once that has resolved.
   */
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
  endsCallBy: Meaning['endsCallBy'];
  /**
   * The delivery that speaks: the newest one. Undefined once it is over, or the caller has left.
   */
  delivery: OutgoingDelivery | undefined;
  /** What was heard of the reply, if the caller spoke over it. */
  cut: Heard | undefined;
  /** Whether the front end has played the reply to its end, or plays nothing. */
  isPlayed = false;
  /** Time from the request to the first word; undefined before that. */
  firstWordMs: number | undefined;
  /** Time from the request to the end of the answer. */
  durationMs: number | undefined;
  failure: CallFailure | undefined;
  /** Whether the reply's last event has arrived. */
  isWhole = false;
  readonly #options: CallerTurnOptions;
  readonly #spoken: SimulatedVoice;
  readonly #startedAtMs = performance.now();
  readonly #watchers = new Watchers();
  #pausesAt = Infinity;
  /** What was heard up to that pause. */
  #pause: Heard | undefined;
  /** What the caller already has when a turn is delivered again: characters and data. */
  #knownText = 0;
  #knownData = 0;

  constructor(options: CallerTurnOptions) {
    this.#options = options;
    this.id = options.id ?? '';
    this.#spoken = new SimulatedVoice(options.wordsPerMinute);
  }

  /** Everything that was said, heard or not. */
  get text(): string {
    return this.#spoken.text;
  }

  /** What was heard of the reply: all of it, unless the caller stopped listening. */
  get heard(): string {
    return (this.cut ?? this.#pause)?.text ?? this.text;
  }

  /** The number of words in the reply, and how many of them the caller can have heard by now. */
  get words(): { readonly said: number; readonly heard: number } {
    return { said: this.#spoken.words, heard: this.#heardByNow.words };
  }

  get #heardByNow(): Heard {
    return this.cut ?? this.#pause ?? this.#spoken.heardBy(performance.now());
  }

  /** Whether the answer is complete or has failed. */
  get isOver(): boolean {
    return this.durationMs !== undefined;
  }

  /**
   * Whether the caller is listening: the reply is still arriving, or a voice is still speaking it.
   */
  get isHeard(): boolean {
    if (this.cut !== undefined) return false;
    if (this.delivery !== undefined) return true;
    const isSpeaking = this.isPaused || performance.now() < (this.#spoken.endsAtMs ?? 0);
    return isSpeaking && !this.isPlayed;
  }

  /** Whether the word of `pauseAt` has been reached. */
  get isPaused(): boolean {
    return this.#pause !== undefined;
  }

  /** Whether what is still arriving goes unheard. */
  get #isLeft(): boolean {
    return this.cut !== undefined || this.isPaused;
  }

  async take(event: TestEvent): Promise<void> {
    if (this.#isLeft || !isObject(event)) return;
    const { wire } = this.#options;
    if (event.type === wire.lastEvent) this.isWhole = true;
    const { text = '', data, endsCallBy } = wire.meaningOf(event);
    this.endsCallBy ??= endsCallBy;
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
    if (this.firstWordMs !== undefined && this.#spoken.words >= this.#pausesAt)
      this.#pause = this.#spoken.first(this.#pausesAt);
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

  /** The reply is about to arrive again from its beginning: what is known is not taken twice. */
  expectRepeat(): void {
    this.#knownText = this.text.length;
    this.#knownData = this.data.length;
  }

  /** Nothing more will arrive. */
  settle(end: DeliveryEnd, status: number | undefined): void {
    const { wire: { lastEvent }, isReply = true } = this.#options;
    if (end.outcome === 'failed') this.failure = { status, reason: end.reason };
    else if (end.outcome === 'ended' && isReply && !this.isWhole && !this.#isLeft)
      this.failure = { status, reason: `it ended without ${lastEvent}` };
    this.delivery = undefined;
    this.durationMs ??= performance.now() - this.#startedAtMs;
    this.#watchers.changed();
  }

  /** What arrives after this many words is not heard. 0: as soon as the reply begins. */
  pauseAt(words: number): void {
    this.#pausesAt = words;
  }

  /** The caller leaves the reply, and its connection is closed. No more of it is heard. */
  stop(): Heard {
    const { text, words } = this.#heardByNow;
    this.cut = { text: text.trimEnd(), words };
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

  /** Whether the answer is over within this time. */
  over(timeoutMs?: number): Promise<boolean> {
    return this.until(() => this.isOver, timeoutMs);
  }

  /**
   * Listens to this many words; with 0, until the reply begins. A caller who reads pauses there;
   * one who listens waits for the voice. False if the reply has fewer words, or the voice has
   * stopped.
   */
  async hear(words: number, timeoutMs: number): Promise<boolean> {
    const isReading = this.#options.wordsPerMinute === AT_ONCE;
    if (isReading) this.pauseAt(words);
    const isThere = (): boolean => isReading
      ? this.isPaused
      : this.firstWordMs !== undefined && this.words.heard >= words;
    // Arrival says nothing about hearing: a voice takes its time.
    const ticker = setInterval(this.#watchers.changed, HEARING_MS);
    await this.until(
      () => isThere() || (this.isOver && (this.words.said <= words || !this.isHeard)),
      timeoutMs,
    );
    clearInterval(ticker);
    return isThere() && this.isHeard;
  }
}
