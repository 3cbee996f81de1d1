import { makeWhole } from './captured-calls.ts';
import { findTurn, removeTurn, type Conversation } from './conversation.ts';

/** How much a conversation may hold. Beyond that the oldest turns are removed, never the newest. */
export interface ConversationBounds {
  readonly maxMessages: number;
  /** UTF-16 code units. */
  readonly maxTextLength: number;
}

/** Text that a conversation may hold unless its manager is told otherwise, in UTF-16 code units. */
export const MAX_TEXT_LENGTH = 1_048_576;

/** The share of a bound that remains after trimming. */
const KEPT_SHARE = 3 / 4;

/**
 * Once a bound is exceeded, removes the oldest turns that are not open, down to three quarters of
 * the bound: trimming a little at every turn would change the beginning of the prompt each time,
 * and no vendor could cache it. Turns are removed whole, because a tool call must not lose its
 * result.
 */
export function trim(conversation: Conversation, bounds: ConversationBounds): void {
  if (isWithin(conversation, bounds)) return;
  const before = conversation.capturedBytes === undefined ? undefined : [...conversation.turns];
  removeOldest(conversation, bounds);
  if (before !== undefined)
    makeWhole(conversation, before, (turnId) => findTurn(conversation, turnId) === undefined);
}

function removeOldest(conversation: Conversation, bounds: ConversationBounds): void {
  const { turns, textLength } = conversation;
  const share = {
    maxMessages: bounds.maxMessages * shareOf(countOf(conversation), bounds.maxMessages),
    maxTextLength: bounds.maxTextLength * shareOf(textLength, bounds.maxTextLength),
  };
  forgetDiscarded(conversation, bounds);
  if (isWithin(conversation, bounds)) return;
  let index = 0;
  while (!isWithin(conversation, share)) {
    const turn = turns[index];
    if (turn === undefined || index === turns.length - 1) return;
    if (turn.state === 'open') index++;
    else removeTurn(conversation, index);
  }
}

/** Removes turns that the platform has discarded, the oldest first. */
function forgetDiscarded(conversation: Conversation, bounds: ConversationBounds): void {
  const { turns } = conversation;
  for (let index = 0; index < turns.length - 1 && !isWithin(conversation, bounds); ) {
    if (turns[index]?.isDiscarded === true) removeTurn(conversation, index);
    else index += 1;
  }
}

/** Turns count too, because a turn without messages still takes space. */
function countOf({ messageCount, turns }: Conversation): number {
  return Math.max(messageCount, turns.length);
}

function isWithin(
  conversation: Conversation,
  { maxMessages, maxTextLength }: ConversationBounds,
): boolean {
  return countOf(conversation) <= maxMessages && conversation.textLength <= maxTextLength;
}

function shareOf(value: number, bound: number): number {
  return value > bound ? KEPT_SHARE : 1;
}
