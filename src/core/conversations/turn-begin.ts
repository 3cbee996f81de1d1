// Gives a turn to a run.

import { keepFigures } from './captured-calls.ts';
import { add, subtract, type Conversation } from './conversation.ts';
import { roundsOf, type Message, type ToolMessage } from './message.ts';
import { earlierRounds } from './tool-call-rules.ts';
import type { TracedRun } from './trace-place.ts';
import type { TurnFigures } from './turn-figures.ts';
import { arrivalOf, type Arrival } from './turn-order.ts';
import {
  countRuns, earlierRunsOf, forgetRun, setMessages, setPlain, type TurnRecord,
} from './turn-record.ts';

/** The run that gets a turn. */
export interface BegunRun extends Arrival {
  /** The caller's words. Undefined if the caller did not begin the turn. */
  readonly text?: string | undefined;
  /** Set if calls are recorded. */
  readonly figures?: TurnFigures | undefined;
  /** Set if the run is traced. */
  readonly trace?: TracedRun | undefined;
}

/**
 * Gives the record of a turn to this run. If the turn ran before, it keeps the earlier calls that
 * cannot be undone. Returns whether there are any.
 */
export function begin(
  conversation: Conversation,
  record: TurnRecord,
  { runId, text, process, figures, trace, waitedMs }: BegunRun,
  isAgain: boolean,
): boolean {
  const { id: turnId } = record;
  const earlier = isAgain ? earlierRounds(record) : [];
  if (!isAgain || record.state !== 'open') conversation.openTurns += 1;
  record.state = 'open';
  if (isAgain) {
    if (process !== undefined) record.earlierRuns = earlierRunsOf(record);
    if (record.arrivedAt !== undefined) record.firstArrivedAt ??= record.arrivedAt;
    record.runs = countRuns(record) + 1;
  }
  record.runId = runId;
  if (process !== undefined) {
    record.process = process;
    record.arrivedAt = arrivalOf({ waitedMs });
  }
  if (figures !== undefined) keepFigures(conversation, record, figures);
  subtract(conversation, record);
  if (isAgain) forgetRun(record);
  if (trace !== undefined) record.trace = trace;
  if (earlier.length === 0)
    setPlain(record, text ?? null, ''); // the placeholder
  else {
    // A run that takes its turn back writes its own calls again.
    const isOwn = (call: ToolMessage): boolean => call.runId === runId;
    const leading: Message[] = [
      ...(text === undefined ? [] : [{ role: 'user', content: text, turnId } as const]),
      ...roundsOf(earlier, (call) => !isOwn(call), {}),
    ];
    const own = roundsOf(earlier, isOwn, {});
    setMessages(
      record,
      [...leading, ...own, { role: 'assistant', content: '', turnId, state: 'open' }],
      leading.length,
    );
  }
  add(conversation, record);
  return earlier.length > 0;
}
