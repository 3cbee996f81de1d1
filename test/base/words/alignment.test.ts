// Which exchanges in a platform's transcript correspond to which of ours.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { align, type Exchange } from '../../../src/base/words/alignment.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

/** Each text is `words > reply | reply`. Without words: what was said before the first ones. */
function exchanges(...texts: readonly string[]): Exchange[] {
  return texts.map((text) => {
    const [words = '', replies = ''] = text.split('>').map((part) => part.trim());
    const told = replies === '' ? [] : replies.split('|').map((reply) => reply.trim());
    return { words: words === '' ? undefined : words, replies: told };
  });
}

/** The pairs as `theirs=ours`, by their indices. */
function shown(theirs: readonly Exchange[], ours: readonly Exchange[]): string[] {
  return align(theirs, ours).map(([their, our]) => `${their}=${our}`);
}

/** What it does, their list of exchanges, ours, and the pairs. */
const CASES: readonly (
  readonly [name: string, theirs: readonly string[], ours: readonly string[], pairs: string[]]
)[] = [
  ['matches an exchange that is all of both lists', ['Hi > Hello.'], ['Hi > Hello.'], ['0=0']],
  ['goes back to two matching exchanges in a row, and no further',
    ['A > a', 'B > b', 'C > c'], ['A > a', 'B > b', 'C > c'], ['1=1', '2=2']],
  ['finds the place where their list was cut at the front',
    ['C > c', 'D > d'], ['A > a', 'B > b', 'C > c', 'D > d'], ['0=2', '1=3']],
  // Seed 36796 of the random platforms.
  ['finds repeated words by the replies before them, even if their list was cut to those',
    ['> Sure. | One moment.', 'Yes >', 'Yes >'],
    ['A > Sure. | One moment.', 'Yes >', 'Yes >', 'Yes > Fine.'], ['1=1', '2=2']],
  // Seed 98168.
  ['takes the place where the replies before repeated words are most like ours',
    ['> Line 1 is open.', 'Yes > Line 2 is open.', 'Yes >'],
    ['Yes > Line 1 is open.', 'Yes > Line 2 is open.', 'Yes >', 'Yes > Sure.'], ['1=1', '2=2']],
  // Seed 49740.
  ['counts a new reply as one to the newest of identical words',
    ['Yes >', 'Yes > Sure.'], ['Yes >', 'Yes >', 'Yes >'], ['0=1', '1=2']],
  // The same seed.
  ['does not lose several exchanges with identical words over a merely similar reply',
    ['Yes >', 'Yes >', 'Yes > Line 6 is busy.'],
    ['Yes >', 'Yes >', 'Yes > Line 3 is busy.', 'Yes >', 'Yes >', 'Yes >'], ['0=3', '1=4', '2=5']],
  // Seed 501002.
  ['counts the replies at the beginning of a cut list whose last reply is not ours',
    ['> Line 2 is', 'Yes > Line 3 is open.', 'Yes >', 'Yes > Please hold.'],
    ['Yes > Line 1 is open.', 'Yes > Line 2 is', 'Yes > Line 3 is open.', 'Yes >', 'Yes > I'],
    ['2=3', '3=4']],
  // Seed 85981.
  ['loses no exchanges over a text that is as much like a greeting as like a reply',
    ['> Line 3 is open. | Trains 9 run to Rome.', 'C >'],
    ['> Line 1 is open.', 'A >', 'B > Trains 2 run to Rome.', 'C >'], ['1=3']],
  ['finds the place where our list was cut at the front',
    ['A > a', 'B > b', 'C > c', 'D > d'], ['C > c', 'D > d'], ['2=0', '3=1']],
  ['compares letters and digits only',
    ['two tickets > Sure', 'for saturday >'], ['Two tickets! > Sure.', 'For Saturday. > Done.'],
    ['0=0', '1=1']],
  ['compares words without letters as they are',
    ['?! > a', '... > b'], ['?! > a', '... > b'], ['0=0', '1=1']],
  ['takes the first of identical words if their list has the reply to those',
    ['Tea? > Milk?', 'Yes. > Sugar?'], ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?'],
    ['0=0', '1=1']],
  ['takes the answered words among identical ones if the newest have no reply yet',
    ['Yes. > Sugar?'], ['Yes. > Sugar?', 'Yes. >'], ['0=0']],
  ['goes back past identical words, which our list has once more',
    ['Tea? > Milk?', 'Yes. >', 'Yes. >', 'Yes. >'],
    ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?', 'Yes. > Rum?', 'Yes. >'],
    ['0=0', '1=1', '2=2', '3=3']],
  ['begins at the first of identical words if both lists have nothing else',
    ['Yes. >', 'Yes. >'], ['Yes. > Sugar?', 'Yes. > Lemon?', 'Yes. >'], ['0=0', '1=1']],
  ['recognises a reply that was cut',
    ['Tea? > Milk?', 'Yes. > Do you take'],
    ['Tea? > Milk?', 'Yes. > Do you take sugar?', 'Yes. > Lemon?'], ['0=0', '1=1']],
  ['does not count a reply without letters as a different one',
    ['Yes. > ...', 'No. > n'], ['Yes. > Milk?', 'No. > n', 'Yes. > Sugar?'], ['0=0', '1=1']],
  ['counts words as said again if the replies certainly differ',
    ['Yes. > Sugar?'], ['Yes. > Milk?', 'Yes. > Lemon?'], []],
  ['begins at an exchange whose words are in each list only once',
    ['X > x', 'B > b', 'Y >'], ['A > a', 'B > b', 'C > c'], ['1=1']],
  ['does not begin at words that are in one list twice',
    ['X > x', 'Yes. >', 'Y >'], ['Yes. >', 'Yes. >', 'C > c'], []],
  ['finds nothing in lists that share no words',
    ['X > x', 'Y > y'], ['A > a', 'B > b'], []],
  ['finds nothing if their list is empty', [], ['A > a'], []],
  ['finds nothing if our list is empty', ['A > a'], [], []],
  ['begins at the first words of both lists if those are said again in theirs',
    ['Yes. >', 'Yes. >'], ['Yes. > Sugar?'], ['0=0']],
  ['tells the last two exchanges from identical ones before them',
    ['Tea? > Milk?', 'Yes. > Fine.', 'No. >', 'Yes. > Fine.', 'No. >'],
    ['Tea? > Milk?', 'Yes. > Fine.', 'No. >', 'Yes. > Fine.'], ['2=2', '3=3']],
  ['begins at a greeting that both lists have',
    ['> Welcome.', 'X >'], ['> Welcome.', 'A > a', 'B > b'], ['0=0']],
  ['takes the newer of identical words if their list has its reply, after a similar one',
    ['Tea? > Milk?', 'Yes. > Line 2 is free now.'],
    ['Tea? > Milk?', 'Yes. > Line 1 is free now.', 'Yes. > Line 2 is free now.'], ['0=0', '1=2']],
  // Seed 3610: the last words were said once more, and discarded.
  ['takes the older of identical words at the end of a list that was cut at the front',
    ['Yes. >', 'Yes. > Sugar?', 'Yes. >'],
    ['> Welcome.', 'Yes. >', 'Yes. > Sugar?', 'Yes. > Milk?', 'Yes. > Rum?'], ['1=2', '2=3']],
  // Seed 7691: another process was saying the last reply.
  ['rates identical replies and one that has hardly begun above nearly identical ones',
    ['Yes. > L', 'Yes. > Line 3 is free.', 'Yes. > Line 4 is free.', 'Yes. > Line 5 is free.'],
    ['Yes. > Line 1 is free.', 'Yes. > L', 'Yes. > Line 3 is free.', 'Yes. > Line 4 is free.',
      'Yes. >'],
    ['0=1', '1=2', '2=3', '3=4']],
  // Seed 101154: another process was saying the last reply, and its first letter had been heard.
  ['does not take a reply that ends in its first word for the beginning of an older one',
    ['Yes. > Line 2 is FREE now', 'Yes. > L'],
    ['> Welcome.', 'Yes. >', 'Yes. > Line 2 is free right now.', 'Yes. >'], ['0=2', '1=3']],
  // The turn that was to discard C ended before it was opened.
  ['goes on to two exchanges in a row if the last ones match, but not those before them',
    ['A > a', 'B > b', 'D > d'], ['A > a', 'B > b', 'C > c', 'D > d'], ['0=0', '1=1', '2=3']],
];

