// A platform sends the whole call with each request: what that changes in a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Transcript } from '../../src/calls/call-event.ts';
import {
  emptyConversation, findTurn, keepAgent, keepState, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { Message, ToolCallState } from '../../src/conversations/message.ts';
import {
  openTurn, OpenedTurn, settleTurn, type TurnOpening, type TurnOpeningResult, type TurnSettlement,
} from '../../src/conversations/rules.ts';
import type { RunWrite } from '../../src/conversations/run-write.ts';
import { noteToolResult } from '../../src/conversations/tool-call-rules.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { BOUNDS, check, nextRun, runs, settle, shown } from './checked-rules.ts';

const HOURS = 'We open at nine. We close at six.';

interface Request {
  readonly turnId: string;
  readonly text: string;
  /** The call so far: see `transcriptOf`. */
  readonly lines?: readonly string[];
  readonly told?: Partial<Transcript>;
  readonly opening?: Partial<TurnOpening>;
}

function ask(
  conversation: Conversation, { turnId, text, lines = [], told, opening }: Request,
): TurnOpeningResult {
  const transcript = transcriptOf(lines, told);
  const event = { turnId, runId: nextRun(), text, transcript, ...opening };
  const result = openTurn(conversation, event, BOUNDS);
  check(conversation);
  return result;
}

function open(conversation: Conversation, request: Request): OpenedTurn {
  const opened = ask(conversation, request);
  assert.ok(opened instanceof OpenedTurn);
  return opened;
}

/** A request, and the complete reply to it. */
function exchange(
  conversation: Conversation, turnId: string, text: string, reply: string | Message[],
  lines: readonly string[] = [],
): void {
  open(conversation, { turnId, text, lines });
  assert.equal(settle(conversation, turnId, 'completed', reply), true);
}

/** Turns t1, t2 … of texts such as `words > reply`. */
function callOf(...texts: readonly string[]): Conversation {
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
function soFar(turnId: string, said: string): TurnSettlement {
  const messages: Message[] =
    said === '' ? [] : [{ role: 'assistant', content: said, turnId, state: 'interrupted' }];
  return { turnId, runId: runs, state: 'interrupted', messages };
}

/** The run of a turn ends, whatever has become of the turn. */
function settleLate(conversation: Conversation, settlement: TurnSettlement): RunWrite {
  const written = settleTurn(conversation, settlement, BOUNDS);
  check(conversation);
  return written;
}

function numbers(conversation: Conversation): (number | undefined)[] {
  return conversation.turns.map(({ number }) => number);
}

function discarded(conversation: Conversation): string[] {
  return conversation.turns.filter(({ isDiscarded }) => isDiscarded).map(({ id }) => id);
}

/** A reply with one call of a tool. */
function booking(
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

describe('a request of a call that is not known', () => {
  const lines = ['agent: Welcome.', 'user: A', 'agent: a', 'agent: More.', 'user: B'];

  it('brings the whole call', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'C', lines });
    assert.deepEqual(shown(conversation), [
      'assistant(completed): Welcome.',
      'user: A',
      'assistant(completed): a More.',
      'user: B',
      'user: C',
      'assistant(open): ',
    ]);
  });

  it('shows it to the agent', () => {
    const conversation = emptyConversation('c');
    const opened = open(conversation, { turnId: 't1', text: 'C', lines });
    const texts = opened.history().map(({ content }) => content);
    assert.deepEqual(texts, ['Welcome.', 'A', 'a More.', 'B', 'C']);
  });

  it('begins the conversation', () => {
    const opened = open(emptyConversation('c'), { turnId: 't1', text: 'C', lines });
    assert.equal(opened.isResumed, false);
  });

  it('makes turns with the same ids when it is tried again', () => {
    const [first, second] = [emptyConversation('c'), emptyConversation('c')];
    for (const conversation of [first, second])
      open(conversation, { turnId: 't1', text: 'C', lines });
    assert.deepEqual(first.turns.map(({ id }) => id), second.turns.map(({ id }) => id));
  });

  it('brings equal words as often as they were said', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'C', lines: ['user: Yes.', 'user: Yes.'] });
    const words = ['user: Yes.', 'user: Yes.', 'user: C', 'assistant(open): '];
    assert.deepEqual(shown(conversation), words);
  });

  it('is not changed by the next request, which brings it once more', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'C', 'c', lines);
    const before = shown(conversation);
    open(conversation, { turnId: 't2', text: 'D', lines: [...lines, 'user: C', 'agent: c'] });
    assert.deepEqual(shown(conversation).slice(0, -2), before);
  });
});

