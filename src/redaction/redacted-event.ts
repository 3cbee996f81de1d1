import type { CallerMessage, CallEvent, Transcript } from '../calls/call-event.ts';
import type { Redaction } from './redaction.ts';

/**
 * An event without the values in its texts. Its ids, the caller's numbers and the metadata stay as
 * they are: they are the platform's, not what someone said.
 */
export function redactedEvent<E extends CallEvent>(event: E, redaction: Redaction): E;
export function redactedEvent(event: CallEvent, redaction: Redaction): CallEvent {
  const { conversationId, sessionId, turnId, caller } = event;
  const names = new Set([conversationId, sessionId, turnId, caller?.from, caller?.to]);
  const all = <T>(value: T): T =>
    redaction.sealAll(conversationId, value, (text) => names.has(text));
  const raw = all(event.raw);
  const redacted = withoutValues(event, raw, all, redaction);
  if (event.type === 'start' || event.type === 'message')
    redaction.entered(conversationId, sessionId);
  return redacted;
}

function withoutValues(
  event: CallEvent,
  raw: CallEvent['raw'],
  all: <T>(value: T) => T,
  redaction: Redaction,
): CallEvent {
  switch (event.type) {
    case 'message':
      return wordsOf({ ...event, raw: raw as CallerMessage['raw'] }, redaction);
    case 'data':
      return { ...event, raw, data: all(event.data) } as CallEvent;
    default:
      return { ...event, raw } as CallEvent;
  }
}

function wordsOf(event: CallerMessage, redaction: Redaction): CallerMessage {
  const { conversationId, raw, text, interruption, transcript } = event;
  const heard = interruption?.textHeard;
  return {
    ...event,
    text: redaction.seal(conversationId, text),
    interruption: interruption === undefined || heard === undefined
      ? interruption
      : { ...interruption, textHeard: redaction.sealHeard(conversationId, heard) },
    transcript: transcript === undefined
      ? undefined
      : redactedTranscript(transcript, raw, conversationId, redaction),
  };
}

function redactedTranscript(
  transcript: Transcript,
  raw: CallerMessage['raw'],
  conversationId: string,
  redaction: Redaction,
): Transcript {
  const lines = transcript.lines.map(({ role, text }) => {
    const sealed = role === 'user'
      ? redaction.seal(conversationId, text)
      : redaction.sealHeard(conversationId, text);
    return { role, text: sealed };
  });
  const start = { ...transcript.start, raw } as Transcript['start']; // one request reports both
  return { ...transcript, lines, start };
}
