import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import { postEvent } from '../../wires/layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../../wires/layercode/signature.ts';
import { AssistantTurn } from './assistant-turn.ts';
import type { CallerSession } from './caller-session.ts';
import { deliveryOf, OutgoingDelivery, requestIdOf, type DeliveryOptions } from './delivery.ts';
import type { DeliveryFrame, ServerFrame, SignatureKind } from './frames.ts';
import type { SessionGrant } from './session-keys.ts';
import { SessionTranscript } from './transcript.ts';

export interface TextSessionOptions {
  /** Who calls, and in which conversation. */
  readonly grant: SessionGrant;
  readonly webhookUrl: string;
  readonly secret: string;
  /** The session that goes on. Default: a new one. */
  readonly id?: string | undefined;
  /** What the first message says of a reply before it. */
  readonly interruption?: JsonObject | undefined;
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
 * A caller in text mode. Does what LayerCode does between a front end and the webhook, over signed
 * HTTP. Methods return when their request has been answered, and never reject.
 */
export class TextSession implements CallerSession {
  readonly id: string;
  readonly #options: TextSessionOptions;
  readonly #startedAt = new Date();
  readonly #zeroMs = performance.now();
  readonly #transcript = new SessionTranscript();
  #turn: AssistantTurn | undefined;
  #lastMessage: JsonObject | undefined;
  #deliveries = 0;
  readonly #open = new Set<OutgoingDelivery>();
  #isOver = false;

  constructor(options: TextSessionOptions) {
    this.#options = options;
    this.id = options.id ?? randomUUID();
  }

