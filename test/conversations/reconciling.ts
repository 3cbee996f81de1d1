// Platforms that send the whole call with each request.

import type { Transcript } from '../../src/calls/call-event.ts';
import type { Message, ToolCallState } from '../../src/conversations/message.ts';
import type { TurnOpening } from '../../src/conversations/turn-opening.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { reply, round, Talk } from './talk.ts';

/**
 * A request: the newest words, and the exchanges before as the platform has them. Each is
 * `words > reply | reply`, `> reply` where the agent spoke first, or only `words`.
 */
export function call(
  text: string, told: readonly string[] = [], fields?: Partial<Transcript>,
): Required<Pick<TurnOpening, 'text' | 'transcript'>> {
  const lines = told.flatMap((exchange) => {
    const [words = '', said] = ` ${exchange}`.split(' > ');
    const replies = said === undefined ? [] : said.split(' | ').map((line) => `agent: ${line}`);
    return words === '' ? replies : [`user: ${words.trimStart()}`, ...replies];
  });
  return { text, transcript: transcriptOf(lines, fields) };
}

/** Turns t1, t2 … of texts such as `words > reply`. */
export function callOf(...texts: readonly string[]): Talk {
  const talk = new Talk();
  for (const [index, text] of texts.entries()) {
    const [words = '', said = ''] = text.split(' > ');
    talk.exchange(`t${index + 1}`, said, call(words, texts.slice(0, index)));
  }
  return talk;
}

export function numbers({ turns }: Talk): (number | undefined)[] {
  return turns.map(({ number }) => number);
}

export function discarded({ turns }: Talk): string[] {
  return turns.filter(({ isDiscarded }) => isDiscarded).map(({ id }) => id);
}

/** A reply with one call of a tool. */
export function booking(turnId: string, state: ToolCallState = 'completed'): Message[] {
  const result = { content: '"booked"', key: `key of ${turnId}`, state };
  const asked = round(turnId, 'book', { said: 'Let me see.', saidState: 'completed', ...result });
  return [...asked, reply(turnId, 'Booked.')];
}
