import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Interruption } from '../../src/calls/call-event.ts';
import type { SentEvent } from '../../src/calls/reply-event.ts';
import type { ConversationBounds } from '../../src/conversations/bounds.ts';
import {
  clearTurns,
  emptyConversation,
  findTurn,
  hasOpenTurn,
  historyOf,
  keepAgent,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import { cutTurn } from '../../src/conversations/heard.ts';
import {
  appendMessage,
  openTurn,
  settleTurn,
  OpenedTurn,
  type TurnSettlement,
} from '../../src/conversations/rules.ts';
import type { Message, TurnState } from '../../src/conversations/message.ts';

const BOUNDS: ConversationBounds = { maxMessages: 200, maxTextLength: 1_048_576 };
let runs = 0;

function open(
  conversation: Conversation,
  turnId: string,
  text?: string,
  interruption?: Interruption,
  bounds = BOUNDS,
  runId = ++runs,
): OpenedTurn {
  const opened = openTurn(conversation, { turnId, runId, text, interruption }, bounds);
  assert.ok(opened instanceof OpenedTurn);
  check(conversation);
  return opened;
}

function settle(
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
  return written.isKept;
}

/** A whole exchange. */
function exchange(
  conversation: Conversation,
  turnId: string,
  asked: string,
  said: string,
  bounds = BOUNDS,
): void {
  open(conversation, turnId, asked, undefined, bounds);
  assert.equal(settle(conversation, turnId, 'completed', said, undefined, bounds), true);
}

function cut(
  conversation: Conversation,
  textHeard: string | undefined,
  turnId?: string,
): ReturnType<typeof cutTurn> {
  const result = cutTurn(conversation, { textHeard, turnId }, BOUNDS);
  check(conversation);
  return result;
}

/** `user: words` and `assistant(state): words`, the whole history. */
function shown(conversation: Conversation): string[] {
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
function check(conversation: Conversation): void {
  let textLength = 0;
  const turnIds = historyOf(conversation).map(({ turnId }) => turnId);
  assert.deepEqual(
    [...new Set(turnIds)],
    conversation.turns.map(({ id }) => id).filter((id) => turnIds.includes(id)),
    'messages in the order of their turns',
  );
  for (const message of historyOf(conversation)) {
    textLength += message.content.length;
    if (message.role === 'assistant')
      for (const call of message.toolCalls ?? []) textLength += call.name.length + call.args.length;
  }
  for (const turn of conversation.turns) {
    for (const event of turn.sent ?? [])
      textLength +=
        event.type === 'say' ? event.text.length : event.type === 'data' ? event.json.length : 0;
  }
  const { state: kept = '', caller } = conversation;
  for (const text of [kept, caller?.sessionId, caller?.from, caller?.to])
    textLength += text?.length ?? 0;
  assert.equal(conversation.messageCount, historyOf(conversation).length, 'messageCount');
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

function assertErased(conversation: Conversation): void {
  const erasedAt = conversation.erasedAt ?? assert.fail('without a mark');
  assert.deepEqual(conversation, { ...emptyConversation('c'), erasedAt });
}

describe('openTurn', () => {
  it("stores the caller's words and a placeholder", () => {
    const conversation = emptyConversation('c');
    const opened = open(conversation, 't1', 'Hello');
    assert.deepEqual(historyOf(conversation), [
      { role: 'user', content: 'Hello', turnId: 't1' },
      { role: 'assistant', content: '', turnId: 't1', state: 'open' },
    ]);
    assert.deepEqual([opened.isResumed, opened.cut], [false, undefined]);
  });

  it('stores a placeholder alone for a turn that the caller did not begin', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1');
    assert.deepEqual(shown(conversation), ['assistant(open): ']);
  });

  it('stores words that are empty: the caller did begin the turn', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', '');
    assert.deepEqual(shown(conversation), ['user: ', 'assistant(open): ']);
  });

  it("gives the history up to the caller's words, without the placeholder", () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const opened = open(conversation, 't2', 'Two');
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['One', 'First.', 'Two'],
    );
  });

  it('gives the history as it is when it is asked for, and up to its own turn', () => {
    const conversation = emptyConversation('c');
    const first = open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'First.');
    exchange(conversation, 't2', 'Two', 'Second.');
    assert.deepEqual(
      first.history().map(({ content }) => content),
      ['One'],
    );
  });

  it("gives a history that nothing changes behind the reader's back", () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const opened = open(conversation, 't2', 'Two');
    const before = opened.history();
    const copy = structuredClone(before);
    settle(conversation, 't2', 'completed', 'Second.');
    cut(conversation, 'Se');
    exchange(conversation, 't3', 'Three', 'Third.');
    assert.deepEqual(before, copy);
  });

  it('tells whether the conversation was known', () => {
    const conversation = emptyConversation('c');
    assert.equal(open(conversation, 't1').isResumed, false);
    settle(conversation, 't1', 'failed', '');
    // the same turn again is no acquaintance
    assert.equal(open(conversation, 't1').isResumed, false);
    settle(conversation, 't1', 'completed', 'Hi.');
    assert.equal(open(conversation, 't2').isResumed, true);
  });

  it("closes a turn whose run is gone, and keeps the caller's words", () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    open(conversation, 't2', 'Two');
    assert.deepEqual(shown(conversation), ['user: One', 'user: Two', 'assistant(open): ']);
    assert.equal(findTurn(conversation, 't1')?.state, 'interrupted');
  });

  it('leaves a completed turn alone and tells what it sent', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    const before = structuredClone(conversation);
    const again = openTurn(
      conversation,
      { turnId: 't1', runId: 99, text: 'One', interruption: { textHeard: 'F', turnId: 't1' } },
      BOUNDS,
    );
    assert.deepEqual(again, { kind: 'completed before', sent: [{ type: 'say', text: 'First.' }] });
    assert.deepEqual(conversation, before);
  });

  it('tells all that a completed turn sent, data and hang-up too', () => {
    const conversation = emptyConversation('c');
    const sent: SentEvent[] = [
      { type: 'data', json: '{"a":1}' },
      { type: 'say', text: 'Bye.' },
      { type: 'hangup' },
    ];
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'Bye.', sent);
    assert.deepEqual(openTurn(conversation, { turnId: 't1', runId: 99, text: 'One' }, BOUNDS), {
      kind: 'completed before',
      sent,
    });
  });

  it('tells that a completed turn sent nothing', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', '');
    assert.deepEqual(openTurn(conversation, { turnId: 't1', runId: 99, text: 'One' }, BOUNDS), {
      kind: 'completed before',
      sent: [],
    });
  });

  for (const state of ['interrupted', 'failed'] as const) {
    it(`runs a turn that was ${state} anew, in its old place`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, 'Fir');
      exchange(conversation, 't2', 'Two', 'Second.');
      const opened = open(conversation, 't1', 'One');
      assert.deepEqual(shown(conversation), [
        'user: One',
        'assistant(open): ',
        'user: Two',
        'assistant(completed): Second.',
      ]);
      assert.deepEqual(
        opened.history().map(({ content }) => content),
        ['One'],
      );
      assert.equal(settle(conversation, 't1', 'completed', 'First.'), true);
      assert.deepEqual(shown(conversation), [
        'user: One',
        'assistant(completed): First.',
        'user: Two',
        'assistant(completed): Second.',
      ]);
    });
  }

  it('cuts the turn before to what was heard, and tells which', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    const opened = open(conversation, 't2', 'Two', { textHeard: 'First', turnId: 't1' });
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'First' });
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['One', 'First', 'Two'],
    );
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): First',
      'user: Two',
      'assistant(open): ',
    ]);
  });

  it('never cuts the turn that it opens', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    open(conversation, 't2', 'Two');
    settle(conversation, 't2', 'failed', 'Sorry.');
    const { cut: told } = open(conversation, 't2', 'Two', { textHeard: 'Fi', turnId: 't2' });
    assert.deepEqual(told, { turnId: 't1', text: 'Fi' });
  });

  it('cuts none of the turns that are newer than the one that it runs anew', () => {
    // The platform speaks of the turn right before; a late delivery of t1 knows nothing of t2.
    const conversation = emptyConversation('c');
    exchange(conversation, 't0', 'Zero', 'Zeroth.');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'interrupted', 'Fir');
    exchange(conversation, 't2', 'Two', 'Second.');
    const { cut: told } = open(conversation, 't1', 'One', { textHeard: 'Zer', turnId: 't0' });
    assert.deepEqual(shown(conversation), [
      'user: Zero',
      'assistant(interrupted): Zer',
      'user: One',
      'assistant(open): ',
      'user: Two',
      'assistant(completed): Second.',
    ]);
    assert.deepEqual(told, { turnId: 't0', text: 'Zer' });
  });

  it('takes the latest of turns with one id for the turn', () => {
    const conversation = emptyConversation('c');
    for (const id of ['__proto__', 'constructor', ' ', 'é語'])
      exchange(conversation, id, 'Asked', `Said by ${id}`);
    assert.equal(findTurn(conversation, '__proto__')?.reply, 'Said by __proto__');
    assert.equal(findTurn(conversation, 'toString'), undefined);
  });
});

