import type { Awaitable } from '../../base/awaitable.ts';
import { isObject } from '../../base/fields.ts';
import type { Json, JsonObject } from '../../base/json.ts';
import type { CallerSession } from '../platform/caller-session.ts';
import { CompletionSession } from '../platform/completion-session.ts';
import type { ServerFrame } from '../platform/frames.ts';
import { SpokenText } from '../platform/spoken-text.ts';
import { TextSession } from '../platform/text-session.ts';
import type { CallFailure } from './call-failure.ts';
import { wireOf, type CallTarget, type Wire } from './call-target.ts';
import type { KeptCall } from './kept-call.ts';

export interface CallOptions {
  readonly target: CallTarget;
  readonly conversationId: string;
  /** The call that goes on, on LayerCode's wire. Default: a new one. */
  readonly kept?: KeptCall | undefined;
  /** Gets each piece of a reply. If it returns a promise, more is read after that. */
  readonly onText: (piece: string) => Awaitable<unknown>;
  /** Gets the data of a reply. */
  readonly onData: (content: Json) => Awaitable<unknown>;
}

/** How long to wait for the end of the call after a failed turn, or when a person waits. */
export const END_TIMEOUT_MS = 5_000;
/** How often the number of words heard is checked: a few times per word. */
const HEARING_MS = 50;

/** The type of the event that ends a whole reply. */
const LAST_EVENTS = {
  layercode: 'response.end',
  'chat-completions': 'finish',
} as const satisfies Record<Wire, string>;

/** The answer to one event. For a turn it is the reply; other events are answered without words. */
export class Answer {
  /** Everything said so far. */
  text = '';
  readonly data: Json[] = [];
  /** Time from the event to the first word; undefined until there is one. */
  firstWordMs: number | undefined;
  /** Time from the event to the end of the answer. */
  durationMs: number | undefined;
  hangsUp = false;
  /** Whether the caller spoke over it. */
  isInterrupted = false;
  /** Whether the answer is complete or has failed. */
  isOver = false;
  failure: CallFailure | undefined;
  readonly #lastEvent: string | undefined;
  readonly #startedAtMs = performance.now();
  readonly #spoken = new SpokenText();
  readonly #watchers = new Set<() => void>();
  #status: number | undefined;
  /** Whether its last event has arrived. */
  #isWhole = false;

  /** `lastEvent`: the type of the event that ends a reply; undefined if it is not a reply. */
  constructor(lastEvent: string | undefined) {
    this.#lastEvent = lastEvent;
  }

