// The wire of the reference document: named events, plain text, `[DONE]` at the end.

import type { SseEvent } from '../sse/encode.ts';
import type { Dialect } from './reply-stream.ts';

export const callDialect: Dialect = {
  event(event): SseEvent {
    switch (event.type) {
      case 'say':
        return { event: 'message', data: event.text };
      case 'data':
        return { event: 'data', data: event.json };
      case 'hangup':
        return { event: 'hangup', data: '{}' }; // an event without data is never dispatched
      case 'error':
        return { event: 'error', data: '{"error":"Internal server error"}' };
    }
  },
  end: () => ({ event: 'done', data: '[DONE]' }),
};
