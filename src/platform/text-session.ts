import { randomUUID } from 'node:crypto';

import { readBody } from '../base/abortable-body.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { isObject, type Json, type JsonObject } from '../layercode/fields.ts';
import { postEvent } from '../layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../layercode/signature.ts';
import { decodeEvents } from '../sse/decode.ts';
import type { ServerFrame, SignatureKind } from './frames.ts';
import type { SessionGrant } from './session-keys.ts';
import { SpokenText } from './spoken-text.ts';

export interface TextSessionOptions {
  /** Who calls, and in which conversation. */
  readonly grant: SessionGrant;
  readonly webhookUrl: string;
  readonly secret: string;
  /** What the front end is told, in order. A promise is waited for before more of the reply is read: back-pressure reaches the agent. */
  readonly onFrame: (frame: ServerFrame) => Awaitable<unknown>;
  /** The agent hung up: its last words have been told. */
  readonly onHangUp: () => void;
  /** Whether `onFrame` gets the trace frames too. Default false. */
  readonly isTraced?: boolean;
  /** At which a voice would speak, for what can have been heard of a reply. Default `WORDS_PER_MINUTE`. */
  readonly wordsPerMinute?: number;
}

/** Some clients take their turn three seconds after the last sound: they get one without sound at this pace while a reply streams. */
const SILENT_AUDIO_MS = 1_000;
/** Of an answer that is no event stream. */
const MAX_ANSWER_BYTES = 1_048_576;
/** Of `session.end`, in entries and in UTF-16 code units of their texts, which is less than any webhook's body; beyond them the oldest go. */
const MAX_TRANSCRIPT_ENTRIES = 1_000;
const MAX_TRANSCRIPT_LENGTH = 262_144;

/** A type and no interface: those are not assignable to JSON. */
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
  /** The newest of the turn's deliveries, the one that speaks; undefined when it is over. */
  delivery: AbortController | undefined;
  hasStarted: boolean;
  /** Whether it was read to its end. */
  isWhole: boolean;
  /** Whether the front end has played it to its end, or plays nothing. */
  isPlayed: boolean;
  hangsUp: boolean;
  /** For the next message. */
  interruption: JsonObject | undefined;
  /** What a repeated delivery will send again, and the front end has: characters, and data events. */
  knownText: number;
  knownData: number;
  dataCount: number;
}

/**
 * A caller in text mode: what LayerCode does between a front end and the webhook, over HTTP and signed. Methods return when what they
 * posted has been answered; none rejects.
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
  /** Those that carry no turn, for the end of the session. */
  readonly #others = new Set<AbortController>();
  #isOver = false;

  constructor(options: TextSessionOptions) {
    this.#options = options;
    this.#wordsPerMinute = options.wordsPerMinute;
  }

  /** Posts `session.start`; the agent's welcome is an assistant turn. */
  async start(): Promise<void> {
    if (!this.#isOver) {
      await this.#runTurn({ ...this.#event('session.start'), turn_id: randomUUID() });
    }
  }

  /** The caller says something. Over a reply that streams, or that a voice would still be speaking, it is an interruption. */
  async say(text: string): Promise<void> {
    if (this.#isOver || text.trim() === '') return;
    this.interrupt();
    const interruption = this.#turn?.interruption;
    const userTurnId = randomUUID();
    // Not awaited: a text that comes meanwhile must find this one's turn begun.
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

  /** The caller begins to speak. The reply's request is dropped; what can have been heard of it goes with the next message. */
  interrupt(): void {
    const turn = this.#turn;
    if (turn === undefined || turn.interruption !== undefined) return;
    const now = this.#now();
    if (turn.delivery === undefined && (turn.isPlayed || now >= (turn.spoken.endsAtMs ?? 0))) {
      return; // all of it was heard
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

  /** The front end has played a reply to its end, or plays none. It may say so in mid-reply, which ends nothing. */
  finishPlaying(turnId?: string): void {
    if (this.#turn !== undefined && (turnId === undefined || turnId === this.#turn.id)) {
      this.#turn.isPlayed = true;
    }
  }

  /** Delivers the last message once more, under its `turn_id`: while its reply streams, that goes on in the newer delivery. */
  async redeliver(): Promise<void> {
    const event = this.#lastMessage;
    if (this.#isOver || event === undefined) return;
    const turn = this.#turn?.id === event['turn_id'] ? this.#turn : undefined;
    if (turn?.delivery === undefined) {
      return turn?.isWhole === false ? this.#runTurn(event) : this.#deliver(event);
    }
    turn.knownText = turn.spoken.text.length;
    turn.knownData = Math.max(turn.knownData, turn.dataCount); // a delivery before this one may not have come so far again
    turn.dataCount = 0;
    await this.#deliver(event, { turn });
  }

  /** The connection breaks in mid-reply, and nobody has interrupted. */
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

  /** Drops what streams and posts `session.end`, once. */
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

  /** Waits for no answer any more: what is still open would keep the process alive. */
  abandon(): void {
    this.#turn?.delivery?.abort();
    for (const delivery of this.#others) delivery.abort();
  }

  /** Which delivery a request was; undefined for one of somebody else. */
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

  /** One POST. `turn`: whose reply it carries; without one the answer is for the trace alone. */
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
        const answer = parseJson(await readText(readBody(response, controller.signal)));
        await this.#trace({ type: 'local.event', delivery, at: this.#at(), event: answer });
        if (!response.ok) {
          outcome = 'failed';
          reason = `${response.status} ${isObject(answer) && typeof answer['error'] === 'string' ? answer['error'] : ''}`.trimEnd();
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
    turn.isPlayed = true; // the last words are spoken before the line goes
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

  /** With the first text and not before: clients that wait for the voice count from here. */
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

  /** The reply is there, whole or as far as it came. */
  async #finish(turn: AssistantTurn): Promise<void> {
    turn.delivery = undefined;
    const { text } = turn.spoken;
    await this.#startTurn(turn); // a silent turn too has a beginning and an end
    if (text !== '') {
      this.#note({ role: 'assistant', text, timestamp: Date.now(), turn_id: turn.id });
      await this.#tell({ type: 'response.text', content: text, turn_id: turn.id });
    }
    await this.#tell({ type: 'response.end', turn_id: turn.id });
    await this.#tell({ type: 'turn.end', role: 'assistant', turn_id: turn.id });
  }

  /** Drops the turn's request. What still comes of it is told to nobody. */
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

  /** The transcript has what was heard. */
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

  /** The same for the trace, to a tenth. */
  #at(): number {
    return Math.round(this.#now() * 10) / 10;
  }
}

/** A header that a right server refuses; undefined for the right one. */
function forge(kind: SignatureKind, body: string, secret: string): string | undefined {
  if (kind === 'right') return undefined;
  if (kind === 'wrong') return signPayload(body, `${secret}-another`);
  return signPayload(body, secret, {
    time: Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1,
  });
}

/** An answer's body; of a longer one than any webhook's the beginning. */
async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text.slice(0, 1_000); // a proxy's page, mostly: shown as it is
  }
}

/** `fetch` says "fetch failed", and why in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error
    ? cause.message || String('code' in cause ? cause.code : cause.name)
    : String(cause);
}
