// What becomes of a turn that the platform has discarded, and of the one that replaces it.

import { takeBack } from './agent-state.ts';
import type { Conversation } from './conversation.ts';
import type { AssistantMessage, Message, ToolCall, ToolMessage } from './message.ts';
import type { TurnRecord } from './turn-record.ts';

/**
 * Gives a turn its number: that of the first turn it replaces, otherwise the next one. A discarded
 * turn that others follow is not replaced. Changes that discarded turns made to the state are taken
 * back, and so is a hand-over. Returns whether another run or turn was in its place before.
 */
export function takePlace(
  conversation: Conversation,
  record: TurnRecord,
  discarded: readonly TurnRecord[],
  linesBefore: number,
): boolean {
  const replaced = record.number ?? numberOfReplaced(conversation.turns, discarded, record);
  record.number = replaced ?? nextNumber(conversation.turns, linesBefore);
  takeBack(conversation, discarded);
  return replaced !== undefined;
}

/** A call of an earlier run of a turn, or of a turn that it replaces. */
export interface EarlierToolCall extends ToolMessage {
  /**
   * Set on a wire whose turns replace others: what was called, by which agent, and whether by a
   * turn in another place. Such a call had a different key from the one it would have now.
   */
  readonly of?: {
    readonly call: ToolCall;
    readonly agent: string | undefined;
    readonly isOtherPlace: boolean;
  };
}

/**
 * The calls that were made in a turn's place, by its earlier runs and by the turns it replaces.
 * Interrupted ones are left out. Of identical calls, the most certain comes last.
 *
 * Repeatable calls of replaced turns are left out, too, and so run again: what they noted in the
 * state has been taken back.
 */
export function callsAtPlace(
  { turns }: Conversation,
  record: TurnRecord,
): readonly EarlierToolCall[] {
  return turnsAtPlace(turns, record)
    .flatMap((turn) =>
      callsIn(turn.messages ?? [], turn.number !== record.number).filter(
        ({ isRepeatable }) => turn === record || isRepeatable !== true,
      ),
    )
    .filter(({ state }) => state !== 'interrupted')
    .sort((a, b) => certaintyOf(a) - certaintyOf(b));
}

/** The turn and those it replaces: several, if the platform has joined their words. */
function turnsAtPlace(turns: readonly TurnRecord[], record: TurnRecord): readonly TurnRecord[] {
  const { number: first = 0 } = record;
  const own = turns.indexOf(record);
  const next = turns.slice(own + 1).find(
    ({ number, isDiscarded }) => number !== undefined && isDiscarded !== true,
  );
  const end = next?.number ?? Infinity;
  return turns.filter((turn, index) => {
    if (turn === record) return true;
    const { number = 0, isDiscarded } = turn;
    if (isDiscarded !== true) return false;
    return number === first || (index < own && number > first && number < end);
  });
}

/** The calls among the messages of a turn, for a later run of it. */
export function earlierCallsIn(
  { number }: TurnRecord,
  messages: readonly Message[],
): readonly EarlierToolCall[] {
  if (number !== undefined) return callsIn(messages, false);
  return messages.filter((message) => message.role === 'tool');
}

function callsIn(messages: readonly Message[], isOtherPlace: boolean): readonly EarlierToolCall[] {
  let asked: AssistantMessage | undefined;
  return messages.flatMap((message): EarlierToolCall[] => {
    if (message.role === 'assistant') asked = message;
    if (message.role !== 'tool') return [];
    const call = asked?.toolCalls?.find(({ id }) => id === message.toolCallId);
    if (call === undefined) return [message];
    return [{ ...message, of: { call, agent: asked?.agent, isOtherPlace } }];
  });
}

/** A call that only waits for an identical one is less certain than that one. */
function certaintyOf({ state, joins }: ToolMessage): number {
  if (state === 'completed') return 2;
  return joins === true ? 0 : 1;
}

/**
 * The number of the turn that another one replaces. Undefined if it replaces none. A discarded turn
 * is not replaced if others follow it, even if only the transcript reports them. `record` is the
 * replacing turn itself, if it has been added.
 */
export function numberOfReplaced(
  turns: readonly TurnRecord[],
  discarded: readonly TurnRecord[],
  record?: TurnRecord,
): number | undefined {
  if (discarded.length === 0) return undefined;
  let lastKept = 0;
  let last = -1;
  for (const [index, turn] of turns.entries()) {
    if (turn.isDiscarded === true || turn === record || discarded.includes(turn)) continue;
    lastKept = Math.max(lastKept, turn.number ?? 0);
    last = index;
  }
  return discarded.find(
    (turn) => (turn.number ?? 0) > lastKept && turns.indexOf(turn) > last,
  )?.number;
}

/**
 * The number after the greatest so far, and after all `linesBefore` it in the platform's call: a
 * conversation that was lost or erased in mid-call must not reuse a number, which would be in the
 * keys of other tool calls. It is enough to look back to the last but one kept turn: numbers of
 * kept turns grow, and no discarded turn before that one has a greater number. The newest turns are
 * never trimmed.
 */
export function nextNumber(turns: readonly TurnRecord[], linesBefore = 0): number {
  let [last, kept] = [linesBefore, 0];
  for (let index = turns.length - 1; index >= 0 && kept < 2; index--) {
    const { number = 0, isDiscarded } = turns[index] ?? {};
    last = Math.max(last, number);
    if (number > 0 && isDiscarded !== true) kept += 1;
  }
  return last + 1;
}
