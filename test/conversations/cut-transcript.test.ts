// The platform leaves out the older messages of a call, up to the replies to some words.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { call, callOf, discarded } from './reconciling.ts';
import { Talk } from './talk.ts';

const [TEA, CAKE] = ['Tea? > Tea is one euro.', 'Cake? > Cake is two euros.'];
const ASKED = 'Are you still there?';

/** The platform has said something itself, before the caller spoke and behind the first reply. */
function greeted(): Talk {
  const talk = new Talk();
  const lines = ['> Line 1 of the bakery.'];
  talk.exchange('t1', 'Tea is one euro.', call('Tea?', lines));
  lines.push(`${TEA} | Line 2 of the bakery.`);
  talk.exchange('t2', 'Cake is two euros.', call('Cake?', lines));
  return talk;
}

/** Exchanges such as `words > reply`, after a greeting of the platform's. */
function greetedBy(greeting: string, ...texts: readonly string[]): Talk {
  const talk = new Talk();
  for (const [index, text] of texts.entries()) {
    const [words = '', said = ''] = text.split(' > ');
    talk.exchange(`t${index + 1}`, said, call(words, [greeting, ...texts.slice(0, index)]));
  }
  return talk;
}

describe('a call that was cut to replies', () => {
  for (const [what, talk, words, told, expected] of [
    // Seed 98700029 of the random platforms: the corrected words were there twice.
    ['asks for another reply to the words after them', callOf(TEA, CAKE), 'Cake and milk?',
      '> Tea is one euro. | Line 2 of the bakery.', ['t2']],
    ['asks for another reply to the words after them, though the agent began the call', greeted(),
      'Cake and milk?', '> Tea is one euro. | Line 2 of the bakery.', ['t2']],
    ['replaces nothing if both of the last two replies fit it equally well',
      callOf('Tea? > Which one?', 'Cake? > Which one?'), 'The green one.', '> Which one?', []],
    ['replaces nothing even if the caller repeats what they said before',
      callOf('Yes. > Your tea is on its way.'), 'Yes.', '> Your tea is on its way.', []],
    ['replaces the only turn if its texts belong to no reply: perhaps to a greeting',
      callOf('Milk? > It is out.'), 'Milk and tea?',
      '> Please hold the line, an agent comes at once.', ['t1']],
    ['replaces the only turn since the greeting if the greeting comes in other words',
      greetedBy('> Welcome to the bakery.', 'Tea? > It costs one euro.'), 'Tea and cake?',
      '> Welcome at the bakery.', ['t1']],
    ['replaces everything said since the greeting if it begins with the greeting',
      greetedBy('> Welcome to the bakery.', 'Tea?', 'Cake?'), 'Tea and a cake?',
      '> Welcome to the bakery.', ['t1', 't2']],
    ['replaces nothing if all it has is a part of the greeting',
      greetedBy('> Welcome to the bakery. How can I help?', TEA, CAKE), 'Milk?',
      '> How can I help?', []],
  ] as const)
    it(what, () => {
      talk.open('next', call(words, [told]));
      assert.deepEqual(discarded(talk), expected);
    });

  for (const [what, told, expected] of [
    ['older', 'Tea is 1 euro and fifty cents with milk.', ['t2']],
    ['newer', 'Cake is 1 euro and twenty cents with cream.', []],
  ] as const)
    it(`belongs to the ${what} of two similar replies if that has more of its words`, () => {
      const talk = callOf(
        'Tea? > Tea is one euro and fifty cents, with milk.',
        'Cake? > Cake is one euro and twenty cents, with cream.',
      );
      talk.open('t3', call('Milk?', [`> ${told}`]));
      assert.deepEqual(discarded(talk), expected);
    });

  it('asks for another reply while the one before is still missing', () => {
    const talk = callOf(TEA);
    talk.open('t2', call('Cake?', [TEA]));
    talk.open('t3', call('Cake and milk?', ['> Tea is one euro.']));
    assert.deepEqual(discarded(talk), ['t2']);
  });

  it('goes on after the newest reply, which it cuts to what was heard', () => {
    const talk = callOf(TEA, CAKE);
    talk.open('t3', call('Milk?', ['> Cake is']));
    assert.deepEqual(talk.words, ['Tea?', 'Cake?', 'Milk?']);
    assert.deepEqual(talk.replies, ['t1: Tea is one euro.', 't2: Cake is *']);
  });

  it('replaces nothing if it has only lines that are often repeated', () => {
    const talk = callOf(TEA);
    talk.exchange('t2', 'Cake is two euros.', call('Cake?', [`${TEA} | ${ASKED}`]));
    talk.open('t3', call('Yes.', [`> ${ASKED}`]));
    assert.deepEqual(discarded(talk), []);
  });

  it('says nothing about a reply that it was cut after', () => {
    const talk = callOf(TEA);
    talk.open('t2', call('', [`${TEA} | ${ASKED}`], { isHeard: true }));
    talk.settle('t2', 'interrupted');
    talk.open('t3', call('Yes.', [`> ${ASKED}`], { isHeard: true }));
    assert.equal(talk.replies[0], 't1: Tea is one euro.');
  });

  it('does not begin with the greeting if its first text is a part of the greeting', () => {
    const [greeting, milk] = ['> Welcome to the bakery. How can I help?', 'Milk? > It is out.'];
    const talk = greetedBy(greeting, TEA, CAKE, milk);
    talk.open('t4', call('Bread?', ['> How can I help?', milk]));
    assert.deepEqual(discarded(talk), []);
  });
});
