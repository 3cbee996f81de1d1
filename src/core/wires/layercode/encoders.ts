// How replies are written, in both dialects.

import { jsonText } from '../../../base/json.ts';
import { encodeEvent } from '../../../base/sse/encode.ts';
import type { ReplyEvent } from '../../calls/reply-event.ts';
import type { ReplyEncoder } from '../reply-stream.ts';
import { isCallEvent, type LayercodeEvent } from './events.ts';

/** The encoder for the reply to an event, in the dialect of the event. */
export function encoderFor(event: LayercodeEvent): ReplyEncoder {
  return isCallEvent(event) ? callEncoder : new SessionEncoder(event.turn_id ?? undefined);
}

/**
 * The wire of the live platform: `data: <one-line JSON>` without an `event:` line. Specified by
 * LayerCode's page "Webhook SSE API".
 */
export class SessionEncoder implements ReplyEncoder {
  readonly canTransfer = false;
  readonly start = '';
  /** What ends every event of the reply. */
  readonly #tail: string;

  /** `turnId` is the request's. Undefined if it had none. */
  constructor(turnId: string | undefined) {
    this.#tail = turnId === undefined ? '}\n\n' : `,"turn_id":${jsonText(turnId)}}\n\n`;
  }

  event(event: ReplyEvent): string {
    switch (event.type) {
      case 'say':
        return `data: {"type":"response.tts","content":${jsonText(event.text)}${this.#tail}`;
      case 'data':
        return `data: {"type":"response.data","content":${event.json}${this.#tail}`;
      case 'hangup':
        return `data: {"type":"response.hangup"${this.#tail}`;
      case 'error': // the caller has already heard the apology
      case 'transfer':
        return ''; // this wire has no such event
      default:
        event satisfies never;
        return '';
    }
  }

  end(): string {
    return `data: {"type":"response.end"${this.#tail}`;
  }
}

/**
 * The wire of LayerCode's older reference document: named events, plain text, `[DONE]` at the end.
 * It writes nothing that differs from reply to reply, so all replies share it.
 */
export const callEncoder: ReplyEncoder = {
  canTransfer: false,
  start: '',
  event(event) {
    switch (event.type) {
      case 'say':
        return encodeEvent({ event: 'message', data: event.text });
      case 'data':
        return encodeEvent({ event: 'data', data: event.json });
      case 'hangup':
        // A client never dispatches an event without data.
        return encodeEvent({ event: 'hangup', data: '{}' });
      case 'error':
        return encodeEvent({ event: 'error', data: '{"error":"Internal server error"}' });
      case 'transfer':
        return ''; // this wire has no such event
      default:
        event satisfies never;
        return '';
    }
  },
  end: () => encodeEvent({ event: 'done', data: '[DONE]' }),
};
