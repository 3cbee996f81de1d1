import type { Duplex } from 'node:stream';

import { isDeeperThan, isObject, object, objectOf, optional, string, type Field } from '../layercode/fields.ts';
import type { TurnFigures } from '../routes/webhook-delivery.ts';
import { WebSocketConnection } from './websocket/connection.ts';
import type { ClientFrame, ServerFrame } from './frames.ts';
import { TextSession, type TextSessionOptions } from './text-session.ts';

export interface FrontEndOptions extends Pick<TextSessionOptions, 'grant' | 'webhookUrl' | 'secret'> {
  readonly isTraced: boolean;
  /** The socket is closed, and the agent knows. */
  readonly onEnd: () => void;
}

/** What a frame must hold. Types that are not here mean nothing in text mode. */
const FRAMES: Readonly<Record<ClientFrame['type'], Field>> = {
  'client.ready': object,
  'client.response.text': objectOf({ content: string }),
  'client.response.data': objectOf({ data: object }),
  'trigger.turn.start': object,
  'trigger.response.audio.replay_finished': objectOf({ reason: optional(string), turn_id: optional(string) }),
  'local.redeliver': object,
  'local.drop': object,
  'local.forge': objectOf({ signature: string }),
  'local.end': object,
};

/** Of data that goes on as JSON. */
const MAX_DEPTH = 500;
/** A text of the largest message comes back in three frames, traced in as many more. */
const MAX_UNSENT_BYTES = 8 * 1_048_576;
const CLOSE_NORMAL = 1_000;
const CLOSE_GOING_AWAY = 1_001;
/** Of RFC 6455 §7.4.1: for a message that breaks the rules of whoever reads it. */
const CLOSE_POLICY = 1_008;

/** A browser on its WebSocket, and its session with the agent, which ends with the socket. */
export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #connection: WebSocketConnection;
  readonly #session: TextSession;
  #isReady = false;

  constructor(socket: Duplex, options: FrontEndOptions) {
    this.#options = options;
    this.#session = new TextSession({
      ...options,
      onFrame: (frame) => this.#send(frame),
      onHangUp: () => this.#connection.close(CLOSE_NORMAL, 'the agent hung up'),
    });
    this.#connection = new WebSocketConnection(socket, {
      maxUnsentBytes: MAX_UNSENT_BYTES,
      onText: (text) => this.#receive(text),
      onClose: () => void this.#session.end().then(options.onEnd),
    });
  }

  /** Shows how a turn went, in the server's own figures, where it was a delivery of this session. */
  turnEnded({ requestId, turnId, outcome, firstTokenMs, firstSpeechMs, durationMs }: TurnFigures): void {
    const delivery = this.#session.deliveryOf(requestId);
    if (delivery === undefined || turnId === undefined || !this.#options.isTraced) return;
    this.#send({
      type: 'local.turn', delivery, turn_id: turnId, outcome, durationMs: tenths(durationMs),
      ...(firstTokenMs === undefined ? {} : { firstTokenMs: tenths(firstTokenMs) }),
      ...(firstSpeechMs === undefined ? {} : { firstSpeechMs: tenths(firstSpeechMs) }),
    });
  }

  /** The server goes away. Resolves when the agent knows. */
  async goAway(): Promise<void> {
    this.#connection.close(CLOSE_GOING_AWAY, 'the server is shutting down');
    await this.#session.end();
  }

  #send(frame: ServerFrame): ReturnType<WebSocketConnection['send']> {
    return this.#connection.send(JSON.stringify(frame));
  }

  #receive(text: string): void {
    const frame = parseFrame(text);
    if (typeof frame === 'string') {
      this.#connection.close(CLOSE_POLICY, frame);
      return;
    }
    if (frame === undefined) return;
    const session = this.#session;
    // Replies are not waited for: what comes meanwhile may be an interruption. A session's methods never reject.
    switch (frame.type) {
      case 'client.ready':
        if (!this.#isReady) void session.start();
        this.#isReady = true;
        return;
      case 'client.response.text':
        return void session.say(frame.content);
      case 'client.response.data':
        return void session.data(frame.data);
      case 'trigger.turn.start':
        return session.interrupt();
      case 'trigger.response.audio.replay_finished':
        return frame.reason === 'interrupted' ? undefined : session.finishPlaying(frame.turn_id ?? undefined);
      case 'local.redeliver':
        return void session.redeliver();
      case 'local.drop':
        return session.drop();
      case 'local.forge':
        return void session.forge(frame.signature === 'stale' ? 'stale' : 'wrong');
      case 'local.end':
        return void session.end().then(() => this.#connection.close(CLOSE_NORMAL, 'the session ended'));
    }
  }
}

/** The frame, what is wrong with it, or undefined for one of a type that means nothing here. */
function parseFrame(text: string): ClientFrame | string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'a message must be JSON';
  }
  if (!isObject(value) || typeof value['type'] !== 'string') return 'a message must be a JSON object with a type';
  if (!Object.hasOwn(FRAMES, value['type'])) return undefined;
  const fault = FRAMES[value['type'] as ClientFrame['type']].check(value);
  if (fault !== undefined) return `${fault.path} of ${value['type']} must be ${fault.expected}`;
  return isDeeperThan(MAX_DEPTH, value) ? 'a message must not be nested too deeply' : (value as ClientFrame);
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