describe('openTurn of a turn that was interrupted, while another stands behind it', () => {
  /** t1, interrupted, and t2, whose run is the one returned. */
  function begin(): { conversation: Conversation; newer: TurnSettlement } {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'interrupted', 'Fir');
    open(conversation, 't2', 'Two');
    const newer = { turnId: 't2', runId: runs, state: 'interrupted', messages: [] } as const;
    return { conversation, newer };
  }

  it('does nothing while that one runs', () => {
    const { conversation, newer } = begin();
    const before = structuredClone(conversation);
    const again = { turnId: 't1', runId: ++runs, text: 'One', running: [newer] };
    assert.deepEqual(openTurn(conversation, again, BOUNDS), { kind: 'stale' });
    assert.deepEqual(conversation, before);
  });

  it('runs it anew where no living process runs that one', () => {
    const { conversation } = begin();
    open(conversation, 't1', 'One');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ', 'user: Two']);
  });

  it('runs it anew where that one has ended', () => {
    const { conversation, newer } = begin();
    settle(conversation, 't2', 'completed', 'Second.');
    const again = { turnId: 't1', runId: ++runs, text: 'One', running: [newer] };
    assert.equal(openTurn(conversation, again, BOUNDS).kind, 'opened');
  });

  it('runs it anew where it is the one behind that still runs', () => {
    const { conversation, newer } = begin();
    const again = { turnId: 't2', runId: ++runs, text: 'Two', running: [newer] };
    assert.equal(openTurn(conversation, again, BOUNDS).kind, 'opened');
  });
});

