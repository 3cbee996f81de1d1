// The platform leaves out the older messages of a call, up to the replies to some words.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import { settle, shown } from './checked-rules.ts';
import { callOf, discarded, exchange, open } from './reconciling.ts';

describe('a call that was cut to replies', () => {
  /** The platform says something itself, before the caller speaks and behind the first reply. */
  function greeted(): Conversation {
    const conversation = emptyConversation('c');
    const lines = ['agent: Line 1 of the bakery.'];
    exchange(conversation, 't1', 'Tea?', 'Tea is one euro.', lines);
    lines.push('user: Tea?', 'agent: Tea is one euro.', 'agent: Line 2 of the bakery.');
    exchange(conversation, 't2', 'Cake?', 'Cake is two euros.', lines);
    return conversation;
  }

  // Seed 98700029 of the random platforms: the corrected words were there twice.
  for (const [what, conversation] of [
    ['', callOf('Tea? > Tea is one euro.', 'Cake? > Cake is two euros.')],
    [', though the agent began the call', greeted()],
  ] as const)
    it(`asks for another reply to the words after them${what}`, () => {
      const lines = ['agent: Tea is one euro.', 'agent: Line 2 of the bakery.'];
      open(conversation, { turnId: 't3', text: 'Cake and milk?', lines });
      assert.deepEqual(discarded(conversation), ['t2']);
    });

  it('asks for another reply while the one before is still missing', () => {
    const conversation = callOf('Tea? > Tea is one euro.');
    open(conversation, {
      turnId: 't2', text: 'Cake?', lines: ['user: Tea?', 'agent: Tea is one euro.'],
    });
    open(conversation, {
      turnId: 't3', text: 'Cake and milk?', lines: ['agent: Tea is one euro.'],
    });
    assert.deepEqual(discarded(conversation), ['t2']);
  });

  it('goes on after the newest reply, which it cuts to what was heard', () => {
    const conversation = callOf('Tea? > Tea is one euro.', 'Cake? > Cake is two euros.');
    open(conversation, { turnId: 't3', text: 'Milk?', lines: ['agent: Cake is'] });
    assert.deepEqual(shown(conversation).slice(2, 5), [
      'user: Cake?', 'assistant(interrupted): Cake is', 'user: Milk?',
    ]);
  });

  it('replaces nothing if both of the last two replies fit it equally well', () => {
    const conversation = callOf('Tea? > Which one?', 'Cake? > Which one?');
    open(conversation, { turnId: 't3', text: 'The green one.', lines: ['agent: Which one?'] });
    assert.deepEqual(discarded(conversation), []);
  });

  for (const [what, told, expected] of [
    ['older', 'Tea is 1 euro and fifty cents with milk.', ['t2']],
    ['newer', 'Cake is 1 euro and twenty cents with cream.', []],
  ] as const)
    it(`belongs to the ${what} of two similar replies if that has more of its words`, () => {
      const conversation = callOf(
        'Tea? > Tea is one euro and fifty cents, with milk.',
        'Cake? > Cake is one euro and twenty cents, with cream.',
      );
      open(conversation, { turnId: 't3', text: 'Milk?', lines: [`agent: ${told}`] });
      assert.deepEqual(discarded(conversation), expected);
    });

  it('replaces nothing even if the caller repeats what they said before', () => {
    const conversation = callOf('Yes. > Your tea is on its way.');
    const lines = ['agent: Your tea is on its way.'];
    open(conversation, { turnId: 't2', text: 'Yes.', lines });
    assert.deepEqual(discarded(conversation), []);
  });

  it('replaces the only turn if its texts belong to no reply: perhaps to a greeting', () => {
    const conversation = callOf('Milk? > It is out.');
    const lines = ['agent: Please hold the line, an agent comes at once.'];
    open(conversation, { turnId: 't2', text: 'Milk and tea?', lines });
    assert.deepEqual(discarded(conversation), ['t1']);
  });

  it('replaces the only turn since the greeting if the greeting comes in other words', () => {
    const conversation = emptyConversation('c');
    const lines = ['agent: Welcome to the bakery.'];
    exchange(conversation, 't1', 'Tea?', 'It costs one euro.', lines);
    const told = ['agent: Welcome at the bakery.'];
    open(conversation, { turnId: 't2', text: 'Tea and cake?', lines: told });
    assert.deepEqual(discarded(conversation), ['t1']);
  });

  it('replaces nothing if it has only lines that are often repeated', () => {
    const conversation = callOf('Tea? > Tea is one euro.');
    const asked = 'agent: Are you still there?';
    const lines = ['user: Tea?', 'agent: Tea is one euro.', asked];
    exchange(conversation, 't2', 'Cake?', 'Cake is two euros.', lines);
    open(conversation, { turnId: 't3', text: 'Yes.', lines: [asked] });
    assert.deepEqual(discarded(conversation), []);
  });

  it('replaces everything said since the greeting if it begins with the greeting', () => {
    const conversation = emptyConversation('c');
    const lines = ['agent: Welcome to the bakery.'];
    exchange(conversation, 't1', 'Tea?', '', lines);
    exchange(conversation, 't2', 'Cake?', '', [...lines, 'user: Tea?']);
    open(conversation, { turnId: 't3', text: 'Tea and a cake?', lines });
    assert.deepEqual(discarded(conversation), ['t1', 't2']);
  });

  it('replaces nothing if all it has is a part of the greeting', () => {
    const conversation = emptyConversation('c');
    const lines = ['agent: Welcome to the bakery. How can I help?'];
    exchange(conversation, 't1', 'Tea?', 'Tea is one euro.', lines);
    lines.push('user: Tea?', 'agent: Tea is one euro.');
    exchange(conversation, 't2', 'Cake?', 'Cake is two euros.', lines);
    open(conversation, { turnId: 't3', text: 'Milk?', lines: ['agent: How can I help?'] });
    assert.deepEqual(discarded(conversation), []);
  });

  it('says nothing about a reply that it was cut after', () => {
    const conversation = callOf('Tea? > Tea is one euro.');
    const told = { isHeard: true };
    const line = 'agent: Are you still there?';
    const lines = ['user: Tea?', 'agent: Tea is one euro.', line];
    open(conversation, { turnId: 't2', text: '', lines, told });
    settle(conversation, 't2', 'interrupted', '');
    open(conversation, { turnId: 't3', text: 'Yes.', lines: [line], told });
    assert.equal(shown(conversation)[1], 'assistant(completed): Tea is one euro.');
  });

  it('does not begin with the greeting if its first text is a part of the greeting', () => {
    const conversation = emptyConversation('c');
    const lines = ['agent: Welcome to the bakery. How can I help?'];
    for (const [index, what] of ['Tea', 'Cake', 'Milk'].entries()) {
      exchange(conversation, `t${index}`, `${what}?`, `${what} is one euro.`, lines);
      lines.push(`user: ${what}?`, `agent: ${what} is one euro.`);
    }
    const left = ['agent: How can I help?', ...lines.slice(-2)];
    open(conversation, { turnId: 't4', text: 'Bread?', lines: left });
    assert.deepEqual(discarded(conversation), []);
  });
});
