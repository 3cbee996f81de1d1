// A platform sends the whole call with each request: what that changes in a conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { booking, call, callOf, discarded, numbers } from './reconciling.ts';
import { Talk } from './talk.ts';

describe('a request of an unknown call', () => {
  const told = ['> Welcome.', 'A > a | More.', 'B'];

  it('brings the whole call, shows it to the agent, and begins the conversation', () => {
    const talk = new Talk();
    const opened = talk.open('t1', call('C', told));
    assert.deepEqual(talk.shown, [
      'assistant(completed): Welcome.', 'user: A', 'assistant(completed): a More.', 'user: B',
      'user: C', 'assistant(open): ',
    ]);
    const texts = opened.history().map(({ content }) => content);
    assert.deepEqual(texts, ['Welcome.', 'A', 'a More.', 'B', 'C']);
    assert.equal(opened.isResumed, false);
  });

  it('creates turns with the same ids when it is tried again', () => {
    const [first, second] = [new Talk(), new Talk()];
    for (const talk of [first, second]) talk.open('t1', call('C', told));
    assert.deepEqual(first.turns.map(({ id }) => id), second.turns.map(({ id }) => id));
  });

  it('brings equal words as often as they were said', () => {
    const talk = new Talk();
    talk.open('t1', call('C', ['Yes.', 'Yes.']));
    assert.deepEqual(talk.words, ['Yes.', 'Yes.', 'C']);
  });

  it('is not changed by the next request, which brings it again', () => {
    const talk = new Talk();
    talk.exchange('t1', 'c', call('C', told));
    const before = talk.shown;
    talk.open('t2', call('D', [...told, 'C > c']));
    assert.deepEqual(talk.shown.slice(0, -2), before);
  });
});

describe('a reply that comes back shorter', () => {
  for (const [what, exchanges, first] of [
    ['is cut', ['B > b'], 'assistant(interrupted): It is'],
    ['stays whole before two equal exchanges', ['B > b', 'C > c'],
      'assistant(completed): It is six.'],
  ] as const)
    it(what, () => {
      const talk = callOf('A > It is six.', ...exchanges);
      talk.open('t9', call('D', ['A > It is', ...exchanges]));
      assert.equal(talk.shown[1], first);
    });
});

describe("the platform's greeting", () => {
  const second = ['user: A and B', 'assistant(completed): b'];
  for (const [what, greeting, then, shown] of [
    ['comes before the first words, and once when those are corrected', 'Welcome.', 'Welcome.',
      ['assistant(completed): Welcome.']],
    ['is gone if none of it was heard', 'Welcome to the bakery.', undefined, []],
    ['is cut to what was heard of it', 'Welcome to the bakery.', 'Welcome',
      ['assistant(interrupted): Welcome']],
  ] as const)
    it(what, () => {
      const talk = new Talk();
      talk.exchange('t1', 'a', call('A', [`> ${greeting}`]));
      const first = [`assistant(completed): ${greeting}`, 'user: A', 'assistant(completed): a'];
      assert.deepEqual(talk.shown, first);
      talk.exchange('t2', 'b', call('A and B', then === undefined ? [] : [`> ${then}`]));
      assert.deepEqual(talk.shown, [...shown, ...second]);
    });

  it('is also recognised in two pieces when the first words are corrected', () => {
    const talk = new Talk();
    const long = 'Welcome to the bakery in the old mill by the river, just behind the town hall.';
    talk.exchange('t1', 'a', call('A', [`> ${long} How can I help?`]));
    talk.exchange('t2', 'b', call('A and B', [`> ${long} | How can I help?`]));
    assert.deepEqual(talk.words, ['A and B']);
  });

  // Seeds 36422 and 43813 of the random platforms.
  for (const known of ['', 'Tea is one euro.']) {
    const what = known === '' ? 'another process has not told yet' : 'it has';
    it(`is not all that is left of a call which was cut to a reply that ${what}`, () => {
      const talk = new Talk();
      talk.open('t1', call('Tea?', ['> Line 1 of the bakery.']));
      if (known !== '') talk.settle('t1', 'completed', known);
      talk.open('t2', call('And milk?', ['> Tea is one | Line 2 of the bakery.']));
      assert.deepEqual(talk.words, ['Tea?', 'And milk?']);
      assert.deepEqual(discarded(talk), []);
    });
  }
});

