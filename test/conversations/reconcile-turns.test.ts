import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepAgent, keepState, setState } from '../../src/conversations/agent-state.ts';
import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import { noteToolResult } from '../../src/conversations/tool-call-rules.ts';
import { BOUNDS, check, runs, settle, shown } from './checked-rules.ts';
import {
  ask,
  booking,
  callOf,
  discarded,
  exchange,
  numbers,
  open,
  settleLate,
  soFar,
} from './reconciling.ts';
import { change as changeOf, setTo } from './state-writes.ts';

describe("the caller's words in a transcript", () => {
  it('are added if we lack them', () => {
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

  it('are added between the turns where they were said', () => {
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

  it('come before their turn when that runs again', () => {
    const conversation = callOf('A > a', 'B > b');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: A', 'agent: a', 'user: B'] });
    settle(conversation, 't3', 'interrupted', 'c');
    open(conversation, { turnId: 't3', text: 'C', lines: ['user: Q', 'agent: q', 'user: X'] });
    assert.deepEqual(shown(conversation).slice(-3), ['user: X', 'user: C', 'assistant(open): ']);
  });

  it('come before the very first turn when that runs again', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'C' });
    settle(conversation, 't1', 'interrupted', 'c');
    open(conversation, { turnId: 't1', text: 'C', lines: ['user: Q', 'agent: q', 'user: X'] });
    assert.deepEqual(shown(conversation), ['user: X', 'user: C', 'assistant(open): ']);
  });

  it("are added from the agent's last ones on if the lists have nothing in common", () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: X', 'agent: x', 'user: Y', 'user: Z'];
    open(conversation, { turnId: 't3', text: 'C', lines });
    assert.deepEqual(shown(conversation), [
      'user: A', 'assistant(completed): a', 'user: B', 'assistant(completed): b',
      'user: Y', 'user: Z', 'user: C', 'assistant(open): ',
    ]);
  });

  it('are not added if they are our last ones, even if it is not certain which', () => {
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

  it('leaves history, even between turns that it has', () => {
    const conversation = withGap('d');
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(shown(conversation).filter((line) => line.startsWith('user')), [
      'user: A', 'user: B', 'user: C',
    ]);
  });

  it('does not give its number to a turn after the next one', () => {
    const conversation = callOf('A > a', 'D > d');
    open(conversation, { turnId: 't3', text: 'B', lines: [...lines.slice(0, 2), 'user: D'] });
    settle(conversation, 't3', 'completed', 'b');
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(discarded(conversation), ['t2']);
    assert.deepEqual(numbers(conversation), [1, 3, 4, 5]);
  });

  it('leaves its tool calls in history, without words', () => {
    const conversation = withGap(booking('t2'));
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.deepEqual(shown(conversation).slice(2, 4), [
      'assistant(interrupted):  [book]', 'tool: "booked"',
    ]);
  });

  it('leaves nothing of an interrupted call', () => {
    const conversation = withGap(booking('t2', 'interrupted'));
    open(conversation, { turnId: 't4', text: 'C', lines });
    assert.equal(shown(conversation).some((line) => line.includes('book')), false);
  });

  it('is distinguished from one with equal words by what that says while it runs', () => {
    const conversation = callOf('No. > n', 'Yes. > a', 'No. > b');
    const all = ['user: No.', 'user: Yes.', 'agent: a', 'user: No.', 'agent: b'];
    open(conversation, { turnId: 't4', text: 'Yes.', lines: all });
    const running = [soFar('t4', 'Lemon?')];
    open(conversation, {
      turnId: 't5', text: 'Maybe.', lines: all.slice(0, 3), opening: { running },
    });
    assert.deepEqual(discarded(conversation), ['t3', 't4']);
  });

  it('stays if the lists have nothing in common', () => {
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

  it('stays if their list was cut at the front to the rest of an exchange and new words', () => {
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

  it('accepts results that come late, and what they changed, and nothing else', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'Book', lines });
    const runId = runs;
    const [asked, result] = booking('t2', 'running') as [Message, Message];
    const messages = [asked, { ...result, runId } as Message];
    const running = [{ ...soFar('t2', ''), messages }];
    open(conversation, {
      turnId: 't3', text: 'Book it', lines, opening: { running, isCallRunning: () => true },
    });
    noteToolResult(conversation, {
      turnId: 't2', runId, toolCallId: 'call-1', state: 'completed', content: '"late"',
      agentState: setTo('{"n":1}'), handOver: 'other',
    }, BOUNDS);
    check(conversation);
    assert.deepEqual(shown(conversation).slice(2), [
      'assistant(interrupted):  [book]', 'tool: "late"', 'user: Book it', 'assistant(open): ',
    ]);
    assert.deepEqual([conversation.state, conversation.agent], ['{"n":1}', undefined]);
  });

  it('writes no state when its run ends late', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'Book', lines });
    const ending = { ...soFar('t2', 'I'), agentState: setTo('{"n":1}') };
    open(conversation, { turnId: 't3', text: 'Book it', lines, opening: { running: [ending] } });
    settleLate(conversation, ending);
    assert.equal(conversation.state, undefined);
  });

  it('is another turn when its words come again', () => {
    const conversation = withDiscarded('For how many?');
    const all = [...lines, 'user: Book it', 'agent: Fine.'];
    const opened = open(conversation, { turnId: 't2', text: 'Book', lines: all });
    assert.notEqual(opened.turnId, 't2');
    assert.deepEqual(discarded(conversation), ['t2']);
  });

  it('does not come back into history through an equal request', () => {
    const conversation = withDiscarded('For how many?');
    exchange(conversation, 't4', 'C', 'c', [...lines, 'user: Book it', 'agent: Fine.']);
    const words = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(words, ['user: A', 'user: Book it', 'user: C']);
  });

  it('is back in its place if the platform has its words after all', () => {
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

describe('the state and the agent of a conversation', () => {
  const lines = ['user: A', 'agent: a'];

  /** A, which left a state and an agent, and B, which has changed both. */
  function changedBy(reply: string | Message[]): Conversation {
    const conversation = callOf('A > a');
    setState(conversation, '{"n":1}');
    conversation.agent = 'first';
    open(conversation, { turnId: 't2', text: 'B', lines });
    change(conversation, '{"n":2}', 'second');
    settle(conversation, 't2', 'completed', reply);
    return conversation;
  }

  /** The newest turn changes both. */
  function change(conversation: Conversation, state: string, agent?: string): void {
    const record = conversation.turns.at(-1);
    assert.ok(record !== undefined);
    keepState(conversation, record, changeOf(conversation.state ?? '{}', state));
    if (agent !== undefined) keepAgent(conversation, record, agent);
  }

  function replace(conversation: Conversation): OpenedTurn {
    return open(conversation, { turnId: 't3', text: 'B and C', lines });
  }

  const stateOf = ({ state, agent }: Conversation | OpenedTurn): unknown => [state, agent];

  it('go back to what they were before a discarded turn', () => {
    const conversation = changedBy('b');
    const opened = replace(conversation);
    assert.deepEqual(stateOf(opened), ['{"n":1}', 'first']);
    assert.equal(opened.hasGoneBack, true);
  });

  it('go back again for the turn that replaced it', () => {
    const conversation = changedBy('b');
    replace(conversation);
    change(conversation, '{"n":3}', 'third');
    open(conversation, { turnId: 't4', text: 'B and C and D', lines });
    assert.deepEqual(stateOf(conversation), ['{"n":1}', 'first']);
  });

  it('go back even if a tool had effects, but the agent that knows of it goes on', () => {
    const conversation = changedBy(booking('t2', 'completed'));
    assert.deepEqual(stateOf(replace(conversation)), ['{"n":1}', 'second']);
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
    setState(conversation, '{"n":1}');
    open(conversation, { turnId: 't2', text: 'B', lines });
    change(conversation, '{"n":2}');
    settle(conversation, 't2', 'interrupted', 'b');
    open(conversation, { turnId: 't2', text: 'B', lines });
    replace(conversation);
    assert.equal(conversation.state, '{"n":1}');
  });
});