describe('align', () => {
  for (const [name, theirs, ours, pairs] of CASES)
    it(name, () => assert.deepEqual(shown(exchanges(...theirs), exchanges(...ours)), pairs));

  it('looks only at our newest 60 exchanges', () => {
    const ours = Array.from({ length: 100 }, (_, index) => `Words ${index} >`);
    const found = (index: number): string[] =>
      shown(exchanges(`Words ${index} >`, 'X >'), exchanges(...ours));
    assert.deepEqual([found(39), found(40)], [[], ['0=40']]);
  });

  const costly: readonly (readonly [what: string, wordsOf: (nth: string) => string])[] = [
    ['agree on all words', () => 'Yes, please, that would be very nice of you.'],
    ['agree on no words', (nth) => `Words ${nth} that are not there again.`],
  ];
  for (const [what, wordsOf] of costly)
    it(`takes less than 20 ms of CPU time if their 50 and our 60 exchanges ${what}`, () => {
      const list = (length: number, name: string): Exchange[] =>
        Array.from({ length }, (_, index) => ({
          words: index === length - 1 ? name : wordsOf(`${name} ${index}`),
          replies: [`${'Twenty tables are free tonight. '.repeat(5)} ${name} ${index}`],
        }));
      const [theirs, ours] = [list(50, 'theirs'), list(60, 'ours')];
      const times = Array.from({ length: 12 }, () => {
        const before = process.cpuUsage();
        align(theirs, ours);
        return processorMs(before);
      });
      assert.ok(Math.min(...times) < 20, `took ${times.join(', ')} ms`);
    });
});
