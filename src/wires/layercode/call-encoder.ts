import { encodeEvent } from '../../sse/encode.ts';
import type { ReplyEncoder } from '../reply-encoder.ts';

/**
 * The wire of LayerCode's older reference document: named events, plain text, `[DONE]` at the end.
 * It says the same of every reply, so all replies share it.
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
