// Which exchanges of a platform's transcript are which of ours.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { align, type Exchange } from '../../src/conversations/alignment.ts';
import { processorMs } from '../fixtures/processor-time.ts';

/** Each text is `words > reply | reply`. Without words: what was said before the first ones. */
function exchanges(...texts: readonly string[]): Exchange[] {
  return texts.map((text) => {
    const [words = '', replies = ''] = text.split('>').map((part) => part.trim());
    const told = replies === '' ? [] : replies.split('|').map((reply) => reply.trim());
    return { words: words === '' ? undefined : words, replies: told };
  });
}

/** The pairs as `theirs=ours`, by the words of theirs and the indices of both. */
function shown(theirs: readonly Exchange[], ours: readonly Exchange[]): string[] {
  return align(theirs, ours).map(([their, our]) => `${their}=${our}`);
}

interface Case {
  readonly name: string;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
  readonly pairs: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: 'finds one exchange that is all of both lists',
    theirs: ['Hi > Hello.'],
    ours: ['Hi > Hello.'],
    pairs: ['0=0'],
  },
  {
    name: 'goes back to two exchanges in a row, and no further',
    theirs: ['A > a', 'B > b', 'C > c'],
    ours: ['A > a', 'B > b', 'C > c'],
    pairs: ['1=1', '2=2'],
  },
  {
    name: 'finds the place where theirs is cut in front',
    theirs: ['C > c', 'D > d'],
    ours: ['A > a', 'B > b', 'C > c', 'D > d'],
    pairs: ['0=2', '1=3'],
  },
  {
    // Seed 36796 of the random platforms.
    name: 'finds words that repeat by the replies before them, of which theirs was cut to',
    theirs: ['> Sure. | One moment.', 'Yes >', 'Yes >'],
    ours: ['A > Sure. | One moment.', 'Yes >', 'Yes >', 'Yes > Fine.'],
    pairs: ['1=1', '2=2'],
  },
  {
    // Seed 49442.
    name: 'finds the newest of words that repeat by the replies before them, too',
    theirs: ['> Sure. | One moment.', 'Yes > Wh'],
    ours: ['Yes > Sure. | One moment.', 'Yes >'],
    pairs: ['1=1'],
  },
  {
    // Seed 98168.
    name: 'takes the place where the replies before words that repeat are most like ours',
    theirs: ['> Line 1 is open.', 'Yes > Line 2 is open.', 'Yes >'],
    ours: ['Yes > Line 1 is open.', 'Yes > Line 2 is open.', 'Yes >', 'Yes > Sure.'],
    pairs: ['1=1', '2=2'],
  },
  {
    // Seeds 59357 and 62332.
    name: 'does not take a greeting for the end of replies that are like it',
    theirs: ['> Line 1 is open.', 'Yes > Sure. | Line 2 is open.'],
    ours: ['> Line 1 is open.', 'Yes > Sure. | Line 2 is open.', 'Yes >'],
    pairs: ['0=0', '1=1'],
  },
  {
    // Seed 49740.
    name: 'takes a reply that is new for one to the newest of equal words',
    theirs: ['Yes >', 'Yes > Sure.'],
    ours: ['Yes >', 'Yes >', 'Yes >'],
    pairs: ['0=1', '1=2'],
  },
  {
    // The same one.
    name: 'does not lose several exchanges with equal words for a reply that is only alike',
    theirs: ['Yes >', 'Yes >', 'Yes > Line 6 is busy.'],
    ours: ['Yes >', 'Yes >', 'Yes > Line 3 is busy.', 'Yes >', 'Yes >', 'Yes >'],
    pairs: ['0=3', '1=4', '2=5'],
  },
  {
    // Seed 501002.
    name: 'counts the replies that a cut list begins with, where its last one is a foreign one',
    theirs: ['> Line 2 is', 'Yes > Line 3 is open.', 'Yes >', 'Yes > Please hold.'],
    ours: ['Yes > Line 1 is open.', 'Yes > Line 2 is', 'Yes > Line 3 is open.', 'Yes >', 'Yes > I'],
    pairs: ['2=3', '3=4'],
  },
  {
    // Seed 85981.
    name: 'loses no exchanges for what is as much like a greeting as like a reply',
    theirs: ['> Line 3 is open. | Trains 9 run to Rome.', 'C >'],
    ours: ['> Line 1 is open.', 'A >', 'B > Trains 2 run to Rome.', 'C >'],
    pairs: ['1=3'],
  },
  {
    name: 'loses several exchanges whose replies are certain to be others',
    theirs: ['A > a', 'Yes > Sure.'],
    ours: ['A > a', 'Yes > Sure.', 'A > b', 'Yes > Never.'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'finds the place where ours is cut in front',
    theirs: ['A > a', 'B > b', 'C > c', 'D > d'],
    ours: ['C > c', 'D > d'],
    pairs: ['2=0', '3=1'],
  },
  {
    name: 'finds the end of theirs where ours has one exchange more',
    theirs: ['A > a', 'B > b'],
    ours: ['A > a', 'B > b', 'C > c'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'finds the only exchange of theirs where ours has one more',
    theirs: ['A > a'],
    ours: ['A > a', 'B >'],
    pairs: ['0=0'],
  },
  {
    name: 'compares letters and digits only',
    theirs: ['two tickets > Sure', 'for saturday >'],
    ours: ['Two tickets! > Sure.', 'For Saturday. > Done.'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'compares words without letters as they are',
    theirs: ['?! > a', '... > b'],
    ours: ['?! > a', '... > b'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes the first of two equal words whose reply theirs has',
    theirs: ['Tea? > Milk?', 'Yes. > Sugar?'],
    ours: ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes the second of two equal words whose reply theirs has',
    theirs: ['Tea? > Milk?', 'Yes. > Lemon?'],
    ours: ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?'],
    pairs: ['0=0', '1=2'],
  },
  {
    name: 'takes the one that was answered for equal words whose newest has no reply yet',
    theirs: ['Yes. > Sugar?'],
    ours: ['Yes. > Sugar?', 'Yes. >'],
    pairs: ['0=0'],
  },
  {
    name: 'takes the older of equal words where no reply decides: then none in between is lacking',
    theirs: ['Tea? > Milk?', 'Yes. >'],
    ours: ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes the one of equal words whose reply theirs has, where the lists end differently',
    theirs: ['A > a', 'Yes. > Sugar?', 'X >'],
    ours: ['A > a', 'Yes. > Sugar?', 'Yes. > Lemon?', 'D > d'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'goes back beyond equal words, of which ours has one more',
    theirs: ['Tea? > Milk?', 'Yes. >', 'Yes. >', 'Yes. >'],
    ours: ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?', 'Yes. > Rum?', 'Yes. >'],
    pairs: ['0=0', '1=1', '2=2', '3=3'],
  },
  {
    name: 'begins at the first of equal words that are all of both lists',
    theirs: ['Yes. >', 'Yes. >'],
    ours: ['Yes. > Sugar?', 'Yes. > Lemon?', 'Yes. >'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes the newest of equal words that are all of theirs, which is cut in front',
    theirs: ['Yes. >', 'Yes. >'],
    ours: ['Tea? > Milk?', 'Yes. > Sugar?', 'Yes. > Lemon?', 'Yes. >'],
    pairs: ['0=2', '1=3'],
  },
  {
    name: 'takes a reply that was cut for the reply',
    theirs: ['Tea? > Milk?', 'Yes. > Do you take'],
    ours: ['Tea? > Milk?', 'Yes. > Do you take sugar?', 'Yes. > Lemon?'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes a reply without its Markdown for the reply',
    theirs: ['Tea? > Milk?', 'Yes. > Do you take'],
    ours: ['Tea? > Milk?', 'Yes. > **Do you take** sugar?', 'Yes. > Lemon?'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'does not take a reply without letters for another one',
    theirs: ['Yes. > ...', 'No. > n'],
    ours: ['Yes. > Milk?', 'No. > n', 'Yes. > Sugar?'],
    pairs: ['0=0', '1=1'],
  },
  {
    name: 'takes words as said again if the replies are certain to be others',
    theirs: ['Yes. > Sugar?'],
    ours: ['Yes. > Milk?', 'Yes. > Lemon?'],
    pairs: [],
  },
  {
    name: 'begins at one exchange whose words are in each list once',
    theirs: ['X > x', 'B > b', 'Y >'],
    ours: ['A > a', 'B > b', 'C > c'],
    pairs: ['1=1'],
  },
  {
    name: 'does not begin at words that are in one list twice',
    theirs: ['X > x', 'Yes. >', 'Y >'],
    ours: ['Yes. >', 'Yes. >', 'C > c'],
    pairs: [],
  },
  {
    name: 'finds nothing in lists that share no words',
    theirs: ['X > x', 'Y > y'],
    ours: ['A > a', 'B > b'],
    pairs: [],
  },
  { name: 'finds nothing in an empty list of theirs', theirs: [], ours: ['A > a'], pairs: [] },
  { name: 'finds nothing in an empty list of ours', theirs: ['A > a'], ours: [], pairs: [] },
  {
    name: 'begins at equal words that are the first of both lists',
    theirs: ['Yes. > a', 'X >'],
    ours: ['Yes. > a', 'Yes. > b', 'C > c'],
    pairs: ['0=0'],
  },
  {
    name: 'begins at the first words of both lists if those are said again in theirs',
    theirs: ['Yes. >', 'Yes. >'],
    ours: ['Yes. > Sugar?'],
    pairs: ['0=0'],
  },
  {
    name: 'tells two in a row that were said last from equal ones before',
    theirs: ['Tea? > Milk?', 'Yes. > Fine.', 'No. >', 'Yes. > Fine.', 'No. >'],
    ours: ['Tea? > Milk?', 'Yes. > Fine.', 'No. >', 'Yes. > Fine.'],
    pairs: ['2=2', '3=3'],
  },
  {
    name: 'begins at a greeting that both lists have',
    theirs: ['> Welcome.', 'X >'],
    ours: ['> Welcome.', 'A > a', 'B > b'],
    pairs: ['0=0'],
  },
  {
    // Their list was cut in front, and begins with the rest of another exchange. Everything that
    // ours has behind the greeting would count as discarded.
    name: 'does not take other words of the agent, at the front of theirs, for our greeting',
    theirs: ['> It is four.', 'X >'],
    ours: ['> Welcome.', 'A > a', 'B > It is four.'],
    pairs: [],
  },
  {
    // Seeds 750, 1115 and 2177 of the random platforms: the platform's own texts were alike.
    name: 'takes words of the agent at the front of theirs for those behind the words cut off',
    theirs: ['> It is four. | Call 2 of ours.', 'B > b'],
    ours: ['> Call 1 of ours.', 'A > It is four. | Call 2 of ours.', 'B > b'],
    pairs: ['1=2'],
  },
  {
    // Seed 427: a reply may differ in one word only, as if it were rewritten for speech.
    name: 'takes the reply that is equal, and not one that is nearly so, for equal words',
    theirs: ['Yes. > Line 2 is free now.'],
    ours: ['Yes. > Line 1 is free now.', 'Yes. > Line 2 is free now.'],
    pairs: ['0=1'],
  },
  {
    name: 'takes the newer of equal words whose reply theirs has, behind one that is nearly so',
    theirs: ['Tea? > Milk?', 'Yes. > Line 2 is free now.'],
    ours: ['Tea? > Milk?', 'Yes. > Line 1 is free now.', 'Yes. > Line 2 is free now.'],
    pairs: ['0=0', '1=2'],
  },
  {
    // Seed 3610: the last words were said once more, and discarded.
    name: 'takes the older of equal words at the end of a list that was cut in front',
    theirs: ['Yes. >', 'Yes. > Sugar?', 'Yes. >'],
    ours: ['> Welcome.', 'Yes. >', 'Yes. > Sugar?', 'Yes. > Milk?', 'Yes. > Rum?'],
    pairs: ['1=2', '2=3'],
  },
  {
    // Seed 7691: another process was saying the last reply.
    name: 'takes equal replies and one that says nothing yet for more than nearly equal ones',
    theirs: [
      'Yes. > L', 'Yes. > Line 3 is free.', 'Yes. > Line 4 is free.', 'Yes. > Line 5 is free.',
    ],
    ours: [
      'Yes. > Line 1 is free.', 'Yes. > L', 'Yes. > Line 3 is free.', 'Yes. > Line 4 is free.',
      'Yes. >',
    ],
    pairs: ['2=3', '3=4'],
  },
  {
    // Seed 1125: the greeting was cut off, and the words were said once more and discarded.
    name: 'takes the one that was answered for equal words behind a greeting that theirs lacks',
    theirs: ['Yes. > Sugar?'],
    ours: ['> Welcome.', 'Yes. > Sugar?', 'Yes. >'],
    pairs: ['0=1'],
  },
  {
    name: 'leaves out an exchange that theirs lacks between two others',
    theirs: ['A > a', 'B > b', 'D > d', 'E > e'],
    ours: ['A > a', 'B > b', 'C > c', 'D > d', 'E > e', 'F > f'],
    pairs: ['2=3', '3=4'],
  },
  {
    // The turn that was to discard C ended before it was opened.
    name: 'goes on to two in a row where the last exchange is in both lists, and none before it',
    theirs: ['A > a', 'B > b', 'D > d'],
    ours: ['A > a', 'B > b', 'C > c', 'D > d'],
    pairs: ['0=0', '1=1', '2=3'],
  },
  {
    name: 'finds what is on both sides of gaps in both lists',
    theirs: ['A > a', 'B > b', 'X > x', 'D > d', 'Y >'],
    ours: ['A > a', 'B > b', 'C > c', 'D > d', 'E > e', 'F > f'],
    pairs: ['0=0', '1=1', '3=3'],
  },
  {
    name: 'begins at the oldest of several words that stand alone but are in each list once',
    theirs: ['P >', 'A > a', 'X > x', 'D > d', 'Y >'],
    ours: ['Q >', 'A > a', 'C > c', 'D > d', 'Z >'],
    pairs: ['1=1', '3=3'],
  },
];

describe('align', () => {
  for (const { name, theirs, ours, pairs } of CASES)
    it(name, () => assert.deepEqual(shown(exchanges(...theirs), exchanges(...ours)), pairs));

  it('looks at our newest 60', () => {
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
    it(`takes less than 20 ms of the processor for 50 of theirs and 60 of ours that ${what}`, () => {
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
