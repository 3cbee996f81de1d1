import { randomUUID } from 'node:crypto';

import { readBody, readText } from '../base/abortable-body.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { isObject } from '../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../base/json.ts';
import { postEvent } from '../wires/layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../wires/layercode/signature.ts';
import { decodeEvents } from '../sse/decode.ts';
import type { ServerFrame, SignatureKind } from './frames.ts';
import type { SessionGrant } from './session-keys.ts';
import { SpokenText } from './spoken-text.ts';

export interface TextSessionOptions {
  /** Who calls, and in which conversation. */
  readonly grant: SessionGrant;
  readonly webhookUrl: string;
  readonly secret: string;
  /**
   * Receives every frame for the front end, in order. If it returns a promise, the rest of the
   * reply is read after that, so back-pressure reaches the agent.
   */
  readonly onFrame: (frame: ServerFrame) => Awaitable<unknown>;
  /** Called when the agent has hung up and its last words have been sent. */
  readonly onHangUp: () => void;
  /** Whether `onFrame` also gets the trace frames. Default false. */
  readonly isTraced?: boolean;
  /**
   * The pace of the voice, which decides how much of a reply can have been heard. Default
   * `WORDS_PER_MINUTE`.
   */
  readonly wordsPerMinute?: number;
}

/**
 * Some clients start their turn three seconds after the last sound. While a reply streams they get
 * a silent audio frame at this interval.
 */
const SILENT_AUDIO_MS = 1_000;
/** Bound for an answer that is not an event stream. */
const MAX_ANSWER_BYTES = 1_048_576;
/**
 * Bounds for the transcript of `session.end`: entries, and UTF-16 code units of text. They keep it
 * below the size of any webhook's body. The oldest entries are dropped.
 */
const MAX_TRANSCRIPT_ENTRIES = 1_000;
const MAX_TRANSCRIPT_LENGTH = 262_144;

/** A type, because an interface is not assignable to JSON. */
type TranscriptEntry = {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly timestamp: number;
  readonly turn_id: string;
};

/** An assistant turn as the caller gets it. */
interface AssistantTurn {
  readonly id: string;
  readonly spoken: SpokenText;
  /** The newest delivery of the turn, which is the one that speaks; undefined when it is over. */
  delivery: AbortController | undefined;
  hasStarted: boolean;
  /** Whether it was read to its end. */
  isWhole: boolean;
  /** Whether the front end has played it to its end, or plays nothing. */
  isPlayed: boolean;
  hangsUp: boolean;
  /** Sent with the next message. */
  interruption: JsonObject | undefined;
  /** What the front end already has when a turn is delivered again: characters and data events. */
  knownText: number;
  knownData: number;
  dataCount: number;
}

/**
 * A caller in text mode. Does what LayerCode does between a front end and the webhook, over signed
 * HTTP. Methods return when their request has been answered, and never reject.
 */
export class TextSession {
  readonly id = randomUUID();
  readonly #options: TextSessionOptions;
  readonly #startedAt = new Date();
  readonly #zeroMs = performance.now();
  readonly #wordsPerMinute: number | undefined;
  readonly #transcript: TranscriptEntry[] = [];
  #turn: AssistantTurn | undefined;
  #lastMessage: JsonObject | undefined;
  #deliveries = 0;
  /** Deliveries that carry no turn. They are aborted at the end of the session. */
  readonly #others = new Set<AbortController>();
  #isOver = false;

  constructor(options: TextSessionOptions) {
    this.#options = options;
    this.#wordsPerMinute = options.wordsPerMinute;
  }

  /** Posts `session.start`. The agent's welcome is an assistant turn. */
  async start(): Promise<void> {
    if (!this.#isOver) {
      await this.#runTurn({ ...this.#event('session.start'), turn_id: randomUUID() });
    }
  }

