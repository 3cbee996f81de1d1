import type { Steps } from '../../base/slices.ts';
import type { CallerMessage, CallEvent, Transcript } from '../calls/call-event.ts';
import type { Redaction } from './redaction.ts';
import { SealedTexts } from './sealed-texts.ts';

/**
 * An event without the values in its texts. Its ids, the caller's numbers and the metadata stay as
 * they are: they come from the platform; nobody said them. `sealed`: texts that are known already.
 */
export function* redactedEvent<E extends CallEvent>(
  event: E,
  redaction: Redaction,
  sealed = new SealedTexts(redaction, event.conversationId),
): Steps<E> {
  const { conversationId, sessionId, turnId, caller } = event;
  const names = new Set([conversationId, sessionId, turnId, caller?.from, caller?.to]);
  // What is reported at the end is compared with nothing: it may be redacted as the agent's words.
  const texts = event.type === 'end' ? sealed.ofOurs() : sealed;
  const all = <T>(value: T): Steps<T> => texts.sealingAll(value, (text) => names.has(text));
  const words = event.type === 'message' ? yield* wordsOf(event, sealed) : undefined;
  const data = event.type === 'data' ? { data: yield* all(event.data) } : undefined;
  const raw = yield* all(event.raw);
  if (event.type === 'start' || event.type === 'message')
    redaction.entered(conversationId, sessionId);
  if (words?.transcript === undefined) return { ...event, ...words, ...data, raw };
  const { transcript } = words; // one request reports both
  const start = { ...transcript.start, raw } as Transcript['start'];
  return { ...event, ...words, raw, transcript: { ...transcript, start } };
}

type Words = Pick<CallerMessage, 'text' | 'interruption' | 'transcript'>;

/** Sealed before the raw event, so that what was heard is read in the same way there. */
function* wordsOf(event: CallerMessage, sealed: SealedTexts): Steps<Words> {
  const { interruption, transcript } = event;
  const heard = interruption?.textHeard;
  return {
    interruption: interruption === undefined || heard === undefined
      ? interruption
      : { ...interruption, textHeard: yield* heardText(heard, sealed) },
    transcript: transcript === undefined ? undefined : yield* linesOf(transcript, sealed),
    text: yield* sealed.sealing(event.text),
  };
}

function* heardText(text: string, sealed: SealedTexts): Steps<string> {
  return sealed.keep(text, yield* sealed.sealingHeard(text));
}

function* linesOf(transcript: Transcript, sealed: SealedTexts): Steps<Transcript> {
  const lines: Transcript['lines'][number][] = [];
  for (const { role, text } of transcript.lines) {
    const steps = role === 'user' ? sealed.sealing(text) : heardText(text, sealed);
    lines.push({ role, text: yield* steps });
    yield;
  }
  return { ...transcript, lines };
}