describe("the platform's greeting", () => {
  it('stands before the first words', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome.']);
    const all = ['assistant(completed): Welcome.', 'user: A', 'assistant(completed): a'];
    assert.deepEqual(shown(conversation), all);
  });

  it('is there once when the first words are corrected', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome.']);
    exchange(conversation, 't2', 'A and B', 'b', ['agent: Welcome.']);
    const all = ['assistant(completed): Welcome.', 'user: A and B', 'assistant(completed): b'];
    assert.deepEqual(shown(conversation), all);
  });

  it('is gone if none of it was heard', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome to the bakery.']);
    exchange(conversation, 't2', 'A and B', 'b');
    assert.deepEqual(shown(conversation), ['user: A and B', 'assistant(completed): b']);
  });

  it('is cut to what was heard of it', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome to the bakery.']);
    exchange(conversation, 't2', 'A and B', 'b', ['agent: Welcome']);
    assert.equal(shown(conversation)[0], 'assistant(interrupted): Welcome');
  });
});

describe('a request for another reply to the newest words', () => {
  it('replaces the turn, under the same number', () => {
    const conversation = callOf('A > a', 'Book a table > For how many?');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't3', 'Book a table for two', 'Booked.', lines);
    assert.deepEqual(shown(conversation), [
      'user: A', 'assistant(completed): a',
      'user: Book a table for two', 'assistant(completed): Booked.',
    ]);
    assert.deepEqual(numbers(conversation), [1, 2, 2]);
  });

  it('keeps what it replaces, as discarded', () => {
    const conversation = callOf('A > a', 'B > b');
    open(conversation, { turnId: 't3', text: 'B and C', lines: ['user: A', 'agent: a'] });
    assert.deepEqual(discarded(conversation), ['t2']);
  });

  it('replaces the first turn of the call', () => {
    const conversation = callOf('Book > b');
    open(conversation, { turnId: 't2', text: 'Book it' });
    assert.deepEqual(shown(conversation), ['user: Book it', 'assistant(open): ']);
    assert.deepEqual(numbers(conversation), [1, 1]);
  });

  it('replaces a turn that runs', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    open(conversation, { turnId: 't2', text: 'B', lines });
    const running = [soFar('t2', 'I will')];
    open(conversation, { turnId: 't3', text: 'B and C', lines, opening: { running } });
    assert.deepEqual(discarded(conversation), ['t2']);
    assert.equal(findTurn(conversation, 't2')?.state, 'interrupted');
  });

  it('replaces what has replaced another one, under the number of the first', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    for (const [index, text] of ['B', 'B and C', 'B and C and D'].entries())
      open(conversation, { turnId: `t${index + 2}`, text, lines });
    assert.deepEqual(numbers(conversation), [1, 2, 2, 2]);
    assert.deepEqual(discarded(conversation), ['t2', 't3']);
  });

  it('leaves the next number to the next words', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't3', 'B and C', 'c', lines);
    open(conversation, {
      turnId: 't4', text: 'D', lines: [...lines, 'user: B and C', 'agent: c'],
    });
    assert.deepEqual(numbers(conversation), [1, 2, 2, 3]);
  });

  it('is known by its number, and not by its id, to the keys of its tools', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a'];
    assert.equal(open(conversation, { turnId: 't3', text: 'B and C', lines }).place, '\u00002');
  });

  it('is told the calls that were made in its place', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2'), lines);
    const { earlierCalls } = open(conversation, { turnId: 't3', text: 'Book it', lines });
    assert.deepEqual(earlierCalls.map(({ key, state }) => [key, state]), [
      ['key of t2', 'completed'],
    ]);
  });

  for (const state of ['interrupted', 'unknown'] as const)
    it(`is told the result of a call, though an equal one of a turn behind is ${state}`, () => {
      const conversation = callOf('A > a');
      const lines = ['user: A', 'agent: a'];
      exchange(conversation, 't2', 'Book', booking('t2'), lines);
      const joined = booking('t2', state).map((message) => ({ ...message, turnId: 't3' }));
      exchange(conversation, 't3', 'Book it', joined, lines);
      const { earlierCalls } = open(conversation, { turnId: 't4', text: 'Book it now', lines });
      // The last of those with one key is believed.
      assert.equal(earlierCalls.findLast(({ key }) => key === 'key of t2')?.state, 'completed');
    });

  it('is told of no call that was interrupted', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2', 'interrupted'), lines);
    const { earlierCalls } = open(conversation, { turnId: 't3', text: 'Book it', lines });
    assert.deepEqual(earlierCalls, []);
  });

  it('is not told calls of turns that were replaced elsewhere', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2'), lines);
    exchange(conversation, 't3', 'Book it', 'Fine.', lines);
    const all = [...lines, 'user: Book it', 'agent: Fine.'];
    const { earlierCalls } = open(conversation, { turnId: 't4', text: 'Thanks', lines: all });
    assert.deepEqual(earlierCalls, []);
  });

  it('is not told calls of other places', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Book', booking('t1'));
    const lines = ['user: Book', 'agent: Let me see. Booked.'];
    const { earlierCalls } = open(conversation, { turnId: 't2', text: 'Book it', lines });
    assert.deepEqual(earlierCalls, []);
  });
});