describe('a turn', () => {
  it('is kept as words and a reply where it is no more than that', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Asked', 'Said.');
    assert.deepEqual(
      conversation.turns.map(({ words, reply, messages }) => [words, reply, messages]),
      [['Asked', 'Said.', undefined]],
    );
  });

  it('is kept as messages where a second reply was added, in their order', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Asked', 'Said.');
    appendMessage(
      conversation,
      { role: 'assistant', content: 'And more.', turnId: 't1', state: 'completed' },
      BOUNDS,
    );
    assert.deepEqual(shown(conversation), [
      'user: Asked',
      'assistant(completed): Said.',
      'assistant(completed): And more.',
    ]);
    assert.deepEqual([conversation.turns[0]?.words, conversation.turns[0]?.reply], [null, null]);
    check(conversation);
  });

  it("is kept as messages where the caller's words came behind the reply", () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1');
    settle(conversation, 't1', 'completed', 'Welcome.');
    appendMessage(conversation, { role: 'user', content: 'Hello', turnId: 't1' }, BOUNDS);
    assert.deepEqual(shown(conversation), ['assistant(completed): Welcome.', 'user: Hello']);
    check(conversation);
  });
});

describe('settleTurn', () => {
  for (const state of ['completed', 'interrupted', 'failed'] as const) {
    it(`replaces the placeholder of a turn that is ${state}`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      assert.equal(settle(conversation, 't1', state, 'First.'), true);
      assert.deepEqual(shown(conversation), ['user: One', `assistant(${state}): First.`]);
      assert.equal(findTurn(conversation, 't1')?.state, state);
    });

    it(`leaves no placeholder of a turn that is ${state} without a word`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, '');
      assert.deepEqual(shown(conversation), ['user: One']);
    });

    it(`settles a turn that is ${state} once`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', state, 'First.');
      const before = structuredClone(conversation);
      for (const other of ['completed', 'interrupted', 'failed'] as const)
        assert.equal(settle(conversation, 't1', other, 'Late.'), false);
      assert.deepEqual(conversation, before);
    });
  }

  it('keeps tool calls and their results in order', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', toolMessages('t1'));
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): Let me see. [look]',
      'tool: 42',
      'assistant(completed): It is 42.',
    ]);
  });

  it('does nothing for a turn that is not known', () => {
    const conversation = emptyConversation('c');
    assert.equal(settle(conversation, 't1', 'completed', 'First.'), false);
    assert.deepEqual(conversation, emptyConversation('c'));
  });

  it('does nothing for an older run of a turn that runs anew', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_001);
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_002);
    assert.equal(
      settle(conversation, 't1', 'completed', 'Of the old run.', undefined, BOUNDS, 1_001),
      false,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ']);
    assert.equal(
      settle(conversation, 't1', 'completed', 'Of the new run.', undefined, BOUNDS, 1_002),
      true,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(completed): Of the new run.']);
  });

  it('has the last word on a turn that a newer one has closed: only its run knows what was sent', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, BOUNDS, 1_001);
    open(conversation, 't2', 'Two', undefined, BOUNDS, 1_002);
    assert.equal(settle(conversation, 't1', 'interrupted', 'Fir', undefined, BOUNDS, 1_001), true);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): Fir',
      'user: Two',
      'assistant(open): ',
    ]);
    assert.equal(
      settle(conversation, 't1', 'interrupted', 'Other.', undefined, BOUNDS, 1_001),
      false,
    );
  });

  it('does not undo a cut that came before it', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    const runId = runs;
    cut(conversation, 'First');
    assert.equal(
      settle(conversation, 't1', 'interrupted', 'First of many.', undefined, BOUNDS, runId),
      false,
    );
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): First']);
  });

  it('puts a turn that ends late where it began', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    appendMessage(conversation, { role: 'user', content: 'Note', turnId: 'note' }, BOUNDS);
    settle(conversation, 't1', 'completed', 'First.');
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'user: Note',
    ]);
  });
});

