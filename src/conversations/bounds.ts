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

/**
 * Removes the oldest turns that are not open. Whole: half a turn would leave a tool call without
 * its result.
 */
export function trim(
  conversation: Conversation,
  { maxMessages, maxTextLength }: ConversationBounds,
): void {
  const { turns } = conversation;
  let index = 0;
  // Turns count too: one that stored no message still takes room.
  while (
    conversation.messageCount > maxMessages ||
    turns.length > maxMessages ||
    conversation.textLength > maxTextLength
  ) {
    const turn = turns[index];
    if (turn === undefined || index === turns.length - 1) return;
    if (turn.state === 'open') index++;
    else removeTurn(conversation, index);
  }
}
