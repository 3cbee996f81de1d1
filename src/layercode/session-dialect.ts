// The wire of the live platform. Ruled by LayerCode's page "Webhook SSE API": `data: <one-line JSON>`, no `event:` line.

import type { SseEvent } from '../sse/encode.ts';
import type { Dialect } from './reply-stream.ts';

export const sessionDialect: Dialect = {
  event(event, turnId): SseEvent | undefined {
    switch (event.type) {
      case 'say':
        return line(`"response.tts","content":${JSON.stringify(event.text)}`, turnId);
      case 'data':
        return line(`"response.data","content":${event.json}`, turnId);
      case 'hangup':
        return line('"response.hangup"', turnId);
      case 'error':
        return undefined; // this wire has no word for it: the caller has heard the apology
    }
  },
  end: (turnId) => line('"response.end"', turnId),
};

function line(typeAndContent: string, turnId: string | undefined): SseEvent {
  return { data: `{"type":${typeAndContent}${turnId === undefined ? '' : `,"turn_id":${JSON.stringify(turnId)}`}}` };
}