function toolMessages(turnId: string): Message[] {
  return [
    {
      role: 'assistant',
      content: 'Let me see.',
      turnId,
      state: 'completed',
      toolCalls: [{ id: 'call-1', name: 'look', args: '{"q":"x"}' }],
    },
    { role: 'tool', content: '42', turnId, toolCallId: 'call-1', state: 'completed' },
    { role: 'assistant', content: ' It is 42.'.trimStart(), turnId, state: 'completed' },
  ];
}

describe("the agent's state", () => {
  /** Settles a turn with a state. */
  function keep(
    conversation: Conversation, turnId: string, agentState: string, runId = runs, bounds = BOUNDS,
  ): boolean {
    const reply: Message = { role: 'assistant', content: 'Yes.', turnId, state: 'completed' };
    const settlement: TurnSettlement = {
      turnId, runId, state: 'completed', messages: [reply], agentState,
    };
    const written = settleTurn(conversation, settlement, bounds);
    check(conversation);
    return written.isKept;
  }

  it('is none in a new conversation', () => {
    assert.equal(open(emptyConversation('c'), 't1', 'Hi').state, undefined);
  });

  it('is what the last settlement says, for the turns that open then', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    assert.equal(open(conversation, 't2', 'Hi').state, '{"n":1}');
    keep(conversation, 't2', '{"n":22}');
    assert.equal(conversation.state, '{"n":22}');
  });

  it('stays where a settlement has none', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    exchange(conversation, 't2', 'Hi', 'Yes.');
    assert.equal(conversation.state, '{"n":1}');
  });

  it('is kept of a turn whose words the platform has decided', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    const runId = runs;
    open(conversation, 't2', 'Stop', { textHeard: '', turnId: 't1' });
    keep(conversation, 't1', '{"n":1}', runId);
    assert.equal(conversation.state, '{"n":1}');
  });

  it('is not kept of an older run of the turn', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    const runId = runs;
    settle(conversation, 't1', 'failed', '');
    open(conversation, 't1', 'Hi');
    assert.equal(keep(conversation, 't1', '{"n":1}', runId), false);
    assert.equal(conversation.state, undefined);
  });

  it('is cleared with the conversation, and no turn that still runs brings it back', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hi');
    keep(conversation, 't1', '{"n":1}');
    open(conversation, 't2', 'Hi');
    clearTurns(conversation);
    assert.equal(keep(conversation, 't2', '{"n":2}'), false);
    assertErased(conversation);
  });

  it('outlives the turns that are trimmed, and counts as text', () => {
    const bounds = { maxMessages: 200, maxTextLength: 20 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hello', undefined, bounds);
    keep(conversation, 't1', '{"n":1}', runs, bounds);
    exchange(conversation, 't2', 'Hello', 'again', bounds);
    assert.deepEqual(shown(conversation), ['user: Hello', 'assistant(completed): again']);
    assert.equal(conversation.state, '{"n":1}');
  });
});