  /**
   * The caller says something. It is an interruption if a reply is still streaming, or if a voice
   * would still be speaking it.
   */
  async say(text: string): Promise<void> {
    if (this.#isOver || text.trim() === '') return;
    this.interrupt();
    const interruption = this.#turn?.interruption;
    const userTurnId = randomUUID();
    // Not awaited: if another text arrives now, it must find this one's turn already begun.
    void this.#tell({ type: 'turn.start', role: 'user', turn_id: userTurnId });
    void this.#tell({ type: 'user.transcript', content: text, turn_id: userTurnId });
    void this.#tell({ type: 'turn.end', role: 'user', turn_id: userTurnId });
    this.#note({ role: 'user', text, timestamp: Date.now(), turn_id: userTurnId });
    this.#lastMessage = {
      ...this.#event('message'), turn_id: randomUUID(), text,
      ...(interruption === undefined ? {} : { interruption_context: interruption }),
    };
    await this.#runTurn(this.#lastMessage);
  }

  /** The front end sends data for the agent. */
  async data(data: JsonObject): Promise<void> {
    if (!this.#isOver) await this.#deliver({ ...this.#event('data'), turn_id: randomUUID(), data });
  }

  /**
   * The caller begins to speak. Drops the reply's request. The next message says how much of it
   * can have been heard.
   */
  interrupt(): void {
    const turn = this.#turn;
    if (turn === undefined || turn.interruption !== undefined) return;
    const now = this.#now();
    if (turn.delivery === undefined && (turn.isPlayed || now >= (turn.spoken.endsAtMs ?? 0))) {
      return; // the caller heard all of it
    }
    const heard = turn.spoken.heardBy(now);
    turn.interruption = {
      previous_turn_interrupted: true,
      words_heard: heard.words,
      text_heard: heard.text,
      assistant_turn_id: turn.id,
    };
    this.#stop(turn);
    this.#correctTranscript(turn, heard.text);
  }

  /**
   * The front end has played a reply to its end, or plays none. It may say so in the middle of a
   * reply, which does not end it.
   */
  finishPlaying(turnId?: string): void {
    if (this.#turn !== undefined && (turnId === undefined || turnId === this.#turn.id)) {
      this.#turn.isPlayed = true;
    }
  }

  /**
   * Delivers the last message again, under the same `turn_id`. If its reply is still streaming, it
   * continues in the new delivery.
   */
  async redeliver(): Promise<void> {
    const event = this.#lastMessage;
    if (this.#isOver || event === undefined) return;
    const turn = this.#turn?.id === event['turn_id'] ? this.#turn : undefined;
    if (turn?.delivery === undefined) {
      return turn?.isWhole === false ? this.#runTurn(event) : this.#deliver(event);
    }
    turn.knownText = turn.spoken.text.length;
    // An earlier repeat may have got less far.
    turn.knownData = Math.max(turn.knownData, turn.dataCount);
    turn.dataCount = 0;
    await this.#deliver(event, { turn });
  }

  /** The connection breaks in the middle of a reply, and nobody interrupted. */
  drop(): void {
    const turn = this.#turn;
    if (turn?.delivery === undefined) return;
    this.#stop(turn);
    this.#correctTranscript(turn, turn.spoken.text);
  }

  /** Posts the last message, or a greeting, with a signature that must be refused. */
  async forge(signature: Exclude<SignatureKind, 'right'>): Promise<void> {
    if (this.#isOver) return;
    await this.#deliver(
      {
        ...(this.#lastMessage ?? { ...this.#event('message'), text: 'Hello' }),
        turn_id: randomUUID(),
      },
      { signature },
    );
  }

  /** Drops the reply that is streaming and posts `session.end`, once. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.interrupt();
    for (const delivery of this.#others) delivery.abort();
    this.#isOver = true;
    const endedAt = new Date();
    await this.#deliver({
      ...this.#event('session.end'),
      agent_id: this.#options.grant.agentId,
      started_at: this.#startedAt.toISOString(),
      ended_at: endedAt.toISOString(),
      duration: endedAt.getTime() - this.#startedAt.getTime(),
      transcription_duration_seconds: null,
      tts_duration_seconds: null,
      latency: null,
      ip_address: null,
      country_code: null,
      recording_status: 'disabled',
      transcript: [...this.#transcript],
    });
  }

  /** Stops waiting for answers: an open request would keep the process alive. */
  abandon(): void {
    this.#turn?.delivery?.abort();
    for (const delivery of this.#others) delivery.abort();
  }

  /**
   * The number of the delivery that made this request; undefined if it is not from this session.
   */
  deliveryOf(requestId: string): number | undefined {
    return requestId.startsWith(`${this.id}-`)
      ? Number(requestId.slice(this.id.length + 1))
      : undefined;
  }

  #event(type: string): JsonObject {
    const { conversationId, fromPhoneNumber, metadata, customMetadata } = this.#options.grant;
    return {
      type,
      session_id: this.id,
      conversation_id: conversationId,
      ...(fromPhoneNumber === undefined ? {} : { from_phone_number: fromPhoneNumber }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(customMetadata === undefined ? {} : { custom_metadata: customMetadata }),
    };
  }

  async #runTurn(event: JsonObject): Promise<void> {
    const turn: AssistantTurn = {
      id: String(event['turn_id']),
      spoken: new SpokenText(this.#wordsPerMinute),
      delivery: undefined,
      hasStarted: false,
      isWhole: false,
      isPlayed: false,
      hangsUp: false,
      interruption: undefined,
      knownText: 0,
      knownData: 0,
      dataCount: 0,
    };
    this.#turn = turn;
    await this.#deliver(event, { turn });
  }

  /**
   * Makes one POST. `turn` is the turn that gets the reply; without it the answer is only traced.
   */
  async #deliver(
    event: JsonObject,
    {
      turn,
      signature = 'right',
    }: { readonly turn?: AssistantTurn; readonly signature?: SignatureKind } = {},
  ): Promise<void> {
    const delivery = ++this.#deliveries;
    const controller = new AbortController();
    if (turn !== undefined) turn.delivery = controller;
    else this.#others.add(controller);
    let outcome: 'ended' | 'dropped' | 'failed' = 'ended';
    let reason: string | undefined;
    try {
      await this.#trace({ type: 'local.request', delivery, at: this.#at(), signature, event });
      const body = JSON.stringify(event);
      const { webhookUrl, secret, grant } = this.#options;
      const forged = forge(signature, body, secret);
      const response = await postEvent(webhookUrl, body, {
        secret,
        headers: { ...grant.customHeaders, 'x-request-id': `${this.id}-${delivery}` },
        signal: controller.signal,
        ...(forged === undefined ? {} : { signature: forged }),
      });
      await this.#trace({
        type: 'local.answer',
        delivery,
        at: this.#at(),
        status: response.status,
      });
      if (response.headers.get('content-type')?.split(';', 1)[0]?.trim() === 'text/event-stream') {
        for await (const { data } of decodeEvents(readBody(response, controller.signal))) {
          const said = JSON.parse(data) as Json;
          await this.#trace({ type: 'local.event', delivery, at: this.#at(), event: said });
          if (turn?.delivery === controller && isObject(said)) {
            await this.#speak(turn, said as JsonObject);
          }
        }
        if (turn?.delivery === controller) turn.isWhole = true;
      } else {
        const answer = bodyOf(await readText(response, controller.signal, MAX_ANSWER_BYTES));
        await this.#trace({ type: 'local.event', delivery, at: this.#at(), event: answer });
        if (!response.ok) {
          outcome = 'failed';
          const error = isObject(answer) ? answer['error'] : undefined;
          reason = `${response.status} ${typeof error === 'string' ? error : ''}`.trimEnd();
        }
      }
    } catch (error) {
      outcome = controller.signal.aborted ? 'dropped' : 'failed';
      if (outcome === 'failed') reason = reasonOf(error);
    }
    this.#others.delete(controller);
    const isLast = turn?.delivery === controller;
    if (isLast) await this.#finish(turn);
    await this.#trace({
      type: 'local.over',
      delivery,
      at: this.#at(),
      outcome,
      ...(reason === undefined ? {} : { reason }),
    });
    if (!isLast || !turn.hangsUp) return;
    turn.isPlayed = true; // the last words are spoken before the line is cut
    this.#options.onHangUp();
  }

  async #speak(turn: AssistantTurn, event: JsonObject): Promise<void> {
    const { type, content } = event;
    if (type === 'response.tts' && typeof content === 'string') {
      const text = content.slice(turn.knownText);
      turn.knownText -= content.length - text.length;
      if (text === '') return;
      turn.spoken.add(text, this.#now());
      await this.#startTurn(turn);
      await this.#tell({ type: 'response.text.delta', content: text, turn_id: turn.id });
    } else if (type === 'response.data') {
      turn.dataCount += 1;
      if (turn.dataCount > turn.knownData) {
        await this.#tell({ type: 'response.data', content: content ?? null, turn_id: turn.id });
      }
    } else if (type === 'response.hangup') turn.hangsUp = true;
  }

  /** Sent with the first text, not earlier: clients measure the wait for the voice from here. */
  async #startTurn(turn: AssistantTurn): Promise<void> {
    if (turn.hasStarted) return;
    turn.hasStarted = true;
    const ticker = setInterval(() => {
      if (turn.delivery === undefined) clearInterval(ticker);
      else
        void this.#tell({
          type: 'response.audio',
          content: '',
          delta_id: randomUUID(),
          turn_id: turn.id,
        });
    }, SILENT_AUDIO_MS);
    ticker.unref();
    await this.#tell({ type: 'turn.start', role: 'assistant', turn_id: turn.id });
  }

  /** Call it when the reply is complete or has broken off. */
  async #finish(turn: AssistantTurn): Promise<void> {
    turn.delivery = undefined;
    const { text } = turn.spoken;
    await this.#startTurn(turn); // a silent turn has a beginning and an end too
    if (text !== '') {
      this.#note({ role: 'assistant', text, timestamp: Date.now(), turn_id: turn.id });
      await this.#tell({ type: 'response.text', content: text, turn_id: turn.id });
    }
    await this.#tell({ type: 'response.end', turn_id: turn.id });
    await this.#tell({ type: 'turn.end', role: 'assistant', turn_id: turn.id });
  }

  /** Drops the turn's request. Nothing that still arrives is passed on. */
  #stop(turn: AssistantTurn): void {
    const { delivery } = turn;
    if (delivery === undefined) return;
    turn.delivery = undefined;
    delivery.abort();
    if (turn.hasStarted) void this.#tell({ type: 'turn.end', role: 'assistant', turn_id: turn.id });
  }

  #note(entry: TranscriptEntry): void {
    this.#transcript.push(entry);
    let length = this.#transcript.reduce((sum, { text }) => sum + text.length, 0);
    while (
      this.#transcript.length > MAX_TRANSCRIPT_ENTRIES
      || (length > MAX_TRANSCRIPT_LENGTH && this.#transcript.length > 1)
    ) {
      length -= this.#transcript.shift()?.text.length ?? 0;
    }
  }

  /** Corrects the transcript to what was heard. */
  #correctTranscript(turn: AssistantTurn, text: string): void {
    const index = this.#transcript.findIndex((entry) => entry.turn_id === turn.id);
    if (index !== -1) this.#transcript.splice(index, 1);
    if (text !== '') {
      this.#note({ role: 'assistant', text, timestamp: Date.now(), turn_id: turn.id });
    }
  }

  #tell(frame: ServerFrame): Awaitable<unknown> {
    return this.#options.onFrame(frame);
  }

  #trace(frame: ServerFrame): Awaitable<unknown> {
    return this.#options.isTraced === true ? this.#options.onFrame(frame) : undefined;
  }

  /** Milliseconds since the session began. */
  #now(): number {
    return performance.now() - this.#zeroMs;
  }

  /** The same, rounded to a tenth, for the trace. */
  #at(): number {
    return Math.round(this.#now() * 10) / 10;
  }
}

/** A signature header that a correct server refuses. Undefined for the right one. */
function forge(kind: SignatureKind, body: string, secret: string): string | undefined {
  if (kind === 'right') return undefined;
  if (kind === 'wrong') return signPayload(body, `${secret}-another`);
  return signPayload(body, secret, {
    time: Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1,
  });
}

function bodyOf(text: string): Json {
  const value = parseJson(text);
  return value === undefined ? text.slice(0, 1_000) : value; // usually a proxy's page
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error
    ? cause.message || String('code' in cause ? cause.code : cause.name)
    : String(cause);
}
