// The wire of the reference document: named events, plain text, `[DONE]` at the end.

import { encodeEvent } from '../sse/encode.ts';
import type { Dialect } from './dialect.ts';

export const callDialect: Dialect = {
  tail: () => '',
  event(event) {
    switch (event.type) {
      case 'say':
        return encodeEvent({ event: 'message', data: event.text });
      case 'data':
        return encodeEvent({ event: 'data', data: event.json });
      case 'hangup':
        return encodeEvent({ event: 'hangup', data: '{}' }); // an event without data is never dispatched
      case 'error':
        return encodeEvent({ event: 'error', data: '{"error":"Internal server error"}' });
    }
  },
  end: () => encodeEvent({ event: 'done', data: '[DONE]' }),
};