describe('the caller of a conversation', () => {
  const caller = { sessionId: 's-1', from: '+15550100', to: '+15550199' };

  function openAs(conversation: Conversation, turnId: string, by?: typeof caller): OpenedTurn {
    const opening = { turnId, runId: ++runs, text: 'Hi', caller: by };
    const opened = openTurn(conversation, opening, BOUNDS);
    assert.ok(opened instanceof OpenedTurn);
    check(conversation);
    return opened;
  }

  it('is known to later turns of the session, whose events do not name it', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    const numbers = { from: '+15550100', to: '+15550199' };
    assert.deepEqual(openAs(conversation, 't2').callerIn('s-1'), numbers);
  });

  it('is not that of another session: it may be a browser', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    assert.equal(openAs(conversation, 't2').callerIn('s-2'), undefined);
  });

  it('is the last that called', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    const opened = openAs(conversation, 't2', { ...caller, sessionId: 's-2', from: '+4420' });
    assert.deepEqual(opened.callerIn('s-2'), { from: '+4420', to: '+15550199' });
  });

  it('is cleared with the conversation', () => {
    const conversation = emptyConversation('c');
    openAs(conversation, 't1', caller);
    clearTurns(conversation);
    assertErased(conversation);
  });
});

describe('the agent that a conversation was handed over to', () => {
  it('outlives the turn that did it, and is gone when the conversation is cleared', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Hello', 'Hi');
    keepAgent(conversation, 'billing');
    keepAgent(conversation, undefined);
    exchange(conversation, 't2', 'And?', 'Yes.');
    assert.equal(conversation.agent, 'billing');
    clearTurns(conversation);
    assertErased(conversation);
  });
});