describe('a request that comes late', () => {
  const lines = ['user: A', 'agent: a'];
  const late = { turnId: 't3', text: 'Book a table', lines };

  it('is stale while the turn runs that has its words and more', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'Book a table for two', lines });
    const running = [soFar('t2', '')];
    assert.deepEqual(ask(conversation, { ...late, opening: { running } }), { kind: 'stale' });
  });

  it('is stale after that turn has completed', () => {
    const conversation = callOf('A > a', 'Book a table for two > Booked.');
    assert.deepEqual(ask(conversation, late), { kind: 'stale' });
  });

  it('is stale at the beginning of the call', () => {
    const conversation = callOf('Book a table for two > Booked.');
    assert.deepEqual(ask(conversation, { ...late, lines: [] }), { kind: 'stale' });
  });

  it('changes nothing', () => {
    const conversation = callOf('A > a', 'Book a table for two > Booked.');
    const before = structuredClone(conversation);
    ask(conversation, late);
    assert.deepEqual(conversation, before);
  });

  it('is a turn of its own if the call has gone on', () => {
    const conversation = callOf('A > a', 'Book a table for two > Booked.');
    const all = [...lines, 'user: Book a table for two', 'agent: Booked.'];
    open(conversation, { ...late, lines: all });
    assert.deepEqual(shown(conversation).slice(-2), ['user: Book a table', 'assistant(open): ']);
  });

  it('is stale when it was discarded before, and is delivered again', () => {
    const conversation = callOf('A > a', 'Book a table > For how many?');
    open(conversation, { turnId: 't3', text: 'Book a table for two', lines });
    assert.deepEqual(ask(conversation, { ...late, turnId: 't2' }), { kind: 'stale' });
  });
});

