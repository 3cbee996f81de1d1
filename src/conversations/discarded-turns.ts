// What becomes of a turn that the platform has discarded, and of the one that replaces it.

import type { Transcript } from '../calls/call-event.ts';
import { goBack, type Conversation } from './conversation.ts';
import type { ToolMessage } from './message.ts';
import { toolMessagesOf, type TurnRecord } from './turn-record.ts';

/**
 * Gives a turn its number: that of the first turn that it replaces, otherwise the next one. The
 * state and the agent go back to those before the newest turn, if that was discarded and none of
 * its tools has changed anything. True if they did.
 */
export function takePlace(
  conversation: Conversation,
  record: TurnRecord,
  discarded: readonly TurnRecord[],
  transcript: Transcript | undefined,
): boolean {
  const replaced = discarded.find(({ number }) => number !== undefined);
  record.number ??= replaced?.number ?? lastNumber(conversation) + 1;
  const { before } = conversation;
  const newest = discarded.at(-1);
  const mustGoBack =
    before !== undefined && newest?.id === before.turnId && !discarded.some(hasChangedThings);
  if (mustGoBack) goBack(conversation, before);
  if (transcript?.isSpeculative !== true) delete conversation.before;
  else if (conversation.before?.turnId !== record.id) {
    const { state, agent } = conversation;
    conversation.before = {
      turnId: record.id,
      ...(state === undefined ? {} : { state }),
      ...(agent === undefined ? {} : { agent }),
    };
  }
  return mustGoBack;
}

/** The calls that were made in a turn's place: by its earlier runs, and by turns that it replaces. */
export function callsAtPlace({ turns }: Conversation, record: TurnRecord): readonly ToolMessage[] {
  return turns.flatMap((turn) =>
    turn === record || (turn.isDiscarded === true && turn.number === record.number)
      ? toolMessagesOf(turn)
      : [],
  );
}

/** The newest turns are never trimmed, so the greatest number is always there. */
function lastNumber({ turns }: Conversation): number {
  return turns.reduce((last, { number = 0 }) => Math.max(last, number), 0);
}

/** Whether one of its tools has changed something outside, or may have. */
function hasChangedThings(turn: TurnRecord): boolean {
  return toolMessagesOf(turn).some(
    ({ state, isRepeatable }) => isRepeatable !== true && state !== 'interrupted',
  );
}
