import {
  toolFiguresIn, toolOutcomeOf, waitForWords, type CallOutcome, type CallRecord,
  type RecordedTurn,
} from './call-record.ts';
import { isSameNumber } from './phone-number.ts';

export const TOOL_OUTCOMES = ['unknown', 'failed'] as const;

/** Which calls match. An undefined field excludes no call. */
export interface CallFilter {
  /** The caller's number. */
  readonly from?: string | undefined;
  /** The caller's number, or the number called. */
  readonly number?: string | undefined;
  /** A UTC day such as `2026-11-25`. */
  readonly day?: string | undefined;
  readonly outcome?: CallOutcome | undefined;
  /** The call's agent, or one that spoke after a hand-over. */
  readonly agent?: string | undefined;
  /** A tool that was called. */
  readonly tool?: string | undefined;
  /** The outcome of a call to `tool`, or to any tool. */
  readonly toolOutcome?: (typeof TOOL_OUTCOMES)[number] | undefined;
  /**
   * In milliseconds. A turn had no first word within this time, not counting fillers. A turn whose
   * process died counts if it said nothing.
   */
  readonly slowerThanMs?: number | undefined;
  /** A turn failed. */
  readonly hasFailed?: boolean | undefined;
}

export function isMeant(record: CallRecord, filter: CallFilter): boolean {
  const { number, day, outcome, agent, tool, toolOutcome, slowerThanMs, hasFailed } = filter;
  const { from, to, startedAt, turns } = record;
  const messages = turns.flatMap((turn) => turn.messages);
  return (
    (filter.from === undefined || isSameNumber(filter.from, from))
    && (number === undefined || isSameNumber(number, from) || isSameNumber(number, to))
    && (day === undefined || startedAt.startsWith(`${day}T`))
    && (outcome === undefined || record.outcome === outcome)
    && (agent === undefined
      || record.agent === agent || messages.some((message) => message.agent === agent))
    && (tool === undefined
      || messages.some(({ toolCalls = [] }) => toolCalls.some(({ name }) => name === tool)))
    && (toolOutcome === undefined
      || turns.some((turn) => toolOutcomesIn(turn, tool).includes(toolOutcome)))
    && (slowerThanMs === undefined
      || turns.some((turn) => (waitForWords(turn) ?? waitWithoutEnd(turn)) > slowerThanMs))
    && (hasFailed !== true || turns.some((turn) => turn.outcome === 'failed'))
  );
}

/** The outcomes of calls to the tool, or to any tool if undefined. */
function toolOutcomesIn(turn: RecordedTurn, tool: string | undefined): readonly unknown[] {
  const calls = turn.messages.flatMap(({ toolCalls = [] }) => toolCalls);
  const figures = toolFiguresIn(turn);
  const ids = calls.filter(({ name }) => tool === undefined || name === tool).map(({ id }) => id);
  return turn.messages
    .filter(({ toolCallId }) => toolCallId !== undefined && ids.includes(toolCallId))
    .map((message) => toolOutcomeOf(message, figures.get(message.toolCallId)));
}

/** The wait in a turn without times: it is still running, or its process died. */
function waitWithoutEnd({ outcome, messages }: RecordedTurn): number {
  const hasSpoken = messages.some(({ role, content }) => role === 'assistant' && content !== '');
  return outcome === 'open' && !hasSpoken ? Infinity : 0;
}