describe("the caller's words in a transcript", () => {
  it('are added where we lack them', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a', 'user: B', 'agent: b', 'user: X', 'agent: x'];
    open(conversation, { turnId: 't3', text: 'C', lines });
    assert.deepEqual(shown(conversation), [
      'user: A', 'assistant(completed): a', 'user: B', 'assistant(completed): b',
      'user: X', 'assistant(completed): x', 'user: C', 'assistant(open): ',
    ]);
  });

  it('are added once, however often they come', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a', 'user: B', 'agent: b', 'user: X'];
    exchange(conversation, 't3', 'C', 'c', lines);
    const before = shown(conversation);
    open(conversation, { turnId: 't4', text: 'D', lines: [...lines, 'user: C', 'agent: c'] });
    assert.deepEqual(shown(conversation).slice(0, -2), before);
  });

  it('have the same id when the request is tried again', () => {
    const [first, second] = [callOf('A > a'), callOf('A > a')];
    const lines = ['user: A', 'agent: a', 'user: X'];
    for (const conversation of [first, second])
      open(conversation, { turnId: 't2', text: 'B', lines });
    assert.equal(first.turns[1]?.id, second.turns[1]?.id);
  });

  it('are added between the turns that they were said between', () => {
    const conversation = callOf('A > a', 'B > b');
    // The turn has ended before its record was opened, and so it has reconciled nothing.
    const before = ['user: A', 'agent: a', 'user: B', 'agent: b', 'user: X', 'agent: x'];
    const isOver = (): boolean => true;
    ask(conversation, { turnId: 't3', text: 'C', lines: before, opening: { isOver } });
    open(conversation, { turnId: 't4', text: 'D', lines: [...before, 'user: C'] });
    assert.deepEqual(shown(conversation).filter((line) => line.startsWith('user')), [
      'user: A', 'user: B', 'user: X', 'user: C', 'user: D',
    ]);
  });

  it('come in front of their turn when that runs again', () => {
    const conversation = callOf('A > a', 'B > b');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: A', 'agent: a', 'user: B'] });
    settle(conversation, 't3', 'interrupted', 'c');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: Q', 'agent: q', 'user: X'] });
    assert.deepEqual(shown(conversation).slice(-3), ['user: X', 'user: C', 'assistant(open): ']);
  });

  it('come in front of the first turn of all when that runs again', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'C' });
    settle(conversation, 't1', 'interrupted', 'c');
    open(conversation, { turnId: 't1', text: 'C', lines: ['user: Q', 'agent: q', 'user: X'] });
    assert.deepEqual(shown(conversation), ['user: X', 'user: C', 'assistant(open): ']);
  });

  it("are added from the agent's last ones on where nothing in both lists is the same", () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: X', 'agent: x', 'user: Y', 'user: Z'];
    open(conversation, { turnId: 't3', text: 'C', lines });
    assert.deepEqual(shown(conversation), [
      'user: A', 'assistant(completed): a', 'user: B', 'assistant(completed): b',
      'user: Y', 'user: Z', 'user: C', 'assistant(open): ',
    ]);
  });

  it('are not added if they are our last ones, though it is not certain which', () => {
    const conversation = callOf('Yes. > Sugar?', 'Yes. > Lemon?');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: X', 'agent: x', 'user: Yes.'] });
    const words = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(words, ['user: Yes.', 'user: Yes.', 'user: C']);
  });

  it('are not looked for before the oldest match', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: X', 'agent: x', 'user: A', 'agent: a', 'user: B', 'agent: b'];
    open(conversation, { turnId: 't3', text: 'C', lines });
    assert.equal(shown(conversation)[0], 'user: A');
  });
});

