import type { CallRecord } from '../../server/records/call-record.ts';
import {
  slowestOf, storyOf, type SlowThing, type StoryLine, type TurnStory,
} from '../../server/records/call-story.ts';
import { printable } from '../terminal/text.ts';

const SLOWEST = 3;

/**
 * A call as text for a terminal: what it was, its turns in order, and what took longest.
 * `hasRequests`: including what models were sent, if that was captured.
 */
export function describedCall(record: CallRecord, hasRequests: boolean): string {
  const { state } = record;
  const slowest = slowestLines(record);
  const lines = [
    ...factsOf(record).map(factLine),
    ...storyOf(record).flatMap((turn) => storyLines(turn, hasRequests)),
    ...(state === undefined ? [] : ['', factLine(['state', JSON.stringify(state)])]),
    ...(slowest.length === 0 ? [] : ['', 'slowest', ...slowest.map((line) => `  ${line}`)]),
  ];
  return lines.map((line) => `${printable(line, ' ')}\n`).join('');
}

/** What is known about a call as a whole, by name. */
export function factsOf(record: CallRecord): readonly (readonly [name: string, value: string])[] {
  const { conversationId, sessionId, agent, from, to, tokens, cost } = record;
  const { input = 0, output = 0, isEstimated } = tokens;
  return [
    ['session', sessionId],
    ['conversation', conversationId],
    ['agent', agent],
    ...((from ?? to) === undefined ? [] : [['caller', `${from ?? '?'} → ${to ?? '?'}`] as const]),
    ['time', `${record.startedAt} – ${record.endedAt}, ${record.outcome}`],
    ['tokens', `${input} in, ${output} out${isEstimated === true ? ', partly estimated' : ''}`],
    ...(cost === undefined ? [] : [['cost', String(cost)] as const]),
  ];
}

function factLine([name, value]: readonly [name: string, value: string]): string {
  return `${name.padEnd(14)}${value}`;
}

export function slowestLines(record: CallRecord): readonly string[] {
  return slowestOf(record, SLOWEST).map(slowLine);
}

function storyLines({ heading, lines }: TurnStory, hasRequests: boolean): readonly string[] {
  const shown = lines.flatMap((line) => [
    lineOf(line),
    ...(hasRequests ? (line.details ?? []).map((detail) => `  ${detail}`) : []),
  ]);
  return ['', heading, ...shown];
}

function lineOf(line: StoryLine): string {
  const { text, durationMs } = line;
  const took = durationMs === undefined ? '' : ` (${durationMs} ms)`;
  return `${labelOf(line)}${text === '' ? '' : `: ${text}`}${took}`;
}

/** An agent's line names the agent that spoke, if it is not the call's own. */
export function labelOf({ kind, speaker, atMs }: StoryLine): string {
  switch (kind) {
    case 'agent':
      return speaker ?? 'agent';
    case 'filler':
      return `filler${atMs === undefined ? '' : ` after ${atMs} ms`}`;
    case 'failure':
      return 'failed';
    case 'store':
      return 'waited for the store';
    case 'settling':
      return 'waited for SETTLE_MS';
    default:
      return kind;
  }
}

function slowLine({ what, durationMs, turn }: SlowThing): string {
  return `${String(durationMs).padStart(7)} ms  ${what}, in the turn at ${turn}`;
}
