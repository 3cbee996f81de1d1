import { jsonText } from '../../base/json-text.ts';
import type { ReplyEvent } from '../../calls/reply-event.ts';
import type { ReplyEncoder } from '../reply-encoder.ts';

/**
 * The wire of the live platform: `data: <one-line JSON>` without an `event:` line. Ruled by
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