describe('a turn that the platform lacks', () => {
  const lines = ['user: A', 'agent: a', 'user: B', 'agent: b'];

  /** A, then D, which the platform has discarded while a turn was over before it was open, B. */
  function withGap(reply: string | Message[]): Conversation {
    const conversation = callOf('A > a');
    exchange(conversation, 't2', 'D', reply, lines.slice(0, 2));
    const isOver = (): boolean => true;
    ask(conversation, {
      turnId: 't3', text: 'B', lines: lines.slice(0, 2), opening: { isOver },
    });
    return conversation;
  }

  it('leaves history, also between turns that it has', () => {
    const conversation = withGap('d');
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(shown(conversation).filter((line) => line.startsWith('user')), [
      'user: A', 'user: B', 'user: C',
    ]);
  });

  it('does not give its number to a turn behind the next one', () => {
    const conversation = callOf('A > a', 'D > d');
    open(conversation, { turnId: 't3', text: 'B', lines: [...lines.slice(0, 2), 'user: D'] });
    settle(conversation, 't3', 'completed', 'b');
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(discarded(conversation), ['t2']);
    assert.deepEqual(numbers(conversation), [1, 2, 3, 4]);
  });

  it('leaves its tool calls in history, without words', () => {
    const conversation = withGap(booking('t2'));
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(shown(conversation).slice(2, 4), [
      'assistant(interrupted):  [book]', 'tool: "booked"',
    ]);
  });

  it('leaves nothing of a call that was interrupted', () => {
    const conversation = withGap(booking('t2', 'interrupted'));
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.equal(shown(conversation).some((line) => line.includes('book')), false);
  });

  it('is told from one with equal words by what that says while it runs', () => {
    const conversation = callOf('No. > n', 'Yes. > a', 'No. > b');
    const all = ['user: No.', 'user: Yes.', 'agent: a', 'user: No.', 'agent: b'];
    open(conversation, { turnId: 't4', text: 'Yes.', lines: all });
    const running = [soFar('t4', 'Lemon?')];
    open(conversation, {
      turnId: 't5', text: 'Maybe.', lines: all.slice(0, 3), opening: { running },
    });
    assert.deepEqual(discarded(conversation), ['t3', 't4']);
  });

  it('stays if nothing in both lists is the same', () => {
    const conversation = callOf('A > a', 'D > d');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: X', 'agent: x'] });
    assert.deepEqual(discarded(conversation), []);
  });

  it('stays if it is older than the oldest match', () => {
    const conversation = callOf('A > a', 'B > b', 'C > c');
    open(conversation, {
      turnId: 't4', text: 'D', lines: ['user: B', 'agent: b', 'user: C', 'agent: c'],
    });
    assert.deepEqual(discarded(conversation), []);
  });

  it('stays if their list was cut in front to the rest of an exchange, and to new words', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome.']);
    exchange(conversation, 't2', 'B', 'b', ['agent: Welcome.', 'user: A', 'agent: a']);
    open(conversation, { turnId: 't3', text: 'C', lines: ['agent: b', 'user: X'] });
    assert.deepEqual(discarded(conversation), []);
  });
});

describe('a turn that was discarded', () => {
  const lines = ['user: A', 'agent: a'];

  /** A, then Book, which was discarded for Book it. */
  function withDiscarded(reply: string | Message[]): Conversation {
    const conversation = callOf('A > a');
    exchange(conversation, 't2', 'Book', reply, lines);
    exchange(conversation, 't3', 'Book it', 'Fine.', lines);
    return conversation;
  }

  it('takes results that come late, and nothing else', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'Book', lines });
    const runId = runs;
    const [asked, result] = booking('t2', 'running') as [Message, Message];
    const running = [{ ...soFar('t2', ''), messages: [asked, result] }];
    open(conversation, {
      turnId: 't3', text: 'Book it', lines, opening: { running, isCallRunning: () => true },
    });
    noteToolResult(conversation, {
      turnId: 't2', runId, toolCallId: 'call-1', state: 'completed', content: '"late"',
      agentState: '{"n":1}', handOver: 'other',
    }, BOUNDS);
    check(conversation);
    assert.deepEqual(shown(conversation).slice(2), [
      'assistant(interrupted):  [book]', 'tool: "late"', 'user: Book it', 'assistant(open): ',
    ]);
    assert.deepEqual([conversation.state, conversation.agent], [undefined, undefined]);
  });

  it('writes no state when its run ends late', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'Book', lines });
    const ending = { ...soFar('t2', 'I'), agentState: '{"n":1}' };
    open(conversation, { turnId: 't3', text: 'Book it', lines, opening: { running: [ending] } });
    const written = settleLate(conversation, ending);
    assert.deepEqual([written.isStateKept, conversation.state], [false, undefined]);
  });

  it('is another turn when its words come again', () => {
    const conversation = withDiscarded('For how many?');
    const all = [...lines, 'user: Book it', 'agent: Fine.'];
    const opened = open(conversation, { turnId: 't2', text: 'Book', lines: all });
    assert.notEqual(opened.turnId, 't2');
    assert.deepEqual(discarded(conversation), ['t2']);
  });

  it('does not come back into history by an equal request', () => {
    const conversation = withDiscarded('For how many?');
    exchange(conversation, 't4', 'C', 'c', [...lines, 'user: Book it', 'agent: Fine.']);
    const words = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(words, ['user: A', 'user: Book it', 'user: C']);
  });

  it('is back, in its place, if the platform has its words after all', () => {
    const conversation = callOf('A > a', 'B > b');
    const known = ['user: A', 'agent: a', 'user: B', 'agent: b'];
    open(conversation, { turnId: 't3', text: 'C', lines: [...known, 'user: X'] });
    settle(conversation, 't3', 'completed', 'c');
    open(conversation, { turnId: 't4', text: 'D', lines: known });
    settle(conversation, 't4', 'completed', 'd');
    const withX = [...known, 'user: X', 'user: D', 'agent: d'];
    open(conversation, { turnId: 't5', text: 'E', lines: withX });
    assert.deepEqual(shown(conversation).filter((line) => line.startsWith('user')), [
      'user: A', 'user: B', 'user: X', 'user: D', 'user: E',
    ]);
  });
});

