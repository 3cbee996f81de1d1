import assert from 'node:assert/strict';

import type { Transcript } from '../../src/calls/call-event.ts';
import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import type { Message, ToolCallState } from '../../src/conversations/message.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import {
  openTurn, type TurnOpening, type TurnOpeningResult,
} from '../../src/conversations/turn-opening.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { BOUNDS, check, nextRun, runs, settle } from './checked-rules.ts';

interface Request {
  readonly turnId: string;
  readonly text: string;
  /** The call so far: see `transcriptOf`. */
  readonly lines?: readonly string[];
  readonly told?: Partial<Transcript>;
  readonly opening?: Partial<TurnOpening>;
}

export function ask(
  conversation: Conversation, { turnId, text, lines = [], told, opening }: Request,
): TurnOpeningResult {
  const transcript = transcriptOf(lines, told);
  const event = { turnId, runId: nextRun(), text, transcript, ...opening };
  const result = openTurn(conversation, event, BOUNDS);
  check(conversation);
  return result;
}

export function open(conversation: Conversation, request: Request): OpenedTurn {
  const opened = ask(conversation, request);
  assert.ok(opened instanceof OpenedTurn);
  return opened;
}

/** A request, and the complete reply to it. */
export function exchange(
  conversation: Conversation, turnId: string, text: string, reply: string | Message[],
  lines: readonly string[] = [],
): void {
  open(conversation, { turnId, text, lines });
  assert.equal(settle(conversation, turnId, 'completed', reply), true);
}

/** Turns t1, t2 … of texts such as `words > reply`. */
export function callOf(...texts: readonly string[]): Conversation {
  const conversation = emptyConversation('c');
  const lines: string[] = [];
  for (const [index, text] of texts.entries()) {
    const [words = '', reply = ''] = text.split(' > ');
    exchange(conversation, `t${index + 1}`, words, reply, lines);
    lines.push(`user: ${words}`, `agent: ${reply}`);
  }
  return conversation;
}

/** What a run that is interrupted now leaves. */
export function soFar(turnId: string, said: string): TurnSettlement {
  const messages: Message[] =
    said === '' ? [] : [{ role: 'assistant', content: said, turnId, state: 'interrupted' }];
  return { turnId, runId: runs, state: 'interrupted', messages };
}

/** The run of a turn ends, whatever has become of the turn. */
export function settleLate(conversation: Conversation, settlement: TurnSettlement): void {
  settleTurn(conversation, settlement, BOUNDS);
  check(conversation);
}

export function numbers(conversation: Conversation): (number | undefined)[] {
  return conversation.turns.map(({ number }) => number);
}

export function discarded(conversation: Conversation): string[] {
  return conversation.turns.filter(({ isDiscarded }) => isDiscarded).map(({ id }) => id);
}

/** A reply with one call of a tool. */
export function booking(
  turnId: string, state: ToolCallState = 'completed', isRepeatable?: true,
): Message[] {
  const toolCalls = [{ id: 'call-1', name: 'book', args: '{}' }];
  const result = { content: '"booked"', turnId, toolCallId: 'call-1', key: `key of ${turnId}` };
  return [
    { role: 'assistant', content: 'Let me see.', turnId, state: 'completed', toolCalls },
    {
      role: 'tool', ...result, state, ...(isRepeatable === undefined ? {} : { isRepeatable }),
    },
    { role: 'assistant', content: 'Booked.', turnId, state: 'completed' },
  ];
}
