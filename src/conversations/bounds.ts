import { removeTurn, type Conversation } from './conversation.ts';

/**
 * What a conversation may hold. Beyond it the oldest turns are removed, whole; the newest always
 * stays.
 */
export interface ConversationBounds {
  readonly maxMessages: number;
  /** UTF-16 code units. */
  readonly maxTextLength: number;
}

/** How much of a bound is left when it was crossed. */
const KEPT_SHARE = 3 / 4;

/**
 * Removes the oldest turns that are not open. Whole: half a turn would leave a tool call without
 * its result. Down to three quarters of the bound: a prompt whose beginning changed with each turn
 * could not be cached.
 */
export function trim(conversation: Conversation, bounds: ConversationBounds): void {
  if (isWithin(conversation, bounds)) return;
  const { turns, textLength } = conversation;
  const share = {
    maxMessages: bounds.maxMessages * shareOf(countOf(conversation), bounds.maxMessages),
    maxTextLength: bounds.maxTextLength * shareOf(textLength, bounds.maxTextLength),
  };
  let index = 0;
  while (!isWithin(conversation, share)) {
    const turn = turns[index];
    if (turn === undefined || index === turns.length - 1) return;
    if (turn.state === 'open') index++;
    else removeTurn(conversation, index);
  }
}

/** Turns count too: one that stored no message still takes room. */
function countOf({ messageCount, turns }: Conversation): number {
  return Math.max(messageCount, turns.length);
}

function isWithin(
  conversation: Conversation, { maxMessages, maxTextLength }: ConversationBounds,
): boolean {
  return countOf(conversation) <= maxMessages && conversation.textLength <= maxTextLength;
}

function shareOf(value: number, bound: number): number {
  return value > bound ? KEPT_SHARE : 1;
}