describe('what was heard of a reply', () => {
  it('is nothing if the caller spoke twice in a row', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Hello?', lines: ['user: Hours?'] });
    assert.deepEqual(shown(conversation), ['user: Hours?', 'user: Hello?', 'assistant(open): ']);
  });

  it('is a beginning that the platform sends back', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open at nine'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine.');
  });

  it('is a beginning that was rewritten for speech, up to its last word', () => {
    const conversation = callOf('How much? > It costs $5 for two, and tea is free.');
    const lines = ['user: How much?', 'agent: It costs five dollars for two'];
    open(conversation, { turnId: 't2', text: 'And tea?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): It costs $5 for two,');
  });

  // Seeds 27488 and 33181 of the random platforms.
  it('is nothing of a reply that is only like the next one, which the caller heard', () => {
    const [first, second] = ['Line 1 of three is busy.', 'Line 2 of three is busy.'];
    const conversation = callOf(`Which line? > ${first}`);
    const silence = { turnId: 't2', text: '', lines: ['user: Which line?', `agent: ${first}`] };
    open(conversation, silence);
    settle(conversation, 't2', 'completed', second);
    const lines = ['user: Which line?', `agent: ${second}`];
    open(conversation, { turnId: 't3', text: 'Thanks', lines, told: { isHeard: true } });
    const said = shown(conversation).filter((text) => text.startsWith('assistant(completed)'));
    assert.deepEqual(said, [`assistant(completed): ${second}`]);
    assert.equal(shown(conversation).some((text) => text.includes('Line 1')), false);
  });

  it('is never more than we said', () => {
    const conversation = callOf('Hours? > We open at nine.');
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(completed): We open at nine.');
  });

  it('is not more of a reply that was cut before', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const cut = ['user: Hours?', 'agent: We open'];
    exchange(conversation, 't2', 'And Sunday?', 'The same.', cut);
    const lines = ['user: Hours?', `agent: ${HOURS}`, 'user: And Sunday?', 'agent: The same.'];
    open(conversation, { turnId: 't3', text: 'Bye', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });

  it('may come in several texts', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open at nine.', 'agent: We close'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine. We close');
  });

  it('is all of a reply that comes back as it was', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], `assistant(completed): ${HOURS}`);
  });

  it('is decided: the run of a turn that was cut while it ran has no say in it', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const ending = soFar('t1', HOURS);
    const lines = ['user: Hours?', 'agent: We open'];
    open(conversation, {
      turnId: 't2', text: 'And Sunday?', lines, opening: { running: [ending] },
    });
    settleLate(conversation, ending);
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });

  it('is told to the agent if the turn had completed', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open'];
    const opened = open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'We open' });
  });

  it('leaves out a filler that was spoken in front', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    settleLate(conversation, { ...soFar('t1', HOURS), state: 'completed', filler: 'One moment.' });
    const lines = ['user: Hours?', 'agent: One moment. We open at nine'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine.');
  });

  it('is nothing if only the filler was heard', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    settleLate(conversation, { ...soFar('t1', HOURS), state: 'completed', filler: 'One moment.' });
    const lines = ['user: Hours?', 'agent: one moment'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(shown(conversation).slice(0, 2), ['user: Hours?', 'user: And Sunday?']);
  });

  it('keeps the tool calls of a reply that was cut in front of them', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Book', booking('t1'));
    const lines = ['user: Book', 'agent: Let me see'];
    open(conversation, { turnId: 't2', text: 'Thanks', lines });
    assert.deepEqual(shown(conversation).slice(1, 4), [
      'assistant(interrupted): Let me see [book]', 'tool: "booked"', 'user: Thanks',
    ]);
  });
});

