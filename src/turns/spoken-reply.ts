import type { SentEvent } from '../conversations/message.ts';

/** What the agent said in the events from one index up to another: texts only, without the filler, which is no word of its own. */
export function spokenText(events: readonly SentEvent[], from: number, to: number = events.length): string {
  let text = '';
  for (let index = Math.max(0, from); index < Math.min(to, events.length); index++) {
    const event = events[index];
    if (event?.type === 'say' && event.isFiller !== true) text += event.text;
  }
  return text;
}

/** False for a filler. */
export function isOwn(event: SentEvent): boolean {
  return event.type !== 'say' || event.isFiller !== true;
}

/** True for a text that is no filler. */
export function isOwnText(event: SentEvent): boolean {
  return event.type === 'say' && event.isFiller !== true;
}

/** The same events with neighbouring texts as one. */
export function joinTexts(events: readonly SentEvent[]): SentEvent[] {
  const joined: SentEvent[] = [];
  for (const event of events) {
    const last = joined.at(-1);
    if (event.type === 'say' && last?.type === 'say') joined[joined.length - 1] = { ...last, text: last.text + event.text };
    else joined.push(event);
  }
  return joined;
}
