// Translates a request of this wire into what happened in the call.

import { hash, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { isId } from '../../../base/fields.ts';
import type { CallStart, Transcript, TranscriptLine, TurnEvent } from '../../calls/call-event.ts';
import { metadataOf } from '../event-fields.ts';
import { CHAT_COMPLETIONS, type CompletionEvent } from './events.ts';
import { callerOf, firstId, firstValue, type Profile } from './profiles.ts';
import type { ToldCall } from './request.ts';

/** The conversation of a request. A request that names none stands alone. */
interface RequestConversation {
  readonly conversationId: string;
  readonly isAnonymous: boolean;
}

export function conversationOf(
  raw: CompletionEvent,
  headers: IncomingHttpHeaders,
  profile: Profile,
): RequestConversation {
  const conversationId = firstId(profile.conversationId, { body: raw, headers });
  const isAnonymous = conversationId === undefined;
  return { conversationId: conversationId ?? randomUUID(), isAnonymous };
}

/**
 * What the request means: the caller's words, or the start of the call if nobody has said anything.
 * A caller who stays silent says ''. The id of the turn is a hash of what was said. `sealed` makes
 * one in which no value can be guessed.
 */
export function turnEventOf(
  raw: CompletionEvent,
  told: ToldCall,
  headers: IncomingHttpHeaders,
  profile: Profile,
  { conversationId, isAnonymous }: RequestConversation = conversationOf(raw, headers, profile),
  sealed?: { idOf(text: string): string },
): TurnEvent {
  const request = { body: raw, headers };
  const fields = {
    raw,
    conversationId,
    sessionId: conversationId,
    turnId: isAnonymous ? undefined : turnIdOf(raw, told, headers, sealed),
    caller: callerOf(profile, request),
    metadata: metadataOf(firstValue(profile.metadata, request)),
    language: firstId(['x-language'], request),
    wire: CHAT_COMPLETIONS,
  };
  const start: CallStart = { type: 'start', isBeside: isAnonymous, ...fields };
  if (told.last === 'nobody') return start;
  const { lines } = told;
  const words = told.last === 'tool' ? lastWords(lines) : told.words;
  const hasSpoken = words !== undefined && /\S/.test(words);
  const transcript: Transcript = {
    lines: hasSpoken ? lines.slice(0, -1) : lines,
    omitted: told.omitted,
    isHeard: profile.assistantText === 'heard',
    isAnonymous,
    start,
  };
  return { type: 'message', text: words ?? '', interruption: undefined, transcript, ...fields };
}

/** Undefined if the caller was not the last to speak. */
function lastWords(lines: readonly TranscriptLine[]): string | undefined {
  const last = lines.at(-1);
  return last?.role === 'user' ? last.text : undefined;
}

/**
 * A retry has the same bytes, so it has the same id. Only one platform marks its retries, by
 * `Idempotency-Key`.
 */
function turnIdOf(
  { messages }: CompletionEvent,
  { lines, omitted, last, words, result }: ToldCall,
  headers: IncomingHttpHeaders,
  sealed: { idOf(text: string): string } | undefined,
): string {
  const key = headers['idempotency-key'];
  if (isId(key)) return key;
  let state: string = last;
  if (last === 'tool') state = JSON.stringify(result);
  else if (words?.trim() === '') state = 'silence';
  const told: (string | number)[] = [state];
  // The last lines of a long call may be the same words again and again.
  if (omitted > 0) told.push(messages.length);
  // The length keeps two texts from having the same hash as one.
  for (const { role, text } of lines) told.push(role, text.length, text);
  const text = told.join(' ');
  return (sealed?.idOf(text) ?? hash('sha256', text, 'hex')).slice(0, 32);
}
