// One conversation and what happens in it, for tests of its rules: after each step, everything
// that must always hold is checked.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import {
  add, addTurn, emptyConversation, findTurn, historyOf, tally, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { cutTurn, noteHeard } from '../../../src/core/conversations/heard.ts';
import type { ConversationBounds } from '../../../src/core/conversations/history-bounds.ts';
import type {
  AssistantMessage, Message, ToolMessage,
} from '../../../src/core/conversations/message.ts';
import { OpenedTurn } from '../../../src/core/conversations/opened-turn.ts';
import {
  noteProgress, noteToolResult, type NotedProgress, type ToolResult, type TurnProgress,
} from '../../../src/core/conversations/tool-call-rules.ts';
import {
  openTurn, type TurnOpening, type TurnOpeningResult,
} from '../../../src/core/conversations/turn-opening.ts';
import { messagesOf, type TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import {
  settleTurn, type TurnSettlement,
} from '../../../src/core/conversations/turn-settlement.ts';

export const BOUNDS: ConversationBounds = { maxMessages: 200, maxTextLength: 1_048_576 };

export const yes = (): boolean => true;
export const no = (): boolean => false;

/** What the agent said in a turn. */
export function reply(
  turnId: string, content: string, state: AssistantMessage['state'] = 'completed',
): AssistantMessage {
  return { role: 'assistant', content, turnId, state };
}

interface Round extends Partial<ToolMessage> {
  /** What was said before the call. */
  readonly said?: string;
  readonly saidState?: AssistantMessage['state'];
}

/** The messages of one call of a tool. It has returned, unless `result` says otherwise. */
export function round(
  turnId: string, id: string, { said = '', saidState = 'interrupted', ...result }: Round = {},
): [AssistantMessage, ToolMessage] {
  const about = { content: '{}', turnId, toolCallId: id, key: `key of ${id}` };
  return [
    { ...reply(turnId, said, saidState), toolCalls: [{ id, name: 'pay', args: '{}' }] },
    { role: 'tool', state: 'completed', ...about, ...result },
  ];
}

/** What a turn with a tool leaves. The call has no key, as if its arguments were not JSON. */
export function toolMessages(turnId: string): Message[] {
  const before = { said: 'Let me see.', saidState: 'completed', content: '42' } as const;
  const [asked, { key: _key, ...result }] = round(turnId, 'call-1', before);
  return [asked, result, reply(turnId, 'It is 42.')];
}

export class Talk {
  readonly conversation: Conversation = emptyConversation('c');
  readonly #bounds: ConversationBounds;
  /** The newest run of each turn. */
  readonly #runs = new Map<string, number>();
  #newestRun = 0;

  constructor(bounds: Partial<ConversationBounds> = {}) {
    this.#bounds = { ...BOUNDS, ...bounds };
  }

  get turns(): readonly TurnRecord[] {
    return this.conversation.turns;
  }

  turn(id: string): TurnRecord {
    return findTurn(this.conversation, id) ?? assert.fail(`there is no ${id}`);
  }

  runOf(turnId: string): number {
    return this.#runs.get(turnId) ?? this.#newestRun;
  }

  /** A delivery of a turn, whose words are its id. */
  ask(turnId: string, opening: Partial<TurnOpening> = {}): TurnOpeningResult {
    const { runId = ++this.#newestRun } = opening;
    this.#runs.set(turnId, runId);
    const delivery = { turnId, text: turnId, ...opening, runId };
    const result = openTurn(this.conversation, delivery, this.#bounds);
    if (result instanceof OpenedTurn) this.#runs.set(result.turnId, runId);
    this.check();
    return result;
  }

  /** A delivery whose turn begins. */
  open(turnId: string, opening?: Partial<TurnOpening>): OpenedTurn {
    const opened = this.ask(turnId, opening);
    assert.ok(opened instanceof OpenedTurn, opened.kind);
    return opened;
  }

  /** The newest run of a turn ends, or the one that `more` names. */
  settle(
    turnId: string, state: TurnSettlement['state'], said: string | readonly Message[] = '',
    more: Partial<TurnSettlement> = {},
  ): boolean {
    const { messages, ...run } = { ...this.soFar(turnId, state, said), ...more };
    const end = { ...run, messages: ofRun(run.runId, messages) };
    const written = settleTurn(this.conversation, end, this.#bounds);
    this.check();
    return written;
  }

  /** What the run of a turn leaves if it ends now. */
  soFar(
    turnId: string, state: TurnSettlement['state'], said: string | readonly Message[] = '',
  ): TurnSettlement {
    const words = said === '' ? [] : [reply(turnId, String(said), state)];
    const messages = typeof said === 'string' ? words : said;
    return { turnId, runId: this.runOf(turnId), state, messages };
  }

  /** A turn that completes. */
  exchange(
    turnId: string, said: string | readonly Message[], opening?: Partial<TurnOpening>,
  ): void {
    this.open(turnId, opening);
    assert.equal(this.settle(turnId, 'completed', said), true);
  }

  /** The newest run of a turn writes down what it has said and called. */
  progress(
    turnId: string, messages: readonly Message[], more: Partial<TurnProgress> = {},
  ): NotedProgress {
    const { runId = this.runOf(turnId) } = more;
    const run = { turnId, ...more, runId, messages: ofRun(runId, messages) };
    const noted = noteProgress(this.conversation, run, this.#bounds);
    this.check();
    return noted;
  }

  /** A call of the newest run of a turn returns. */
  result(turnId: string, toolCallId: string, more: Partial<ToolResult> = {}): boolean {
    const call = { turnId, runId: this.runOf(turnId), toolCallId };
    const result = { ...call, state: 'completed', content: '{"paid":1}', ...more } as const;
    const { isKept } = noteToolResult(this.conversation, result, this.#bounds);
    this.check();
    return isKept;
  }

  cut(textHeard: string | undefined, turnId?: string): ReturnType<typeof cutTurn> {
    const result = cutTurn(this.conversation, { textHeard, turnId }, this.#bounds);
    this.check();
    return result;
  }

  hear(textHeard: string | undefined, turnId?: string, by?: string): ReturnType<typeof noteHeard> {
    const result = noteHeard(this.conversation, { textHeard, turnId }, by);
    this.check();
    return result;
  }

  check(): void {
    check(this.conversation);
  }

  /** `user: words`, `assistant(state): words [tool]` and `tool: result`, the whole history. */
  get shown(): string[] {
    return historyOf(this.conversation).map((message) => {
      if (message.role !== 'assistant') return `${message.role}: ${message.content}`;
      const calls = (message.toolCalls ?? []).map(({ id }) => ` [${id}]`);
      return `assistant(${message.state}): ${message.content}${calls.join('')}`;
    });
  }

  /** What the caller said. */
  get words(): string[] {
    return historyOf(this.conversation)
      .flatMap(({ role, content }) => (role === 'user' ? [content] : []));
  }

  /** The tool calls in history, as `id state result`. */
  get calls(): string[] {
    return historyOf(this.conversation).flatMap((message) =>
      message.role === 'tool' ? [`${message.toolCallId} ${message.state} ${message.content}`] : []);
  }

  /** `t1: reply` of each turn that has ended with a reply, with `*` if it was interrupted. */
  get replies(): string[] {
    return repliesOf(this.conversation);
  }
}

/** A conversation of these turns. */
export function holding(...records: readonly TurnRecord[]): Conversation {
  const conversation = emptyConversation('c');
  for (const turn of structuredClone(records)) {
    addTurn(conversation, turn);
    add(conversation, turn);
  }
  tally(conversation);
  return conversation;
}

/** The messages as that run writes them. */
function ofRun(runId: number, messages: readonly Message[]): Message[] {
  return messages.map((message) => (message.role === 'tool' ? { runId, ...message } : message));
}

/** A test in a new conversation. */
export function inTalk(test: (talk: Talk, t: TestContext) => void): (t: TestContext) => void {
  return (t) => test(new Talk(), t);
}

export function repliesOf(conversation: Conversation): string[] {
  return historyOf(conversation).flatMap((message) => {
    if (message.role !== 'assistant' || message.state === 'open') return [];
    return [`${message.turnId}: ${message.content}${message.state === 'interrupted' ? ' *' : ''}`];
  });
}

/** Asserts that the sums are right, every message belongs to its turn, and it is plain JSON. */
export function check(conversation: Conversation): void {
  const { turns, state: kept = '', caller } = conversation;
  const turnIds = historyOf(conversation).map(({ turnId }) => turnId);
  const inOrder = turns.map(({ id }) => id).filter((id) => turnIds.includes(id));
  assert.deepEqual([...new Set(turnIds)], inOrder, 'messages in the order of their turns');
  const stored = turns.flatMap(messagesOf); // history holds little of a discarded turn
  const texts = [kept, caller?.sessionId, caller?.from, caller?.to];
  for (const message of stored) {
    texts.push(message.content);
    if (message.role === 'tool') texts.push(message.toolCallId);
    if (message.role === 'assistant')
      for (const { id, name, args } of message.toolCalls ?? []) texts.push(id, name, args);
  }
  for (const { heard, undo, sent = [] } of turns) {
    texts.push(undo, heard?.text, ...(heard?.lines ?? []));
    for (const event of sent) {
      if (event.type === 'say') texts.push(event.text);
      if (event.type === 'data') texts.push(event.json);
    }
  }
  const textLength = texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
  const openTurns = turns.filter(({ state }) => state === 'open').length;
  assert.equal(conversation.messageCount, stored.length, 'messageCount');
  assert.equal(conversation.textLength, textLength, 'textLength');
  assert.equal(conversation.openTurns, openTurns, 'openTurns');
  assert.equal(conversation.turnHashes.length, turns.length, 'turnHashes');
  for (const turn of turns) assert.equal(findTurn(conversation, turn.id), turn);
  assert.ok(openTurns <= 1, 'at most one turn is open');
  const { touched: _touched, reports: _reports, ...plain } = conversation;
  assert.deepEqual(JSON.parse(JSON.stringify(plain)), plain);
}
