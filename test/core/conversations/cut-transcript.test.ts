// The platform leaves out the older messages of a call, up to the replies to some words.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { call, callOf, discarded, tellCalls } from './calls.ts';

const [TEA, CAKE] = ['Tea? > Tea is one euro.', 'Cake? > Cake is two euros.'];

describe('a call that was cut to replies', () => {
  const both = 'Tea? () > Tea is one euro.; Cake? (Tea? > Tea is one euro.) > Cake is two euros.';
  const WELCOME = '> Welcome to the bakery. How can I help?';
  tellCalls([
    // Seed 98700029 of the random platforms: the corrected words were in history twice.
    ['asks for another reply to the words after those replies',
      `${both}; Cake and milk? (> Tea is one euro. | Line 2 of the bakery.)`,
      'Tea? > Tea is one euro. | Line 2 of the bakery. / Cake and milk? > …; not t2'],
    ['asks for another reply to the words after those replies, though the agent began the call',
      'Tea? (> Line 1.) > Tea is one euro.; '
        + `Cake? (> Line 1. / ${TEA} | Line 2 of the bakery.) > Cake is two euros.; `
        + 'Cake and milk? (> Tea is one euro. | Line 2 of the bakery.)',
      `> Line 1. / ${TEA} | Line 2 of the bakery. / Cake and milk? > …; not t2`],
    ['goes on after the newest reply, which it cuts to what was heard',
      `${both}; Milk? (> Cake is)`, `${TEA} / Cake? > Cake is* / Milk? > …`],
    ['replaces nothing even if the caller repeats what they said before',
      'Yes. () > Your tea is on its way.; Yes. (> Your tea is on its way.)',
      'Yes. > Your tea is on its way. / Yes. > …'],
    ['replaces the only turn if its texts belong to no reply, but perhaps to a greeting',
      'Milk? () > It is out.; Milk and tea? (> Please hold the line, an agent comes at once.)',
      'Milk and tea? > …; not t1'],
    ['replaces the only turn since the greeting if the greeting comes in other words',
      'Tea? (> Welcome to the bakery.) > It costs one euro.; '
        + 'Tea and cake? (> Welcome at the bakery.)',
      '> Welcome to the bakery. / Tea and cake? > …; not t1'],
    ['replaces everything said since the greeting if it begins with the greeting',
      'Tea? (> Welcome to the bakery.) > ; Cake? (> Welcome to the bakery. / Tea?) > ; '
        + 'Tea and a cake? (> Welcome to the bakery.)',
      '> Welcome to the bakery. / Tea and a cake? > …; not t1, t2'],
    ['replaces nothing if all it has is a part of the greeting',
      `Tea? (${WELCOME}) > Tea is one euro.; Cake? (${WELCOME} / ${TEA}) > Cake is two euros.; `
        + 'Milk? (> How can I help?)', `${WELCOME} / ${TEA} / ${CAKE} / Milk? > …`],
    ['does not count as beginning with the greeting if its first text is only part of it',
      `Tea? (${WELCOME}) > Tea is one euro.; Cake? (${WELCOME} / ${TEA}) > Cake is two euros.; `
        + `Bread? (> How can I help? / ${CAKE})`, `${WELCOME} / ${TEA} / ${CAKE} / Bread? > …`],
    ['replaces nothing if it has only lines that are often repeated',
      `Tea? () > Tea is one euro.; Cake? (${TEA} | Are you there?) > Cake is two euros.; `
        + 'Yes. (> Are you there?)', `${TEA} | Are you there? / ${CAKE} / Yes. > …`],
  ]);

  for (const [what, told, expected] of [
    ['older', 'Tea is 1 euro and fifty cents with milk.', ['t2']],
    ['newer', 'Cake is 1 euro and twenty cents with cream.', []],
  ] as const)
    it(`belongs to the ${what} of two similar replies if it shares more words with that`, () => {
      const talk = callOf(
        'Tea? > Tea is one euro and fifty cents, with milk.',
        'Cake? > Cake is one euro and twenty cents, with cream.',
      );
      talk.open('t3', call('Milk?', [`> ${told}`]));
      assert.deepEqual(discarded(talk), expected);
    });
});