  /** Whether a voice would still be speaking it. */
  get isSpoken(): boolean {
    return (
      !this.isInterrupted
      && this.failure === undefined
      && performance.now() < (this.#spoken.endsAtMs ?? 0)
    );
  }

  /** The number of words in it, and the number that the caller can have heard by now. */
  get words(): { readonly said: number; readonly heard: number } {
    return {
      said: this.#spoken.heardBy(Infinity).words,
      heard: this.#spoken.heardBy(performance.now()).words,
    };
  }

  /**
   * Resolves with true as soon as the condition holds, which is checked whenever something arrives;
   * with false after the timeout.
   */
  until(isSo: () => boolean, timeoutMs = Infinity): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (value: boolean): void => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        resolve(value);
      };
      const watch = (): void => {
        if (isSo()) done(true);
      };
      const timer = timeoutMs === Infinity ? undefined : setTimeout(done, timeoutMs, false);
      this.#watchers.add(watch);
      watch();
    });
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
    const ticker = setInterval(() => this.#changed(), HEARING_MS);
    await this.until(
      () =>
        this.words.heard >= words || (this.isOver && (this.words.said <= words || !this.isSpoken)),
      timeoutMs,
    );
    clearInterval(ticker);
  }

  /** Only for `Call`: handles a frame that belongs to this answer. */
  take(frame: ServerFrame): void {
    if (frame.type === 'local.answer') this.#status = frame.status;
    else if (
      frame.type === 'local.event'
      && isObject(frame.event)
      && frame.event['type'] === this.#lastEvent
    )
      this.#isWhole = true;
    else if (frame.type === 'response.data') this.data.push(frame.content);
    else if (frame.type === 'response.text.delta') {
      this.text += frame.content;
      this.#spoken.add(frame.content, performance.now());
      if (this.text.trim() !== '') this.firstWordMs ??= performance.now() - this.#startedAtMs;
    } else if (frame.type === 'local.over') {
      if (frame.outcome === 'failed') {
        this.failure = { status: this.#status, reason: frame.reason ?? 'no reason is known' };
      }
      else if (frame.outcome === 'ended' && this.#lastEvent !== undefined && !this.#isWhole) {
        this.failure = { status: this.#status, reason: `it ended without ${this.#lastEvent}` };
      }
    }
    this.#changed();
  }

  /** Only for `Call`: nothing more will arrive. */
  close(): void {
    this.isOver = true;
    this.durationMs = performance.now() - this.#startedAtMs;
    this.#changed();
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** A call between a caller at a terminal and an agent. */
export class Call {
  readonly #options: CallOptions;
  readonly #session: CallerSession;
  /** In the order in which their events are posted. */
  readonly #expected: Answer[] = [];
  readonly #byDelivery = new Map<number, Answer>();
  readonly #byTurn = new Map<string, Answer>();
  #reply: Answer | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
    this.#session = this.#open(options);
  }

  /** Begins the call. The answer is the agent's welcome. */
  start(): Answer {
    return this.#ask(true, () => this.#session.start());
  }

  /**
   * Says something, which must not be blank. Interrupts a reply that is still arriving. A complete
   * reply counts as heard, because people read faster than a voice speaks.
   */
  say(text: string): Answer {
    if (this.#reply?.isOver === false) this.interrupt();
    else this.#session.finishPlaying();
    return this.#ask(true, () => this.#session.say(text));
  }

  /** Throws an `Error` if the wire has no such event. */
  data(data: JsonObject): Answer {
    const session = this.#session;
    if (session.data === undefined)
      throw new Error(`the wire ${wireOf(this.#options.target)} has no data`);
    return this.#ask(false, () => session.data?.(data) ?? Promise.resolve());
  }

  /** Ends the call. Call it once. */
  end(): Answer {
    if (this.#reply?.isOver === true) this.#session.finishPlaying();
    return this.#ask(false, () => this.#session.end());
  }

  /** What another process needs to go on with the call. */
  get kept(): KeptCall {
    const { id = '', interruption } = this.#session;
    return { sessionId: id, interruption };
  }

  /** Stops waiting for answers. */
  abandon(): void {
    this.#session.abandon();
  }

  /** Speaks over the reply. Returns false if nobody would be speaking. */
  interrupt(): boolean {
    const reply = this.#reply;
    if (reply === undefined || reply.isInterrupted || (reply.isOver && !reply.isSpoken)) {
      return false;
    }
    this.#session.interrupt();
    reply.isInterrupted = true;
    return true;
  }

  #open({ target, conversationId, kept }: CallOptions): CallerSession {
    const onFrame = (frame: ServerFrame): Awaitable<unknown> => this.#receive(frame);
    const onHangUp = (): void => {
      if (this.#reply !== undefined) this.#reply.hangsUp = true;
    };
    if (target.wire === 'chat-completions') {
      const { webhookUrl: url, ...others } = target;
      return new CompletionSession({ ...others, url, conversationId, onFrame, onHangUp });
    }
    const { webhookUrl, secret, caller } = target;
    return new TextSession({
      grant: {
        agentId: 'terminal',
        conversationId,
        fromPhoneNumber: caller?.from,
        metadata: caller?.metadata,
        customMetadata: undefined,
        customHeaders: {},
      },
      webhookUrl,
      secret,
      isTraced: true,
      id: kept?.sessionId,
      interruption: kept?.interruption,
      onFrame,
      onHangUp,
    });
  }

  #ask(isReply: boolean, post: () => Promise<void>): Answer {
    const answer = new Answer(isReply ? LAST_EVENTS[wireOf(this.#options.target)] : undefined);
    this.#expected.push(answer);
    if (isReply) this.#reply = answer;
    void post().then(() => this.#answered(answer)); // the methods of a session never reject
    return answer;
  }

  #receive(frame: ServerFrame): Awaitable<unknown> {
    if (frame.type === 'local.request') this.#bind(frame.delivery, frame.event['turn_id']);
    const answer =
      'delivery' in frame ? this.#byDelivery.get(frame.delivery) : this.#byTurn.get(frame.turn_id);
    if (answer === undefined) return undefined;
    answer.take(frame);
    if (frame.type === 'response.text.delta') return this.#options.onText(frame.content);
    return frame.type === 'response.data' ? this.#options.onData(frame.content) : undefined;
  }

  #bind(delivery: number, turnId: unknown): void {
    const answer = this.#expected.shift();
    if (answer === undefined) return;
    this.#byDelivery.set(delivery, answer);
    if (typeof turnId === 'string') this.#byTurn.set(turnId, answer);
  }

  #answered(answer: Answer): void {
    for (const index of [this.#byDelivery, this.#byTurn] as readonly Map<unknown, Answer>[]) {
      for (const [key, bound] of index) if (bound === answer) index.delete(key);
    }
    answer.close();
  }
}
