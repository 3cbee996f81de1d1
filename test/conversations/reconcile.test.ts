// A platform sends the whole call with each request: what that changes in a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, findTurn } from '../../src/conversations/conversation.ts';
import { settle, shown } from './checked-rules.ts';
import { ask, booking, callOf, discarded, exchange, numbers, open, soFar } from './reconciling.ts';

describe('a request of an unknown call', () => {
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

  it('creates turns with the same ids when it is tried again', () => {
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

  it('is not changed by the next request, which brings it again', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'C', 'c', lines);
    const before = shown(conversation);
    open(conversation, { turnId: 't2', text: 'D', lines: [...lines, 'user: C', 'agent: c'] });
    assert.deepEqual(shown(conversation).slice(0, -2), before);
  });
});

describe('a reply that comes back shorter', () => {
  for (const [what, exchanges, first] of [
    ['is cut', ['B > b'], 'assistant(interrupted): It is'],
    ['stays whole before two equal exchanges', ['B > b', 'C > c'],
      'assistant(completed): It is six.'],
  ] as const)
    it(what, () => {
      const conversation = callOf('A > It is six.', ...exchanges);
      const told = exchanges.flatMap((text) => [`user: ${text.at(0)}`, `agent: ${text.at(-1)}`]);
      const lines = ['user: A', 'agent: It is', ...told];
      open(conversation, { turnId: 't9', text: 'D', lines });
      assert.equal(shown(conversation)[1], first);
    });
});

describe("the platform's greeting", () => {
  it('comes before the first words', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'A', 'a', ['agent: Welcome.']);
    const all = ['assistant(completed): Welcome.', 'user: A', 'assistant(completed): a'];
    assert.deepEqual(shown(conversation), all);
  });

  it('appears once when the first words are corrected', () => {
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

  it('is also recognised in two pieces when the first words are corrected', () => {
    const conversation = emptyConversation('c');
    const long = 'Welcome to the bakery in the old mill by the river, just behind the town hall.';
    exchange(conversation, 't1', 'A', 'a', [`agent: ${long} How can I help?`]);
    const pieces = [`agent: ${long}`, 'agent: How can I help?'];
    exchange(conversation, 't2', 'A and B', 'b', pieces);
    const words = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(words, ['user: A and B']);
  });

  // Seeds 36422 and 43813 of the random platforms.
  for (const known of ['', 'Tea is one euro.']) {
    const what = known === '' ? 'another process has not told yet' : 'it has';
    it(`is not all that is left of a call which was cut to a reply that ${what}`, () => {
      const conversation = emptyConversation('c');
      open(conversation, { turnId: 't1', text: 'Tea?', lines: ['agent: Line 1 of the bakery.'] });
      if (known !== '') settle(conversation, 't1', 'completed', known);
      const lines = ['agent: Tea is one', 'agent: Line 2 of the bakery.'];
      open(conversation, { turnId: 't2', text: 'And milk?', lines });
      const words = shown(conversation).filter((line) => line.startsWith('user'));
      assert.deepEqual(words, ['user: Tea?', 'user: And milk?']);
      assert.equal(conversation.turns.some(({ isDiscarded }) => isDiscarded), false);
    });
  }
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
    assert.deepEqual(numbers(conversation), [1, 3, 3]);
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

  it('replaces a running turn', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    open(conversation, { turnId: 't2', text: 'B', lines });
    const running = [soFar('t2', 'I will')];
    open(conversation, { turnId: 't3', text: 'B and C', lines, opening: { running } });
    assert.deepEqual(discarded(conversation), ['t2']);
    assert.equal(findTurn(conversation, 't2')?.state, 'interrupted');
  });

  it('replaces what replaced another one, under the number of the first', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    for (const [index, text] of ['B', 'B and C', 'B and C and D'].entries())
      open(conversation, { turnId: `t${index + 2}`, text, lines });
    assert.deepEqual(numbers(conversation), [1, 3, 3, 3]);
    assert.deepEqual(discarded(conversation), ['t2', 't3']);
  });

  it('leaves the next number to the next words', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't3', 'B and C', 'c', lines);
    open(conversation, {
      turnId: 't4', text: 'D', lines: [...lines, 'user: B and C', 'agent: c'],
    });
    assert.deepEqual(numbers(conversation), [1, 3, 3, 5]);
  });

  it('is known by its number, and not by its id, to the keys of its tools', () => {
    const conversation = callOf('A > a', 'B > b');
    const lines = ['user: A', 'agent: a'];
    assert.equal(open(conversation, { turnId: 't3', text: 'B and C', lines }).place, '\u00003');
  });

  it('is given the calls that were made in its place', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2'), lines);
    const { earlierCalls } = open(conversation, { turnId: 't3', text: 'Book it', lines });
    assert.deepEqual(earlierCalls.map(({ key, state }) => [key, state]), [
      ['key of t2', 'completed'],
    ]);
  });

  for (const state of ['interrupted', 'unknown'] as const)
    it(`is given a call's result, even if an equal call of a later turn is ${state}`, () => {
      const conversation = callOf('A > a');
      const lines = ['user: A', 'agent: a'];
      exchange(conversation, 't2', 'Book', booking('t2'), lines);
      const joined = booking('t2', state).map((message) => ({ ...message, turnId: 't3' }));
      exchange(conversation, 't3', 'Book it', joined, lines);
      const { earlierCalls } = open(conversation, { turnId: 't4', text: 'Book it now', lines });
      // The last of those with one key is believed.
      assert.equal(earlierCalls.findLast(({ key }) => key === 'key of t2')?.state, 'completed');
    });

  it('is not given an interrupted call', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2', 'interrupted'), lines);
    const { earlierCalls } = open(conversation, { turnId: 't3', text: 'Book it', lines });
    assert.deepEqual(earlierCalls, []);
  });

  it('is not given calls of turns that were replaced elsewhere', () => {
    const conversation = callOf('A > a');
    const lines = ['user: A', 'agent: a'];
    exchange(conversation, 't2', 'Book', booking('t2'), lines);
    exchange(conversation, 't3', 'Book it', 'Fine.', lines);
    const all = [...lines, 'user: Book it', 'agent: Fine.'];
    const { earlierCalls } = open(conversation, { turnId: 't4', text: 'Thanks', lines: all });
    assert.deepEqual(earlierCalls, []);
  });

  it('is not given calls of other places', () => {
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

  it('is stale while a turn with its words and more is running', () => {
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

  it('is stale when it was discarded before and is delivered again', () => {
    const conversation = callOf('A > a', 'Book a table > For how many?');
    open(conversation, { turnId: 't3', text: 'Book a table for two', lines });
    assert.deepEqual(ask(conversation, { ...late, turnId: 't2' }), { kind: 'stale' });
  });
});

describe('a request of a known turn', () => {
  const lines = ['user: A', 'agent: a'];

  it('runs an interrupted turn again, in its place', () => {
    const conversation = callOf('A > a');
    open(conversation, { turnId: 't2', text: 'B', lines });
    settle(conversation, 't2', 'interrupted', 'b');
    open(conversation, { turnId: 't2', text: 'B', lines });
    const all = ['user: A', 'assistant(completed): a', 'user: B', 'assistant(open): '];
    assert.deepEqual(shown(conversation), all);
  });

  it('discards nothing, even if its history ends before newer turns', () => {
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
    assert.deepEqual(numbers(conversation), [1, 3]);
  });

  it('gets the complete reply', () => {
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
