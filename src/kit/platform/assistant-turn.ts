import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import type { OutgoingDelivery } from './delivery.ts';
import type { ServerFrame } from './frames.ts';
import { SpokenText } from './spoken-text.ts';

/**
 * Some clients start their turn three seconds after the last sound. While a reply streams they get
 * a silent audio frame at this interval.
 */
const SILENT_AUDIO_MS = 1_000;

/** A reply as the caller gets it. */
export class AssistantTurn {
  readonly id: string;
  /** The newest delivery of the turn, which is the one that speaks; undefined when it is over. */
  delivery: OutgoingDelivery | undefined;
  /** Whether it was read to its end. */
  isWhole = false;
  /** Whether the front end has played it to its end, or plays nothing. */
  isPlayed = false;
  hangsUp = false;
  readonly #spoken: SpokenText;
  readonly #tell: (frame: ServerFrame) => Awaitable<unknown>;
  #hasStarted = false;
  #interruption: JsonObject | undefined;
  /** What the front end already has when a turn is delivered again: characters and data events. */
  #knownText = 0;
  #knownData = 0;
  #dataCount = 0;

  constructor(
    id: string,
    wordsPerMinute: number | undefined,
    tell: (frame: ServerFrame) => Awaitable<unknown>,
  ) {
    this.id = id;
    this.#spoken = new SpokenText(wordsPerMinute);
    this.#tell = tell;
  }

  get text(): string {
    return this.#spoken.text;
  }

  /** Sent with the next message if the turn was interrupted. */
  get interruption(): JsonObject | undefined {
    return this.#interruption;
  }

  async take({ type, content }: JsonObject): Promise<void> {
    if (type === 'response.tts' && typeof content === 'string') {
      const text = content.slice(this.#knownText);
      this.#knownText -= content.length - text.length;
      if (text === '') return;
      this.#spoken.add(text, performance.now());
      await this.#start();
      await this.#tell({ type: 'response.text.delta', content: text, turn_id: this.id });
    } else if (type === 'response.data') {
      this.#dataCount += 1;
      if (this.#dataCount <= this.#knownData) return;
      await this.#tell({ type: 'response.data', content: content ?? null, turn_id: this.id });
    } else if (type === 'response.hangup') this.hangsUp = true;
  }

  /** The turn is delivered again: what it said so far is not passed on twice. */
  expectRepeat(): void {
    this.#knownText = this.text.length;
    // An earlier repeat may have got less far.
    this.#knownData = Math.max(this.#knownData, this.#dataCount);
    this.#dataCount = 0;
  }

  /** Call it when the reply is complete or has broken off. */
  async finish(): Promise<void> {
    this.delivery = undefined;
    await this.#start(); // a silent turn has a beginning and an end too
    if (this.text !== '') {
      await this.#tell({ type: 'response.text', content: this.text, turn_id: this.id });
    }
    await this.#tell({ type: 'response.end', turn_id: this.id });
    await this.#tellEnd();
  }

  /**
   * The caller speaks over it. Returns what can have been heard; undefined if that was all of it,
   * or if it had been interrupted before.
   */
  interrupt(): string | undefined {
    if (this.#interruption !== undefined) return undefined;
    const now = performance.now();
    const isSpeaking = !this.isPlayed && now < (this.#spoken.endsAtMs ?? 0);
    if (this.delivery === undefined && !isSpeaking) return undefined;
    const { words, text } = this.#spoken.heardBy(now);
    this.#interruption = {
      previous_turn_interrupted: true,
      words_heard: words,
      text_heard: text,
      assistant_turn_id: this.id,
    };
    this.drop();
    return text;
  }

  /** Drops the request: nothing that still arrives is passed on. Returns false if it was over. */
  drop(): boolean {
    const { delivery } = this;
    if (delivery === undefined) return false;
    this.delivery = undefined;
    delivery.drop();
    if (this.#hasStarted) void this.#tellEnd();
    return true;
  }

  #tellEnd(): Awaitable<unknown> {
    return this.#tell({ type: 'turn.end', role: 'assistant', turn_id: this.id });
  }

  /** Called at the first text, not earlier: clients measure the wait for the voice from here. */
  async #start(): Promise<void> {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    const ticker = setInterval(() => {
      if (this.delivery === undefined) return clearInterval(ticker);
      const delta = { content: '', delta_id: randomUUID(), turn_id: this.id } as const;
      void this.#tell({ type: 'response.audio', ...delta });
    }, SILENT_AUDIO_MS).unref();
    await this.#tell({ type: 'turn.start', role: 'assistant', turn_id: this.id });
  }
}
