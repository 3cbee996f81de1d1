import { aborted } from '../../base/abort.ts';
import { SpokenText, type Heard } from './spoken-text.ts';
import { spokenIn, type TestEvent } from './test-wire.ts';

/** A voice that takes one millisecond per word. */
const WORDS_PER_MINUTE = 60_000;

/** What a caller has heard of a reply. */
export interface HeardEvents {
  /** The last one is cut at the last word that was heard. */
  readonly events: readonly TestEvent[];
  /** Undefined if the reply was heard to its end. */
  readonly heard?: Heard;
}

/**
 * Listens to a reply up to this many words, then leaves it. If the reply has fewer words: all
 * events, and no interruption.
 */
export async function hearWords(
  reply: AsyncIterable<TestEvent>,
  words: number,
): Promise<HeardEvents> {
  const spoken = new SpokenText(WORDS_PER_MINUTE);
  const events: TestEvent[] = [];
  // Leaving the loop drops the connection.
  for await (const event of reply) {
    const piece = spokenIn(event);
    spoken.add(piece, 0);
    const heard = spoken.heardBy(words);
    const text = heard.text.trimEnd();
    if (piece.trim() === '' || heard.words < words) {
      events.push(event);
      continue;
    }
    const unheard = spoken.text.length - text.length;
    const kept = piece.slice(0, Math.max(0, piece.length - unheard));
    if (kept !== '') events.push({ ...event, content: kept });
    return { events, heard: { ...heard, text } };
  }
  return { events };
}

/**
 * Listens to a reply until the signal fires, then leaves it: all that came until then was heard. If
 * the reply ends before that: all events, and no interruption.
 */
export async function hearUntil(
  reply: AsyncIterable<TestEvent> & { drop(): void },
  signal: AbortSignal,
): Promise<HeardEvents> {
  const spoken = new SpokenText(WORDS_PER_MINUTE);
  const events: TestEvent[] = [];
  const iterator = reply[Symbol.asyncIterator]();
  const fired = aborted(signal);
  for (;;) {
    const next = await Promise.race([iterator.next(), fired]);
    if (next === undefined) {
      reply.drop();
      return { events, heard: { ...spoken.heardBy(Infinity), text: spoken.text.trimEnd() } };
    }
    if (next.done === true) return { events };
    events.push(next.value);
    spoken.add(spokenIn(next.value), 0);
  }
}