describe('cutTurn', () => {
  // [title, said, heard, what is left, what is told]
  for (const [title, said, heard, left, told] of [
    ['to what was heard', 'First of many.', 'First', ['assistant(interrupted): First'], 'First'],
    ['to nothing, and keeps no empty message', 'First.', '', [], ''],
    ['to nothing for blanks', 'First.', ' \n', [], ''],
    [
      'not at all where it is not known what was heard, but marks it',
      'First.',
      undefined,
      ['assistant(interrupted): First.'],
      'First.',
    ],
    [
      'not where all of it was heard, but marks it',
      'First.',
      'First.',
      ['assistant(interrupted): First.'],
      'First.',
    ],
    [
      "to the platform's words where they are not ours",
      'It costs $5.',
      'it costs five dollars',
      ['assistant(interrupted): it costs five dollars'],
      'it costs five dollars',
    ],
    ['to half a word', 'First.', 'Fir', ['assistant(interrupted): Fir'], 'Fir'],
    [
      'and keeps blanks around what was heard',
      'First of many.',
      'First ',
      ['assistant(interrupted): First '],
      'First ',
    ],
  ] as const) {
    it(`cuts a completed turn ${title}`, () => {
      const conversation = emptyConversation('c');
      exchange(conversation, 't1', 'One', said);
      assert.deepEqual(cut(conversation, heard), { turnId: 't1', text: told });
      assert.deepEqual(shown(conversation), ['user: One', ...left]);
      assert.equal(findTurn(conversation, 't1')?.state, 'interrupted');
    });
  }

  it('leaves the newest turn alone while an older one runs anew elsewhere: that one is meant', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    exchange(conversation, 't2', 'Two', 'Second.');
    open(conversation, 't1', 'One');
    assert.equal(cut(conversation, undefined), undefined);
    assert.equal(findTurn(conversation, 't2')?.state, 'completed');
  });

  for (const id of ['t1', 'an id of the platform', undefined]) {
    it(`cuts the last turn when it is called ${id ?? 'nothing'}`, () => {
      const conversation = emptyConversation('c');
      exchange(conversation, 't0', 'Zero', 'Zeroth.');
      exchange(conversation, 't1', 'One', 'First.');
      assert.deepEqual(cut(conversation, 'Fi', id), { turnId: 't1', text: 'Fi' });
      assert.deepEqual(shown(conversation), [
        'user: Zero',
        'assistant(completed): Zeroth.',
        'user: One',
        'assistant(interrupted): Fi',
      ]);
    });
  }

  it('begins at the turn that is named, where it is known', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't0', 'Zero', 'Zeroth.');
    exchange(conversation, 't1', 'One', 'First.');
    assert.equal(cut(conversation, 'Fi', 't0'), undefined); // nothing that t0 said
    assert.deepEqual(cut(conversation, 'Ze', 't0'), { turnId: 't0', text: 'Ze' });
    assert.deepEqual(shown(conversation), [
      'user: Zero',
      'assistant(interrupted): Ze',
      'user: One',
      'assistant(completed): First.',
    ]);
  });

  it('cuts a turn that was interrupted to what was heard, and tells nobody again', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'interrupted', 'First of man');
    assert.equal(cut(conversation, 'First'), undefined);
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): First']);
  });

  it('marks an apology that was cut', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'failed', 'Sorry, something went wrong.');
    cut(conversation, 'Sorry');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): Sorry']);
  });

  it('cuts what was heard over a turn that said nothing: the voice was still at the one before', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    open(conversation, 't2', 'Two');
    settle(conversation, 't2', 'interrupted', '');
    assert.deepEqual(cut(conversation, 'First', 't1'), { turnId: 't1', text: 'First' });
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): First',
      'user: Two',
    ]);
  });

  it('leaves the turn before alone when the interrupted one had said nothing and nothing was heard', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    open(conversation, 't2', 'Two');
    settle(conversation, 't2', 'interrupted', '');
    assert.equal(cut(conversation, '', 'an id of the platform'), undefined);
    assert.equal(cut(conversation, 'x', 't2'), undefined);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'user: Two',
    ]);
  });

  it('does nothing where nothing was said', () => {
    const conversation = emptyConversation('c');
    assert.equal(cut(conversation, 'x'), undefined);
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', '');
    assert.equal(cut(conversation, 'x'), undefined);
    assert.deepEqual(shown(conversation), ['user: One']);
  });

  it('makes a turn that was cut run anew when it is delivered again', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    cut(conversation, 'Fi');
    open(conversation, 't1', 'One');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ']);
  });

  it('forgets what a turn sent: it is not sent again', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'First.', [
      { type: 'say', text: 'First.' },
      { type: 'data', json: '{}' },
    ]);
    cut(conversation, 'Fi');
    assert.equal(findTurn(conversation, 't1')?.sent, undefined);
  });
});

describe('cutTurn of a turn with tools', () => {
  for (const [title, heard, left] of [
    ['in the text before the call', 'Let', ['assistant(interrupted): Let [look]', 'tool: 42']],
    ['right behind it', 'Let me see.', ['assistant(interrupted): Let me see. [look]', 'tool: 42']],
    [
      'in the text behind it',
      'Let me see.It is',
      ['assistant(interrupted): Let me see. [look]', 'tool: 42', 'assistant(interrupted): It is'],
    ],
    ['before the first word', '', ['assistant(interrupted):  [look]', 'tool: 42']],
    [
      'where it is not known what was heard',
      undefined,
      [
        'assistant(interrupted): Let me see. [look]',
        'tool: 42',
        'assistant(interrupted): It is 42.',
      ],
    ],
  ] as const) {
    it(`keeps the call and its result whole, cut ${title}`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', 'completed', toolMessages('t1'));
      cut(conversation, heard);
      assert.deepEqual(shown(conversation), ['user: One', ...left]);
      const calls = historyOf(conversation).flatMap((message) =>
        message.role === 'assistant' ? (message.toolCalls ?? []).map(({ id }) => id) : [],
      );
      const results = historyOf(conversation).flatMap((message) =>
        message.role === 'tool' ? [message.toolCallId] : [],
      );
      assert.deepEqual(calls, results);
    });
  }
});