describe("an assistant's text that is not ours", () => {
  const lines = ['user: Hours?', 'agent: Are you still there?'];

  it('stands beside our reply', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Yes', lines });
    assert.deepEqual(shown(conversation).slice(0, 3), [
      'user: Hours?',
      `assistant(completed): ${HOURS}`,
      'assistant(completed): Are you still there?',
    ]);
  });

  it('stands for our reply where the platform sends back what was heard', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Yes', lines, told: { isHeard: true } });
    assert.deepEqual(shown(conversation).slice(0, 2), [
      'user: Hours?', 'assistant(completed): Are you still there?',
    ]);
  });

  it('is added once, however often it comes', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    exchange(conversation, 't2', 'Yes', 'Good.', lines);
    const before = shown(conversation);
    open(conversation, {
      turnId: 't3', text: 'Bye', lines: [...lines, 'user: Yes', 'agent: Good.'],
    });
    assert.deepEqual(shown(conversation).slice(0, -2), before);
  });

  it('is added behind our reply if it comes with it', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const both = ['user: Hours?', 'agent: Hold on.', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'Yes', lines: both, told: { isHeard: true } });
    assert.deepEqual(shown(conversation).slice(1, 3), [
      `assistant(completed): ${HOURS}`, 'assistant(completed): Hold on.',
    ]);
  });
});

describe('a reply that is not known, as its process is gone', () => {
  it("is the platform's text", () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(shown(conversation).slice(0, 2), [
      'user: Hours?', `assistant(interrupted): ${HOURS}`,
    ]);
  });

  it("is the platform's text, as far as it goes on behind what we know", () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const record = findTurn(conversation, 't1') ?? assert.fail('no turn');
    record.reply = 'We open'; // stored before the process was gone
    conversation.textLength += 'We open'.length;
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], `assistant(interrupted): ${HOURS}`);
  });

  it('is nothing if the caller spoke twice in a row', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    open(conversation, { turnId: 't2', text: 'Hello?', lines: ['user: Hours?'] });
    assert.deepEqual(shown(conversation).slice(0, 2), ['user: Hours?', 'user: Hello?']);
  });
});

