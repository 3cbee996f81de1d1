import type { CallRecord } from '../../records/call-record.ts';
import {
  slowestOf, storyOf, type SlowThing, type StoryLine, type ToldTurn,
} from '../../records/call-story.ts';
import { printable } from '../terminal/printable.ts';

/** How many of the slowest things are shown. */
const SLOWEST = 3;

/**
 * A call to read on a terminal: what it was, its turns in order, and what took longest.
 * `hasRequests`: with what models were sent, if that was captured.
 */
export function describedCall(record: CallRecord, hasRequests: boolean): string {
  const { conversationId, sessionId, agent, from, to, tokens, cost, state } = record;
  const { input = 0, output = 0, isEstimated } = tokens;
  const slowest = slowestOf(record, SLOWEST);
  const lines = [
    `session       ${sessionId}`,
    `conversation  ${conversationId}`,
    `agent         ${agent}`,
    ...((from ?? to) === undefined ? [] : [`caller        ${from ?? '?'} → ${to ?? '?'}`]),
    `time          ${record.startedAt} – ${record.endedAt}, ${record.outcome}`,
    `tokens        ${input} in, ${output} out${isEstimated === true ? ', partly estimated' : ''}`,
    ...(cost === undefined ? [] : [`cost          ${cost}`]),
    ...storyOf(record).flatMap((turn) => toldLines(turn, hasRequests)),
    ...(state === undefined ? [] : ['', `state         ${JSON.stringify(state)}`]),
    ...(slowest.length === 0 ? [] : ['', 'slowest', ...slowest.map(slowLine)]),
  ];
  return lines.map((line) => `${printable(line, ' ')}\n`).join('');
}

function toldLines({ heading, lines }: ToldTurn, hasRequests: boolean): readonly string[] {
  const told = lines.flatMap((line) => [
    lineOf(line),
    ...(hasRequests ? (line.details ?? []).map((detail) => `  ${detail}`) : []),
  ]);
  return ['', heading, ...told];
}

/** An agent's line has the name of the agent that spoke, if it is another one than the call's. */
function lineOf({ kind, text, speaker, atMs, durationMs }: StoryLine): string {
  const took = durationMs === undefined ? '' : ` (${durationMs} ms)`;
  switch (kind) {
    case 'agent':
      return `${speaker ?? 'agent'}: ${text}`;
    case 'filler':
      return `filler${atMs === undefined ? '' : ` after ${atMs} ms`}: ${text}`;
    case 'failure':
      return `failed: ${text}`;
    case 'store':
      return `waited for the store${took}`;
    default:
      return `${kind}: ${text}${took}`;
  }
}

function slowLine({ what, durationMs, turn }: SlowThing): string {
  return `  ${String(durationMs).padStart(7)} ms  ${what}, in the turn at ${turn}`;
}