describe('appendMessage', () => {
  it('makes a turn of a message whose turn is not known', () => {
    const conversation = emptyConversation('c');
    appendMessage(conversation, { role: 'user', content: 'a', turnId: 'x' }, BOUNDS);
    check(conversation);
    assert.deepEqual(
      conversation.turns.map(({ id, state }) => [id, state]),
      [['x', 'completed']],
    );
  });

  it('appends to the turn where that is known', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    exchange(conversation, 't2', 'Two', 'Second.');
    appendMessage(
      conversation,
      { role: 'assistant', content: 'PS', turnId: 't1', state: 'completed' },
      BOUNDS,
    );
    check(conversation);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'assistant(completed): PS',
      'user: Two',
      'assistant(completed): Second.',
    ]);
  });
});

describe('the bounds of a conversation', () => {
  function filled(turns: number, bounds: ConversationBounds): Conversation {
    const conversation = emptyConversation('c');
    for (let count = 1; count <= turns; count++)
      exchange(conversation, `t${count}`, `asked ${count}`, `said ${count}`, bounds);
    return conversation;
  }
  function ids(conversation: Conversation): string[] {
    return conversation.turns.map(({ id }) => id);
  }

  for (const [maxMessages, turns, left] of [
    [4, 2, ['t1', 't2']], // exactly the bound
    [8, 5, ['t3', 't4', 't5']], // three quarters of it are left
    [8, 6, ['t3', 't4', 't5', 't6']], // and nothing goes until it is crossed again
    [8, 7, ['t5', 't6', 't7']],
    [4, 3, ['t3']], // half a turn is not kept
    [2, 5, ['t5']],
    [2, 1, ['t1']],
  ] as const) {
    it(`keeps ${left.join(', ')} of ${turns} turns within ${maxMessages} messages`, () => {
      const conversation = filled(turns, { ...BOUNDS, maxMessages });
      assert.deepEqual(ids(conversation), left);
      assert.ok(conversation.messageCount <= maxMessages);
    });
  }

  it('keeps three quarters of the texts, and no less of the messages than it must', () => {
    const length = 'asked 1said 1'.length;
    const bounds = { maxMessages: 10, maxTextLength: 4 * length };
    assert.deepEqual(ids(filled(4, bounds)), ['t1', 't2', 't3', 't4']);
    assert.deepEqual(ids(filled(5, bounds)), ['t3', 't4', 't5']);
  });

  it('keeps exactly the bound of texts, and drops whole turns over one unit more', () => {
    const length = 'asked 1said 1'.length;
    assert.deepEqual(ids(filled(2, { ...BOUNDS, maxTextLength: 2 * length })), ['t1', 't2']);
    assert.deepEqual(ids(filled(2, { ...BOUNDS, maxTextLength: 2 * length - 1 })), ['t2']);
  });

  it('counts tool calls, and what was sent beside the messages', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', toolMessages('t1'), [
      { type: 'data', json: '"12345"' },
      { type: 'say', text: 'abc', isFiller: true },
      { type: 'hangup' },
    ]);
    assert.equal(
      conversation.textLength,
      'One'.length +
        'Let me see.'.length +
        'look'.length +
        '{"q":"x"}'.length +
        '42'.length +
        'It is 42.'.length +
        7 +
        3,
    );
  });

  it('keeps the newest turn, however large it is', () => {
    const bounds = { maxMessages: 3, maxTextLength: 10 };
    const conversation = filled(1, bounds);
    open(conversation, 't2', 'x'.repeat(100), undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2']);
    settle(conversation, 't2', 'completed', toolMessages('t2'), undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2']);
    exchange(conversation, 't3', 'a', 'b', bounds);
    assert.deepEqual(ids(conversation), ['t3']);
  });

  it('drops a turn with its tools whole', () => {
    const bounds = { ...BOUNDS, maxMessages: 6 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, bounds);
    settle(conversation, 't1', 'completed', toolMessages('t1'), undefined, bounds);
    exchange(conversation, 't2', 'Two', 'Second.', bounds);
    assert.equal(conversation.messageCount, 6);
    open(conversation, 't3', undefined, undefined, bounds);
    assert.deepEqual(ids(conversation), ['t2', 't3']);
  });

  it('steps over an open turn and drops the next', () => {
    const bounds = { ...BOUNDS, maxMessages: 4 };
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One', undefined, bounds);
    for (let count = 0; count < 5; count++) {
      appendMessage(
        conversation,
        { role: 'user', content: `note ${count}`, turnId: `n${count}` },
        bounds,
      );
      check(conversation);
    }
    assert.deepEqual(ids(conversation), ['t1', 'n4']);
    assert.equal(settle(conversation, 't1', 'completed', 'First.', undefined, bounds), true);
  });

  it('counts turns that kept no message: they take room too', () => {
    const bounds = { ...BOUNDS, maxMessages: 3 };
    const conversation = emptyConversation('c');
    for (let count = 1; count <= 10; count++) {
      open(conversation, `t${count}`, undefined, undefined, bounds);
      settle(conversation, `t${count}`, 'completed', '', undefined, bounds);
    }
    assert.deepEqual(ids(conversation), ['t9', 't10']);
  });

  it('holds at the opening already, when the placeholder is one message too many', () => {
    const bounds = { ...BOUNDS, maxMessages: 8 };
    const conversation = filled(4, bounds);
    const opened = open(conversation, 't5', 'Five', undefined, bounds);
    assert.deepEqual(ids(conversation), ['t3', 't4', 't5']);
    assert.deepEqual(
      opened.history().map(({ content }) => content),
      ['asked 3', 'said 3', 'asked 4', 'said 4', 'Five'],
    );
  });

  it('has an empty history for a turn that was dropped', () => {
    const bounds = { ...BOUNDS, maxMessages: 2 };
    const conversation = emptyConversation('c');
    const opened = open(conversation, 't1', 'One', undefined, bounds);
    settle(conversation, 't1', 'completed', 'First.', undefined, bounds);
    exchange(conversation, 't2', 'Two', 'Second.', bounds);
    assert.deepEqual(
      opened.history().filter(({ role }) => role === 'assistant'),
      [],
    );
  });

  it('holds, and the sums stay right, through any order of changes', () => {
    const states: readonly Exclude<TurnState, 'open'>[] = ['completed', 'interrupted', 'failed'];
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 200; round++) {
      const bounds = { maxMessages: 2 + random(8), maxTextLength: 5 + random(60) };
      const conversation = emptyConversation('c');
      for (let step = 0; step < 30; step++) {
        const turnId = `t${random(6)}`;
        const words = 'x'.repeat(random(12));
        switch (random(5)) {
          case 0:
          case 1:
            openTurn(
              conversation,
              {
                turnId,
                runId: ++runs,
                text: words,
                interruption: random(3) === 0 ? { textHeard: words, turnId: undefined } : undefined,
              },
              bounds,
            );
            break;
          case 2: {
            const state = states[random(3)] ?? 'failed';
            settle(
              conversation,
              turnId,
              state,
              random(3) === 0 ? toolMessages(turnId) : words,
              random(3) === 0 ? [{ type: 'data', json: words }] : undefined,
              bounds,
            );
            break;
          }
          case 3:
            cutTurn(
              conversation,
              { textHeard: random(2) === 0 ? words : undefined, turnId },
              bounds,
            );
            break;
          default:
            appendMessage(conversation, { role: 'user', content: words, turnId }, bounds);
        }
        check(conversation);
        const newest = conversation.turns.at(-1);
        const isWithin =
          conversation.messageCount <= bounds.maxMessages &&
          conversation.textLength <= bounds.maxTextLength;
        assert.ok(
          isWithin || conversation.turns.every((turn) => turn === newest || turn.state === 'open'),
          `round ${round}, step ${step}`,
        );
      }
    }
  });
});