describe('the state and the agent', () => {
  const lines = ['user: A', 'agent: a'];

  /** A, which left a state and an agent, and B, which has changed both. */
  function changedBy(reply: string | Message[]): Conversation {
    const conversation = callOf('A > a');
    keepState(conversation, '{"n":1}');
    conversation.agent = 'first';
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'completed', reply);
    keepState(conversation, '{"n":2}');
    keepAgent(conversation, 'second');
    return conversation;
  }

  function replace(conversation: Conversation): OpenedTurn {
    return open(conversation, { turnId: 't3', text: 'B and C', lines });
  }

  const stateOf = ({ state, agent }: Conversation | OpenedTurn): unknown => [state, agent];

  it('go back to those before a turn that was discarded', () => {
    const conversation = changedBy('b');
    const opened = replace(conversation);
    assert.deepEqual(stateOf(opened), ['{"n":1}', 'first']);
    assert.equal(opened.hasGoneBack, true);
  });

  it('go back to none', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'B' });
    keepState(conversation, '{"n":2}');
    keepAgent(conversation, 'second');
    assert.deepEqual(stateOf(open(conversation, { turnId: 't2', text: 'B and C' })), [
      undefined, undefined,
    ]);
  });

  it('go back again for the turn that replaced it', () => {
    const conversation = changedBy('b');
    replace(conversation);
    keepState(conversation, '{"n":3}');
    open(conversation, { turnId: 't4', text: 'B and C and D', lines });
    assert.deepEqual(stateOf(conversation), ['{"n":1}', 'first']);
  });

  it('go back if its tools may all run again', () => {
    const conversation = changedBy(booking('t2', 'completed', true));
    assert.equal(replace(conversation).hasGoneBack, true);
  });

  it('go back if its tool was interrupted', () => {
    const conversation = changedBy(booking('t2', 'interrupted'));
    assert.equal(replace(conversation).hasGoneBack, true);
  });

  for (const state of ['completed', 'unknown'] as const)
    it(`stay if a tool with effects in it is ${state}`, () => {
      const conversation = changedBy(booking('t2', state));
      const opened = replace(conversation);
      assert.deepEqual(stateOf(opened), ['{"n":2}', 'second']);
      assert.equal(opened.hasGoneBack, false);
    });

  it('stay if the turn was not discarded', () => {
    const conversation = changedBy('b');
    open(conversation, {
      turnId: 't3', text: 'C', lines: [...lines, 'user: B', 'agent: b'],
    });
    assert.deepEqual(stateOf(conversation), ['{"n":2}', 'second']);
  });

  it('are those before its first run for a turn that runs again', () => {
    const conversation = callOf('A > a');
    keepState(conversation, '{"n":1}');
    open(conversation, { turnId: 't2', text: 'B', lines });
    keepState(conversation, '{"n":2}');
    settle(conversation, 't2', 'interrupted', 'b');
    open(conversation, { turnId: 't2', text: 'B', lines });
    replace(conversation);
    assert.equal(conversation.state, '{"n":1}');
  });

  it('are remembered for the newest turn alone', () => {
    const conversation = changedBy('b');
    open(conversation, {
      turnId: 't3', text: 'C', lines: [...lines, 'user: B', 'agent: b'],
    });
    assert.deepEqual(conversation.before, { turnId: 't3', state: '{"n":2}', agent: 'second' });
  });
});

describe('a request of a turn that is known', () => {
  const lines = ['user: A', 'agent: a'];

  it('runs a turn again that was interrupted, in its place', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'interrupted', 'b');
    open(conversation, { turnId: 't2', text: 'B', lines });
    const all = ['user: A', 'assistant(completed): a', 'user: B', 'assistant(open): '];
    assert.deepEqual(shown(conversation), all);
  });

  it('discards nothing, though its history ends before turns that are newer', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'interrupted', 'b');
    exchange(conversation, 't3', 'C', 'c', [...lines, 'user: B', 'agent: b']);
    open(conversation, { turnId: 't2', text: 'B', lines });
    assert.deepEqual(discarded(conversation), []);
  });

  it('keeps its number', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'interrupted', 'b');
    open(conversation, { turnId: 't2', text: 'B', lines });
    assert.deepEqual(numbers(conversation), [1, 2]);
  });

  it('gets the reply that is complete', () => {
    const conversation = callOf('A > a', 'B > b');
    assert.deepEqual(ask(conversation, { turnId: 't2', text: 'B', lines }), {
      kind: 'completed before', sent: [{ type: 'say', text: 'b' }],
    });
  });

  it('leaves the calls of its first run to the run that replaces it', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'interrupted', booking('t2'));
    const { earlierCalls } = open(conversation, { turnId: 't2', text: 'B', lines });
    assert.deepEqual(earlierCalls.map(({ key }) => key), ['key of t2']);
  });
});
