import type { Duplex } from 'node:stream';

import {
  isObject, isTooDeep, object, objectOf, optional, string, type Field,
} from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { CLOSE_CODES } from '../../base/websocket/close.ts';
import { WebSocketConnection } from '../../base/websocket/connection.ts';
import type { DeliveryReport } from '../../core/wires/reply-stream.ts';
import type { CallerSession, CallListener } from './caller-session.ts';
import type { ClientFrame, ServerFrame } from './frames.ts';
import { frontEnd } from './front-end.ts';

interface BrowserSocketOptions {
  /** The caller's session, on whatever wire. */
  readonly openSession: (listener: CallListener) => CallerSession;
  readonly isTraced: boolean;
  /** Called when the socket is closed and the agent has been told. */
  readonly onEnd: () => void;
}

/** What a frame must contain. Other types are ignored in text mode. */
const FRAMES: Readonly<Record<ClientFrame['type'], Field>> = {
  'client.ready': object,
  'client.response.text': objectOf({ content: string }),
  'client.response.data': objectOf({ data: object }),
  'trigger.turn.start': object,
  'trigger.response.audio.replay_finished': objectOf({
    reason: optional(string),
    turn_id: optional(string),
  }),
  'local.redeliver': object,
  'local.drop': object,
  'local.forge': objectOf({ signature: string }),
  'local.end': object,
};

/** The largest message comes back as text in three frames, and in three trace frames. */
const MAX_UNSENT_BYTES = 8 * 1_048_576;

const MAX_CAUSES = 4;
const MAX_REASON_LENGTH = 2_000;

export type BrowserSocket = ReturnType<typeof browserSocket>;

/**
 * The server's end of a browser's WebSocket. Its session with the agent ends when the socket
 * closes.
 */
export function browserSocket(
  socket: Duplex,
  { openSession, isTraced, onEnd }: BrowserSocketOptions,
) {
  const session = openSession(frontEnd({
    isTraced,
    onFrame: (frame) => connection.send(JSON.stringify(frame)),
    onHangUp: () => connection.close(CLOSE_CODES.normal, 'the agent hung up'),
  }));
  const connection = new WebSocketConnection(socket, {
    maxUnsentBytes: MAX_UNSENT_BYTES,
    onText: receive,
    onClose: () => void session.end().over().then(onEnd),
  });
  let isReady = false;

  function receive(text: string): void {
    const frame = parseFrame(text);
    if (typeof frame === 'string') return connection.close(CLOSE_CODES.policyViolation, frame);
    if (frame === undefined) return;
    // Replies are not awaited: the next frame may interrupt one.
    switch (frame.type) {
      case 'client.ready':
        if (!isReady) void session.start();
        isReady = true;
        return;
      case 'client.response.text':
        return void session.say(frame.content);
      case 'client.response.data':
        return void session.data(frame.data);
      case 'trigger.turn.start':
        return void session.interrupt();
      case 'trigger.response.audio.replay_finished':
        return frame.reason === 'interrupted'
          ? undefined
          : session.finishPlaying(frame.turn_id ?? undefined);
      case 'local.redeliver':
        return void session.redeliver();
      case 'local.drop':
        return session.drop();
      case 'local.forge':
        return void session.forge(frame.signature === 'stale' ? 'stale' : 'wrong');
      case 'local.end':
        return void session
          .end()
          .over()
          .then(() => connection.close(CLOSE_CODES.normal, 'the session ended'));
      default:
        frame satisfies never;
    }
  }

  return {
    /**
     * Sends the server's own figures for a turn to a traced browser, if the turn belongs to this
     * session.
     */
    turnEnded({ requestId, turnId, error, work, ...figures }: DeliveryReport): void {
      const delivery = session.deliveryOf(requestId);
      if (delivery === undefined || turnId === undefined || !isTraced) return;
      const reason = error === undefined ? {} : { reason: reasonOf(error) };
      const known = { ...figures, usage: work?.usage, ...reason };
      const frame = { type: 'local.turn', delivery, turn_id: turnId, ...known } as const;
      connection.send(JSON.stringify(frame satisfies ServerFrame, withTenths));
    },
    /** The server is shutting down. Resolves when the agent has been told. */
    async goAway(): Promise<void> {
      connection.close(CLOSE_CODES.goingAway, 'the server is shutting down');
      await session.end().over();
    },
  };
}

/** The frame; undefined for an unknown type; a string that says what is wrong with it. */
function parseFrame(text: string): ClientFrame | string | undefined {
  const value: unknown = parseJson(text);
  if (value === undefined) return 'a message must be JSON';
  if (!isObject(value) || typeof value['type'] !== 'string') {
    return 'a message must be a JSON object with a type';
  }
  if (!Object.hasOwn(FRAMES, value['type'])) return undefined;
  const fault = FRAMES[value['type'] as ClientFrame['type']].check(value);
  if (fault !== undefined) return `${fault.path} of ${value['type']} must be ${fault.expected}`;
  return isTooDeep(value) ? 'a message must not be nested too deeply' : (value as ClientFrame);
}

/** The messages of an error and its causes, from the outside in. */
function reasonOf(error: unknown): string {
  const messages: string[] = [];
  let cause: unknown = error;
  for (; messages.length < MAX_CAUSES && cause instanceof Error; cause = cause.cause) {
    messages.push(cause.message || cause.name);
  }
  if (messages.length === 0) messages.push(String(error));
  return messages.join(': ').slice(0, MAX_REASON_LENGTH);
}

/** For `JSON.stringify`: rounds times to a tenth of a millisecond. */
function withTenths(name: string, value: unknown): unknown {
  return name.endsWith('Ms') && typeof value === 'number' ? Math.round(value * 10) / 10 : value;
}
