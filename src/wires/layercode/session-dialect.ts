// The wire of the live platform: `data: <one-line JSON>` without an `event:` line. Ruled by
// LayerCode's page "Webhook SSE API".

import { jsonText } from '../../base/json-text.ts';
import type { Dialect } from './dialect.ts';

export const sessionDialect: Dialect = {
  tail: (turnId) => (turnId === undefined ? '}\n\n' : `,"turn_id":${jsonText(turnId)}}\n\n`),
  event(event, tail) {
    switch (event.type) {
      case 'say':
        return `data: {"type":"response.tts","content":${jsonText(event.text)}${tail}`;
      case 'data':
        return `data: {"type":"response.data","content":${event.json}${tail}`;
      case 'hangup':
        return `data: {"type":"response.hangup"${tail}`;
      case 'error':
        return ''; // this wire has no such event; the caller has already heard the apology
      default:
        event satisfies never;
        return '';
    }
  },
  end: (tail) => `data: {"type":"response.end"${tail}`,
};
