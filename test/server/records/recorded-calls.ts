// Calls whose turns are over, and a recorder whose archive is in memory.

import { createLogger } from '../../../src/base/log.ts';
import type { EndedCall } from '../../../src/core/calls/ended-call.ts';
import {
  emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { TurnFigures } from '../../../src/core/conversations/turn-figures.ts';
import { openTurn } from '../../../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../../../src/core/conversations/turn-settlement.ts';
import {
  callRecorder, type CallRecorder, type CallRecorderOptions,
} from '../../../src/server/records/call-recorder.ts';
import { CallArchiveInMemory } from './call-archive-in-memory.ts';

export const BOUNDS = { maxMessages: 200, maxTextLength: 100_000 };

export function callOf(sessionId: string): EndedCall {
  return {
    sessionId, conversationId: 'c-1', conversationKey: 'c-1', agent: 'bakery',
    wire: 'layercode', caller: undefined, startedAt: 1_000, endedAt: 66_000,
  };
}

let runs = 0;

interface TurnOptions {
  readonly process?: string;
  readonly messages?: readonly Message[];
  readonly figures?: Partial<TurnFigures>;
}

/** A turn of a session. Returns what ends it. */
export function beginTurn(
  conversation: Conversation, turnId: string, sessionId: string, options: TurnOptions = {},
): () => void {
  const { process, messages = [] } = options;
  runs += 1;
  const runId = runs;
  const figures = { sessionId, startedAt: 5_000, durationMs: 700, ...options.figures };
  openTurn(conversation, { turnId, runId, text: `words of ${turnId}`, figures, process }, BOUNDS);
  return () => {
    const settlement = { turnId, runId, state: 'completed', messages, figures } as const;
    settleTurn(conversation, settlement, BOUNDS);
  };
}

/** An ended turn of a session. */
export function addTurn(...turn: Parameters<typeof beginTurn>): void {
  beginTurn(...turn)();
}

/** A conversation with one turn of a session. */
export function spoken(sessionId = 's-1', process?: string): Conversation {
  const conversation = emptyConversation('c-1');
  addTurn(conversation, 't-1', sessionId, process === undefined ? {} : { process });
  return conversation;
}

export interface Opened {
  readonly recorder: CallRecorder;
  readonly archive: CallArchiveInMemory;
  /** What was logged, as `level message`. */
  readonly logged: () => readonly string[];
}

export function openRecorder(options: Partial<CallRecorderOptions> = {}): Opened {
  const archive = new CallArchiveInMemory();
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line) });
  const logged = (): string[] => lines.map((line) => {
    const { level, msg } = JSON.parse(line) as { level: string; msg: string };
    return `${level} ${msg}`;
  });
  return { recorder: callRecorder({ archive, log, ...options }), archive, logged };
}
