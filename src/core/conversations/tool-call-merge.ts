// What one copy of a turn knows about tool calls and another does not.

import { roundsOf, type Message, type ToolCallState, type ToolMessage } from './message.ts';
import { hasFollowed, messagesOf, toolMessagesOf, type TurnRecord } from './turn-record.ts';

/** The messages of a turn. The first `kept` come before its current run. */
export interface MergedMessages {
  readonly messages: Message[];
  readonly kept: number | undefined;
}

/**
 * Of two copies of a call, the one with the greater state is right. Only the call's own run writes
 * `interrupted`, so that is more certain than `unknown`.
 */
const TRUTH = {
  running: 0, unknown: 1, interrupted: 2, completed: 3,
} as const satisfies Record<ToolCallState, number>;

/**
 * The messages of `record`, with what `other`, a copy of the same turn, knows about tool calls:
 * truer results of calls that both have, and the calls that `record` lacks, unless they were
 * interrupted. A later run of the turn knew what ran before it and forgot what was interrupted: so
 * only results are new to it, and calls still running at these `addresses` of this process, which
 * may have begun while the store did not answer. Added calls are put first, but after those of
 * earlier runs. Undefined if there is nothing to take over.
 *
 * Calls are the same if run and id are, because models repeat ids in other runs.
 */
export function withCallsOf(
  other: TurnRecord,
  record: TurnRecord,
  addresses?: ReadonlySet<string>,
): MergedMessages | undefined {
  return withCalls(other, toolMessagesOf(other), record, addresses);
}

/** The same, but takes only results from `other`. */
export function withResultsOf(other: TurnRecord, record: TurnRecord): MergedMessages | undefined {
  const results = toolMessagesOf(other).filter(({ state }) => state === 'completed');
  return withCalls(other, results, record);
}

function withCalls(
  other: TurnRecord,
  theirs: readonly ToolMessage[],
  record: TurnRecord,
  addresses?: ReadonlySet<string>,
): MergedMessages | undefined {
  if (theirs.length === 0) return undefined;
  const own = messagesOf(record);
  const calls = toolMessagesOf(record);
  const truer = new Map<Message, ToolMessage>();
  for (const call of calls) {
    const found = theirs.find((their) => isSameCall(call, their));
    if (found !== undefined && TRUTH[found.state] > TRUTH[call.state]) truer.set(call, found);
  }
  const isOfEarlierRun = hasFollowed(record, other);
  const runsHere = ({ state, process, joins }: ToolMessage): boolean =>
    state === 'running' && joins !== true && process !== undefined
    && addresses?.has(process) === true;
  const isWanted = (call: ToolMessage): boolean =>
    call.state === 'completed'
    || (isOfEarlierRun ? runsHere(call) : call.state !== 'interrupted');
  const missing = theirs.filter(
    (their) =>
      isWanted(their)
      && !calls.some((call) => isSameCall(call, their) || isSameResult(call, their)),
  );
  if (truer.size === 0 && missing.length === 0) return undefined;
  const messages = own.map((message) => truer.get(message) ?? message);
  const roundsWith = (isOwn: boolean, content: { readonly content?: string }): Message[] =>
    roundsOf(
      messagesOf(other),
      (call) => missing.includes(call) && (call.runId === record.runId) === isOwn,
      { ...content, state: 'interrupted' },
    );
  const rounds = roundsWith(false, {});
  const current = roundsWith(true, { content: '' }); // it may still write its own words
  if (rounds.length + current.length === 0) return { messages, kept: record.kept };
  const leading = record.kept ?? own.filter(({ role }) => role === 'user').length;
  messages.splice(leading, 0, ...rounds, ...current);
  return { messages, kept: leading + rounds.length };
}

/** Whether one of the calls waited for the other. A later run keeps only one of their results. */
function isSameResult(a: ToolMessage, b: ToolMessage): boolean {
  const isSameKey = a.key !== undefined && a.key === b.key;
  return isSameKey && a.state === 'completed' && b.state === a.state && a.content === b.content;
}

function isSameCall(a: ToolMessage, b: ToolMessage): boolean {
  return a.toolCallId === b.toolCallId && a.runId === b.runId;
}
