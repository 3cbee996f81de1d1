// A platform sends the whole call with each request: what that changes in a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  afterRequests, booking, call, callOf, discarded, numbers, tellCalls,
} from './calls.ts';
import { inTalk, Talk } from './talk.ts';

describe('a request from an unknown call', () => {
  const told = ['> Welcome.', 'A > a | More.', 'B'];

  it('brings the whole call, shows it to the agent, and begins the conversation', inTalk((talk) => {
    const opened = talk.open('t1', call('C', told));
    assert.deepEqual(talk.shown, [
      'assistant(completed): Welcome.', 'user: A', 'assistant(completed): a More.', 'user: B',
      'user: C', 'assistant(open): ',
    ]);
    const texts = opened.history().map(({ content }) => content);
    assert.deepEqual(texts, ['Welcome.', 'A', 'a More.', 'B', 'C']);
    assert.equal(opened.isResumed, false);
  }));

  it('creates turns with the same ids when it is tried again', () => {
    const [first, second] = [new Talk(), new Talk()];
    for (const talk of [first, second]) talk.open('t1', call('C', told));
    assert.deepEqual(first.turns.map(({ id }) => id), second.turns.map(({ id }) => id));
  });

  tellCalls([
    ['brings identical words as often as they were said', 'C (Yes. / Yes.)', 'Yes. / Yes. / C > …'],
  ]);
});

describe("the platform's greeting", () => {
  tellCalls([
    ['is gone if none of it was heard', 'A (> Welcome to the bakery.) > a; A and B () > b',
      'A and B > b; not t1'],
    ['is cut to what was heard of it',
      'A (> Welcome to the bakery.) > a; A and B (> Welcome) > b',
      '> Welcome* / A and B > b; not t1'],
  ]);

  // Seeds 36422 and 43813 of the random platforms.
  for (const known of ['', 'Tea is one euro.']) {
    const what = known === '' ? 'another process has yet to report' : 'is known';
    it(`is not all that is left of a call which was cut to a reply that ${what}`, inTalk((talk) => {
      talk.open('t1', call('Tea?', ['> Line 1 of the bakery.']));
      if (known !== '') talk.settle('t1', 'completed', known);
      talk.open('t2', call('And milk?', ['> Tea is one | Line 2 of the bakery.']));
      assert.deepEqual(talk.words, ['Tea?', 'And milk?']);
      assert.deepEqual(discarded(talk), []);
    }));
  }
});

describe('a request for another reply to the newest words', () => {
  const told = ['A > a'];

  tellCalls([
    ['replaces the first turn of the call', 'Book () > b; Book it ()', 'Book it > …; not t1'],
    ['replaces a turn that replaced another', 'A () > a; B (A > a); B and C (A > a); B C D (A > a)',
      'A > a / B C D > …; not t2, t3'],
  ]);

  it('has the number of the turn it replaces, and leaves the next number to the next words', () => {
    const first = 'A () > a; B (A > a) > b; B and C (A > a) > c; B C D (A > a) > d';
    assert.deepEqual(numbers(afterRequests(first)), [1, 3, 3, 3]);
    const next = `${first}; E (A > a / B C D > d)`;
    assert.deepEqual(numbers(afterRequests(next)), [1, 3, 3, 3, 5]);
  });

  it('is named by its number, not by its id, in the keys of its tools', () => {
    assert.equal(callOf('A > a', 'B > b').open('t3', call('B and C', told)).place, '\u00003');
  });

  for (const state of ['interrupted', 'unknown'] as const)
    it(`is given a call's result, even if an identical call in a later turn is ${state}`, () => {
      const talk = callOf('A > a');
      talk.exchange('t2', booking('t2'), call('Book', told));
      const joined = booking('t2', state).map((message) => ({ ...message, turnId: 't3' }));
      talk.exchange('t3', joined, call('Book it', told));
      const { earlierCalls } = talk.open('t4', call('Book it now', told));
      // Of those with the same key, the last one is believed.
      assert.equal(earlierCalls.findLast(({ key }) => key === 'key of t2')?.state, 'completed');
    });
});

describe('a request that comes late', () => {
  const told = ['A > a'];
  const late = call('Book a table', told);

  it('is stale, and changes nothing, if a longer form of its words has been answered', () => {
    const talk = callOf('A > a', 'Book a table for two > Booked.');
    const before = structuredClone(talk.conversation);
    assert.deepEqual(talk.ask('t3', late), { kind: 'stale' });
    assert.deepEqual(talk.conversation, before);
  });

  tellCalls([
    ['is a turn of its own if the call has gone on',
      'A () > a; Book for two (A > a) > Booked.; Book (A > a / Book for two > Booked.)',
      'A > a / Book for two > Booked. / Book > …'],
  ]);

  it('is stale when it is delivered again after it was discarded', () => {
    const talk = callOf('A > a', 'Book a table > For how many?');
    talk.open('t3', call('Book a table for two', told));
    assert.deepEqual(talk.ask('t2', late), { kind: 'stale' });
  });
});

describe('a request for a known turn', () => {
  tellCalls([
    ['runs the turn again in its place if it was interrupted',
      'A () > a; B (A > a) > b*; t2: B (A > a)', 'A > a / B > …'],
  ]);
});
