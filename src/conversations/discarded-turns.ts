// What becomes of a turn that the platform has discarded, and of the one that replaces it.

import { goBack, type Conversation } from './conversation.ts';
import type { ToolMessage } from './message.ts';
import { toolMessagesOf, type TurnRecord } from './turn-record.ts';

/** What a turn finds in its place in the call. */
export interface Place {
  /** Whether no other run and no other turn was there before. */
  readonly isNew: boolean;
  /** Whether the state is again that before a discarded turn. */
  readonly hasGoneBack: boolean;
}

/**
 * Gives a turn its number: that of the first turn that it replaces, otherwise the next one. It does
 * not replace a discarded turn that others follow. The state and the agent go back to those before
 * the newest turn, if that was discarded and none of its tools has changed anything.
 */
export function takePlace(
  conversation: Conversation,
  record: TurnRecord,
  discarded: readonly TurnRecord[],
): Place {
  const replaced = record.number ?? numberOfReplaced(conversation.turns, record, discarded);
  record.number = replaced ?? nextNumber(conversation.turns);
  const { before } = conversation;
  const newest = discarded.at(-1);
  const mustGoBack =
    before !== undefined && newest?.id === before.turnId && !discarded.some(hasChangedThings);
  if (mustGoBack) goBack(conversation, before);
  const isNewest = conversation.turns.at(-1) === record;
  if (isNewest && conversation.before?.turnId !== record.id) {
    const { state, agent } = conversation;
    conversation.before = {
      turnId: record.id,
      ...(state === undefined ? {} : { state }),
      ...(agent === undefined ? {} : { agent }),
    };
  }
  return { isNew: replaced === undefined, hasGoneBack: mustGoBack };
}

/**
 * The calls that were made in a turn's place, by its earlier runs and by the turns it replaces.
 * Interrupted ones are left out. Of equal calls the last one says what is known.
 *
 * Where the state `hasGoneBack`, calls of replaced turns that may run again do so: what they have
 * noted in the state is gone.
 */
export function callsAtPlace(
  { turns }: Conversation, record: TurnRecord, { isNew, hasGoneBack }: Place,
): readonly ToolMessage[] {
  if (isNew) return [];
  const isReplaced = (turn: TurnRecord): boolean =>
    turn.isDiscarded === true && turn.number === record.number;
  return turns
    .filter((turn) => turn === record || isReplaced(turn))
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

/**
 * Undefined if it replaces none. A discarded turn that others follow is not replaced, nor one that
 * a turn of the transcript follows.
 */
function numberOfReplaced(
  turns: readonly TurnRecord[], record: TurnRecord, discarded: readonly TurnRecord[],
): number | undefined {
  if (discarded.length === 0) return undefined;
  let lastKept = 0;
  let last = -1;
  for (const [index, { number = 0, isDiscarded }] of turns.entries()) {
    if (isDiscarded === true || turns[index] === record) continue;
    lastKept = Math.max(lastKept, number);
    last = index;
  }
  return discarded.find(
    (turn) => (turn.number ?? 0) > lastKept && turns.indexOf(turn) > last,
  )?.number;
}

/**
 * Looks back to the last but one turn that was kept: their numbers grow, and no discarded turn
 * before that has a greater one. The newest turns are never trimmed.
 */
export function nextNumber(turns: readonly TurnRecord[]): number {
  let [last, kept] = [0, 0];
  for (let index = turns.length - 1; index >= 0 && kept < 2; index--) {
    const { number = 0, isDiscarded } = turns[index] ?? {};
    last = Math.max(last, number);
    if (number > 0 && isDiscarded !== true) kept += 1;
  }
  return last + 1;
}

/**
 * Whether one of its tools has changed something outside, or may have. Handing over has not, as the
 * agent goes back. Nor has a call that only waited for another turn's.
 */
function hasChangedThings(turn: TurnRecord): boolean {
  return toolMessagesOf(turn).some(
    ({ state, isRepeatable, handOver, joins }) =>
      isRepeatable !== true
      && joins !== true
      && handOver === undefined
      && state !== 'interrupted',
  );
}
