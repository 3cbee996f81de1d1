// The rules of a conversation, for tests: after each, everything that must always hold is checked.

import assert from 'node:assert/strict';

import type { Interruption } from '../../src/calls/call-event.ts';
import type { SentEvent } from '../../src/calls/reply-event.ts';
import type { ConversationBounds } from '../../src/conversations/bounds.ts';
import {
  emptyConversation,
  findTurn,
  hasOpenTurn,
  historyOf,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import { cutTurn } from '../../src/conversations/heard.ts';
import type { Message } from '../../src/conversations/message.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { messagesOf } from '../../src/conversations/turn-record.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';

export const BOUNDS: ConversationBounds = { maxMessages: 200, maxTextLength: 1_048_576 };
/** The id of the newest run. */
export let runs = 0;

export function nextRun(): number {
  return ++runs;
}

export function open(
  conversation: Conversation,
  turnId: string,
  text?: string,
  interruption?: Interruption,
  bounds = BOUNDS,
  runId = nextRun(),
): OpenedTurn {
  const opened = openTurn(conversation, { turnId, runId, text, interruption }, bounds);
  assert.ok(opened instanceof OpenedTurn);
  check(conversation);
  return opened;
}

export function settle(
  conversation: Conversation,
  turnId: string,
  state: TurnSettlement['state'],
  said: string | Message[],
  sent?: readonly SentEvent[],
  bounds = BOUNDS,
  runId = runs,
): boolean {
  const messages: Message[] =
    typeof said !== 'string'
      ? said
      : said === ''
        ? []
        : [{ role: 'assistant', content: said, turnId, state }];
  const written = settleTurn(conversation, { turnId, runId, state, messages, sent }, bounds);
  check(conversation);
  return written;
}

/** A whole exchange. */
export function exchange(
  conversation: Conversation,
  turnId: string,
  asked: string,
  said: string,
  bounds = BOUNDS,
): void {
  open(conversation, turnId, asked, undefined, bounds);
  assert.equal(settle(conversation, turnId, 'completed', said, undefined, bounds), true);
}

export function cut(
  conversation: Conversation,
  textHeard: string | undefined,
  turnId?: string,
): ReturnType<typeof cutTurn> {
  const result = cutTurn(conversation, { textHeard, turnId }, BOUNDS);
  check(conversation);
  return result;
}

/** `user: words` and `assistant(state): words`, the whole history. */
export function shown(conversation: Conversation): string[] {
  return historyOf(conversation).map((message) => {
    const calls =
      message.role === 'assistant' && message.toolCalls !== undefined
        ? ` [${message.toolCalls.map(({ name }) => name).join()}]`
        : '';
    const state = message.role === 'assistant' ? `(${message.state})` : '';
    return `${message.role}${state}: ${message.content}${calls}`;
  });
}

/** The sums are what they are sums of, every message belongs to its turn, and it is plain JSON. */
export function check(conversation: Conversation): void {
  let textLength = 0;
  const turnIds = historyOf(conversation).map(({ turnId }) => turnId);
  assert.deepEqual(
    [...new Set(turnIds)],
    conversation.turns.map(({ id }) => id).filter((id) => turnIds.includes(id)),
    'messages in the order of their turns',
  );
  const stored = conversation.turns.flatMap(messagesOf); // history holds little of a discarded turn
  for (const message of stored) {
    textLength += message.content.length;
    if (message.role === 'assistant')
      for (const call of message.toolCalls ?? []) textLength += call.name.length + call.args.length;
  }
  for (const turn of conversation.turns) {
    for (const text of [turn.heard?.text ?? '', ...(turn.heard?.lines ?? [])])
      textLength += text.length;
    textLength += turn.undo?.length ?? 0;
    for (const event of turn.sent ?? [])
      textLength +=
        event.type === 'say' ? event.text.length : event.type === 'data' ? event.json.length : 0;
  }
  const { state: kept = '', caller } = conversation;
  for (const text of [kept, caller?.sessionId, caller?.from, caller?.to])
    textLength += text?.length ?? 0;
  assert.equal(conversation.messageCount, stored.length, 'messageCount');
  assert.equal(conversation.textLength, textLength, 'textLength');
  assert.equal(
    conversation.openTurns,
    conversation.turns.filter(({ state }) => state === 'open').length,
    'openTurns',
  );
  assert.equal(conversation.turnHashes.length, conversation.turns.length, 'turnHashes');
  for (const turn of conversation.turns) assert.equal(findTurn(conversation, turn.id), turn);
  assert.equal(hasOpenTurn(conversation), conversation.openTurns > 0);
  assert.ok(conversation.openTurns <= 1, 'at most one turn is open');
  assert.deepEqual(JSON.parse(JSON.stringify(conversation)), conversation);
}

export function assertErased(conversation: Conversation): void {
  const erasedAt = conversation.erasedAt ?? assert.fail('without a mark');
  assert.deepEqual(conversation, { ...emptyConversation('c'), erasedAt });
}

/** What a turn with a tool leaves. */
export function toolMessages(turnId: string): Message[] {
  return [
    {
      role: 'assistant',
      content: 'Let me see.',
      turnId,
      state: 'completed',
      toolCalls: [{ id: 'call-1', name: 'look', args: '{"q":"x"}' }],
    },
    { role: 'tool', content: '42', turnId, toolCallId: 'call-1', state: 'completed' },
    { role: 'assistant', content: 'It is 42.', turnId, state: 'completed' },
  ];
}