  /** Posts `session.start`. The agent's welcome is an assistant turn. */
  async start(): Promise<void> {
    if (this.#isOver) return;
    await this.#runTurn({ ...this.#event('session.start'), turn_id: randomUUID() });
  }

  /**
   * The caller says something. It is an interruption if a reply is still streaming, or if a voice
   * would still be speaking it.
   */
  async say(text: string): Promise<void> {
    if (this.#isOver || text.trim() === '') return;
    this.interrupt();
    const interruption =
      this.#turn === undefined ? this.#options.interruption : this.#turn.interruption;
    const userTurnId = randomUUID();
    // Not awaited: if another text arrives now, it must find this one's turn already begun.
    void this.#tell({ type: 'turn.start', role: 'user', turn_id: userTurnId });
    void this.#tell({ type: 'user.transcript', content: text, turn_id: userTurnId });
    void this.#tell({ type: 'turn.end', role: 'user', turn_id: userTurnId });
    this.#transcript.set('user', userTurnId, text);
    this.#lastMessage = {
      ...this.#event('message'), turn_id: randomUUID(), text,
      ...(interruption === undefined ? {} : { interruption_context: interruption }),
    };
    await this.#runTurn(this.#lastMessage);
  }

  /** The front end sends data for the agent. */
  async data(data: JsonObject): Promise<void> {
    if (this.#isOver) return;
    await this.#deliver({ ...this.#event('data'), turn_id: randomUUID(), data });
  }

  /**
   * The caller begins to speak. Drops the reply's request. The next message says how much of it
   * can have been heard.
   */
  interrupt(): void {
    const turn = this.#turn;
    const heard = turn?.interrupt();
    if (turn !== undefined && heard !== undefined) this.#said(turn, heard);
  }

  /** What the next message says of the newest reply. Undefined if nobody spoke over it. */
  get interruption(): JsonObject | undefined {
    return this.#turn?.interruption;
  }

  finishPlaying(turnId?: string): void {
    if (this.#turn !== undefined && (turnId === undefined || turnId === this.#turn.id)) {
      this.#turn.isPlayed = true;
    }
  }

  /** Under the same `turn_id`. */
  async redeliver(): Promise<void> {
    const event = this.#lastMessage;
    if (this.#isOver || event === undefined) return;
    const turn = this.#turn?.id === event['turn_id'] ? this.#turn : undefined;
    if (turn?.delivery !== undefined) {
      turn.expectRepeat();
      return this.#deliver(event, { turn });
    }
    return turn?.isWhole === false ? this.#runTurn(event) : this.#deliver(event);
  }

  drop(): void {
    const turn = this.#turn;
    if (turn?.drop() === true) this.#said(turn, turn.text);
  }

  async forge(signature: Exclude<SignatureKind, 'right'>): Promise<void> {
    if (this.#isOver) return;
    const message = this.#lastMessage ?? { ...this.#event('message'), text: 'Hello' };
    await this.#deliver({ ...message, turn_id: randomUUID() }, { signature });
  }

  /** Drops the reply that is streaming and posts `session.end`, once. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.interrupt();
    this.abandon();
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
      transcript: this.#transcript.entries,
    });
  }

  /** Stops waiting for answers: an open request would keep the process alive. */
  abandon(): void {
    for (const delivery of this.#open) delivery.drop();
  }

  deliveryOf(requestId: string): number | undefined {
    return deliveryOf(this.id, requestId);
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
    const { wordsPerMinute, onFrame } = this.#options;
    const turn = new AssistantTurn(String(event['turn_id']), wordsPerMinute, onFrame);
    this.#turn = turn;
    await this.#deliver(event, { turn });
  }

  /** `turn` is the turn that gets the reply; without it the answer is only traced. */
  async #deliver(
    event: JsonObject,
    {
      turn,
      signature = 'right',
    }: { readonly turn?: AssistantTurn; readonly signature?: SignatureKind } = {},
  ): Promise<void> {
    const { webhookUrl, secret, grant } = this.#options;
    const number = ++this.#deliveries;
    const headers = { ...grant.customHeaders, 'x-request-id': requestIdOf(this.id, number) };
    const delivery = new OutgoingDelivery({
      number,
      signature,
      send: sendSigned({ webhookUrl, secret, headers, signature }),
      onFrame: (frame) => this.#trace(frame),
      onEvent: (said) => (turn?.delivery === delivery ? turn.take(said) : undefined),
    });
    if (turn !== undefined) turn.delivery = delivery;
    this.#open.add(delivery);
    const end = await delivery.post(event);
    this.#open.delete(delivery);
    const isLast = turn?.delivery === delivery;
    if (isLast) {
      turn.isWhole = delivery.hasWholeReply;
      this.#said(turn, turn.text);
      await turn.finish();
    }
    await this.#trace({ type: 'local.over', delivery: number, ...end });
    if (!isLast || !turn.hangsUp) return;
    turn.isPlayed = true; // the last words are spoken before the line is cut
    this.#options.onHangUp();
  }

  #said({ id }: AssistantTurn, text: string): void {
    this.#transcript.set('assistant', id, text);
  }

  #tell(frame: ServerFrame): Awaitable<unknown> {
    return this.#options.onFrame(frame);
  }

  /** Times are in milliseconds since the session began, rounded to a tenth. */
  #trace(frame: DeliveryFrame): Awaitable<unknown> {
    if (this.#options.isTraced !== true) return undefined;
    const at = Math.round((performance.now() - this.#zeroMs) * 10) / 10;
    return this.#tell({ ...frame, at });
  }
}

interface SendSignedOptions {
  readonly webhookUrl: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signature: SignatureKind;
}

/** Posts bodies to LayerCode's webhook, with a right or a forged signature. */
function sendSigned(
  { webhookUrl, secret, headers, signature }: SendSignedOptions,
): DeliveryOptions['send'] {
  return (body, signal) => {
    const forged = forge(signature, body, secret);
    return postEvent(webhookUrl, body, {
      secret,
      headers,
      signal,
      ...(forged === undefined ? {} : { signature: forged }),
    });
  };
}

/** A signature header that a correct server refuses. Undefined for the right one. */
function forge(kind: SignatureKind, body: string, secret: string): string | undefined {
  if (kind === 'right') return undefined;
  if (kind === 'wrong') return signPayload(body, `${secret}-another`);
  return signPayload(body, secret, {
    time: Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1,
  });
}