describe('a request for another reply to the newest words', () => {
  const told = ['A > a'];

  it('replaces the turn, under the same number', () => {
    const talk = callOf('A > a', 'Book a table > For how many?');
    talk.exchange('t3', 'Booked.', call('Book a table for two', told));
    assert.deepEqual(talk.shown, [
      'user: A', 'assistant(completed): a',
      'user: Book a table for two', 'assistant(completed): Booked.',
    ]);
    assert.deepEqual(discarded(talk), ['t2']);
    assert.deepEqual(numbers(talk), [1, 3, 3]);
  });

  it('replaces the first turn of the call', () => {
    const talk = callOf('Book > b');
    talk.open('t2', call('Book it'));
    assert.deepEqual(talk.words, ['Book it']);
    assert.deepEqual(numbers(talk), [1, 1]);
  });

  it('replaces a running turn', () => {
    const talk = callOf('A > a');
    talk.open('t2', call('B', told));
    const running = [talk.soFar('t2', 'interrupted', 'I will')];
    talk.open('t3', { ...call('B and C', told), running });
    assert.deepEqual(discarded(talk), ['t2']);
    assert.equal(talk.turn('t2').state, 'interrupted');
  });

  it('replaces what replaced another one, under the number of the first', () => {
    const talk = callOf('A > a');
    for (const [index, text] of ['B', 'B and C', 'B and C and D'].entries())
      talk.open(`t${index + 2}`, call(text, told));
    assert.deepEqual(numbers(talk), [1, 3, 3, 3]);
    assert.deepEqual(discarded(talk), ['t2', 't3']);
  });

  it('leaves the next number to the next words', () => {
    const talk = callOf('A > a', 'B > b');
    talk.exchange('t3', 'c', call('B and C', told));
    talk.open('t4', call('D', [...told, 'B and C > c']));
    assert.deepEqual(numbers(talk), [1, 3, 3, 5]);
  });

  it('is known by its number, and not by its id, to the keys of its tools', () => {
    assert.equal(callOf('A > a', 'B > b').open('t3', call('B and C', told)).place, '\u00003');
  });

  it('is given the calls that were made in its place', () => {
    const talk = callOf('A > a');
    talk.exchange('t2', booking('t2'), call('Book', told));
    const { earlierCalls } = talk.open('t3', call('Book it', told));
    assert.deepEqual(earlierCalls.map(({ key, state }) => `${key} ${state}`), [
      'key of t2 completed',
    ]);
  });

  for (const state of ['interrupted', 'unknown'] as const)
    it(`is given a call's result, even if an equal call of a later turn is ${state}`, () => {
      const talk = callOf('A > a');
      talk.exchange('t2', booking('t2'), call('Book', told));
      const joined = booking('t2', state).map((message) => ({ ...message, turnId: 't3' }));
      talk.exchange('t3', joined, call('Book it', told));
      const { earlierCalls } = talk.open('t4', call('Book it now', told));
      // The last of those with one key is believed.
      assert.equal(earlierCalls.findLast(({ key }) => key === 'key of t2')?.state, 'completed');
    });

  it('is not given an interrupted call', () => {
    const talk = callOf('A > a');
    talk.exchange('t2', booking('t2', 'interrupted'), call('Book', told));
    assert.deepEqual(talk.open('t3', call('Book it', told)).earlierCalls, []);
  });

  it('is not given calls of turns that were replaced elsewhere', () => {
    const talk = callOf('A > a');
    talk.exchange('t2', booking('t2'), call('Book', told));
    talk.exchange('t3', 'Fine.', call('Book it', told));
    const { earlierCalls } = talk.open('t4', call('Thanks', [...told, 'Book it > Fine.']));
    assert.deepEqual(earlierCalls, []);
  });

  it('is not given calls of other places', () => {
    const talk = new Talk();
    talk.exchange('t1', booking('t1'), call('Book'));
    const opened = talk.open('t2', call('Book it', ['Book > Let me see. Booked.']));
    assert.deepEqual(opened.earlierCalls, []);
  });
});

describe('a request that comes late', () => {
  const told = ['A > a'];
  const late = call('Book a table', told);

  it('is stale while a turn with its words and more is running', () => {
    const talk = callOf('A > a');
    talk.open('t2', call('Book a table for two', told));
    const running = [talk.soFar('t2', 'interrupted')];
    assert.deepEqual(talk.ask('t3', { ...late, running }), { kind: 'stale' });
  });

  it('is stale after that turn has completed, and changes nothing', () => {
    const talk = callOf('A > a', 'Book a table for two > Booked.');
    const before = structuredClone(talk.conversation);
    assert.deepEqual(talk.ask('t3', late), { kind: 'stale' });
    assert.deepEqual(talk.conversation, before);
  });

  it('is stale at the beginning of the call', () => {
    const talk = callOf('Book a table for two > Booked.');
    assert.deepEqual(talk.ask('t3', call('Book a table')), { kind: 'stale' });
  });

  it('is a turn of its own if the call has gone on', () => {
    const talk = callOf('A > a', 'Book a table for two > Booked.');
    talk.open('t3', call('Book a table', [...told, 'Book a table for two > Booked.']));
    assert.deepEqual(talk.words, ['A', 'Book a table for two', 'Book a table']);
  });

  it('is stale when it was discarded before and is delivered again', () => {
    const talk = callOf('A > a', 'Book a table > For how many?');
    talk.open('t3', call('Book a table for two', told));
    assert.deepEqual(talk.ask('t2', late), { kind: 'stale' });
  });
});

describe('a request of a known turn', () => {
  const request = call('B', ['A > a']);

  it('runs an interrupted turn again, in its place and under its number', () => {
    const talk = callOf('A > a');
    talk.open('t2', request);
    talk.settle('t2', 'interrupted', 'b');
    talk.open('t2', request);
    const all = ['user: A', 'assistant(completed): a', 'user: B', 'assistant(open): '];
    assert.deepEqual(talk.shown, all);
    assert.deepEqual(numbers(talk), [1, 3]);
  });

  it('discards nothing, even if its history ends before newer turns', () => {
    const talk = callOf('A > a');
    talk.open('t2', request);
    talk.settle('t2', 'interrupted', 'b');
    talk.exchange('t3', 'c', call('C', ['A > a', 'B > b']));
    talk.open('t2', request);
    assert.deepEqual(discarded(talk), []);
  });

  it('gets the complete reply', () => {
    const sent = [{ type: 'say', text: 'b' }];
    const again = callOf('A > a', 'B > b').ask('t2', request);
    assert.deepEqual(again, { kind: 'completed before', sent });
  });

  it('leaves the calls of its first run to the run that replaces it', () => {
    const talk = callOf('A > a');
    talk.open('t2', request);
    talk.settle('t2', 'interrupted', booking('t2'));
    const { earlierCalls } = talk.open('t2', request);
    assert.deepEqual(earlierCalls.map(({ key }) => key), ['key of t2']);
  });
});
