// What becomes of a turn that the platform has discarded, and of the one that replaces it.

import type { Transcript } from '../calls/call-event.ts';
import { goBack, type Conversation } from './conversation.ts';
import type { ToolMessage } from './message.ts';
import { toolMessagesOf, type TurnRecord } from './turn-record.ts';

/**
 * Gives a turn its number: that of the first turn that it replaces, otherwise the next one. It does
 * not replace a discarded turn that others follow. The state and the agent go back to those before
 * the newest turn, if that was discarded and none of its tools has changed anything. True if they
 * did.
 */
export function takePlace(
  conversation: Conversation,
  record: TurnRecord,
  discarded: readonly TurnRecord[],
  transcript: Transcript | undefined,
): boolean {
  const { turns } = conversation;
  const lastKept = lastNumber(turns.filter(({ isDiscarded }) => isDiscarded !== true));
  const replaced = discarded.find(({ number = 0 }) => number > lastKept);
  record.number ??= replaced?.number ?? lastNumber(turns) + 1;
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

/**
 * The calls that were made in a turn's place, by its earlier runs and by the turns it replaces.
 * Interrupted ones are left out. Of equal calls the last one says what is known.
 *
 * Where the state `hasGoneBack`, calls of replaced turns that may run again do so: what they have
 * noted in the state is gone.
 */
export function callsAtPlace(
  { turns }: Conversation, record: TurnRecord, hasGoneBack: boolean,
): readonly ToolMessage[] {
  return turns
    .filter((turn) => turn === record || (turn.isDiscarded && turn.number === record.number))
    .flatMap((turn) =>
      toolMessagesOf(turn).filter(
        ({ isRepeatable }) => turn === record || !hasGoneBack || isRepeatable !== true,
      ),
    )
    .filter(({ state }) => state !== 'interrupted')
    .sort((a, b) => certaintyOf(a) - certaintyOf(b));
}

/** A call that only waits for an equal one knows less than that. */
function certaintyOf({ state, joins }: ToolMessage): number {
  if (state === 'completed') return 2;
  return joins === true ? 0 : 1;
}

/** The newest turns are never trimmed, so the greatest number is always there. */
function lastNumber(turns: readonly TurnRecord[]): number {
  return turns.reduce((last, { number = 0 }) => Math.max(last, number), 0);
}

/**
 * Whether one of its tools has changed something outside, or may have. Handing over has not: the
 * agent goes back.
 */
function hasChangedThings(turn: TurnRecord): boolean {
  return toolMessagesOf(turn).some(
    ({ state, isRepeatable, handOver }) =>
      isRepeatable !== true && handOver === undefined && state !== 'interrupted',
  );
}
