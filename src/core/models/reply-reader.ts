import { SseDecoder, type DecodedEvent } from '../../base/sse/decode.ts';
import type { ModelAccess } from './failure.ts';
import { ModelError, type ModelDelta } from './model.ts';
import type { ReplyAssembler } from './reply-assembler.ts';
import type { RequestClock } from './timeouts.ts';
import { dropped, type BodyReader } from './vendor-request.ts';

/** Longest event, in UTF-16 code units. More than the longest arguments of a tool call. */
const MAX_EVENT_LENGTH = 1_048_576;

/** Reads one reply from the body of a model's answer. */
export class ReplyReader {
  readonly #body: BodyReader;
  readonly #access: ModelAccess;
  readonly #reply: ReplyAssembler;
  readonly #clock: RequestClock;
  readonly #decoder = new SseDecoder(MAX_EVENT_LENGTH);
  #progress = 0;
  #firstDeltaAt: number | undefined;
  #isOver = false;

  /** Starts the clock for the first delta. */
  constructor(
    body: BodyReader,
    access: ModelAccess,
    reply: ReplyAssembler,
    clock: RequestClock,
  ) {
    this.#body = body;
    this.#access = access;
    this.#reply = reply;
    this.#clock = clock;
    clock.start('firstDelta');
  }

  /** Whether the whole reply has been read. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the first text or tool call has come. */
  get hasBegun(): boolean {
    return this.#firstDeltaAt !== undefined;
  }

  /** The time of the first text or tool call. Before that, the current time. */
  get firstDeltaAt(): number {
    return this.#firstDeltaAt ?? performance.now();
  }

  /**
   * Waits for more bytes, and returns the deltas in them, which must all be taken before the next
   * call. They are made one by one as they are taken, so the first ones are good even if what
   * follows is broken. Both reading and taking may throw a `ModelError`.
   */
  async read(): Promise<Iterable<ModelDelta>> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = (await this.#body.read()).value;
    } catch (cause) {
      // Once the model has finished, a late trailer or a broken connection does no damage.
      if (!this.#reply.isFinished || !this.#reply.isUseful) throw dropped(this.#access, cause);
    }
    this.#isOver = bytes === undefined;
    // Some servers omit the blank line after their last event.
    return this.#deltas(bytes === undefined ? this.#decoder.unfinished() : this.#decode(bytes));
  }

  *#deltas(events: readonly DecodedEvent[]): Generator<ModelDelta, void, undefined> {
    const reply = this.#reply;
    for (const event of events) {
      const deltas = reply.push(event);
      if (!reply.isUseful) continue;
      this.#firstDeltaAt ??= performance.now();
      if (deltas.length === 0) continue;
      this.#clock.stop();
      yield* deltas;
    }
    this.#isOver ||= reply.isDone;
    if (this.#isOver) yield* this.#end();
    else this.#keepTime();
  }

  *#end(): Generator<ModelDelta, void, undefined> {
    if (!this.#reply.isFinished) throw dropped(this.#access);
    const deltas = this.#reply.end();
    this.#firstDeltaAt ??= performance.now();
    this.#clock.stop();
    yield* deltas;
  }

  /** A keep-alive proves that the connection is alive, not that the model is. */
  #keepTime(): void {
    const reply = this.#reply;
    if (this.#progress === reply.progress) return;
    this.#progress = reply.progress;
    if (reply.isUseful) this.#clock.start(reply.isClosing ? 'trailer' : 'idle');
  }

  #decode(bytes: Uint8Array): readonly DecodedEvent[] {
    try {
      return this.#decoder.push(bytes);
    } catch (cause) {
      const longest = `more than ${MAX_EVENT_LENGTH} characters`;
      const message = `${this.#access.name} sent an event of ${longest}`;
      throw new ModelError('reply_too_large', message, { cause });
    }
  }
}
