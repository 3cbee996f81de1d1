// How texts are compared with what a platform reports of them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  coveredBy, lettersOf, PreparedTexts, saysLess, saysSame, withoutLetters,
} from '../../../src/base/words/spoken-words.ts';

const HOURS = 'We open at nine. We close at six.';
/** é as one character, and as a letter followed by a mark. */
const [COMPOSED, DECOMPOSED] = ['Caf\u00e9', 'Cafe\u0301'];

describe('saysSame', () => {
  const alike: readonly (readonly [why: string, a: string, b: string])[] = [
    ['identical texts', 'Hello.', 'Hello.'],
    ['a different case', 'HELLO there', 'Hello There'],
    ['different punctuation', 'Well, hello there!', 'well hello there...'],
    ['different white space', ' Hello\n there', 'Hello there'],
    ['a tag', 'Wait. <break time="1s"/> Done.', 'Wait. Done.'],
    ['a tag inside a word', '<b>He</b>llo', 'Hello'],
    ['a combining mark', DECOMPOSED, COMPOSED],
    ['Markdown', '**Hello** _there_', 'Hello there'],
    ['identical texts without letters', '…', '…'],
  ];
  for (const [why, a, b] of alike)
    it(`finds that two texts say the same: ${why}`, () => assert.equal(saysSame(a, b), true));

  const different: readonly (readonly [why: string, a: string, b: string])[] = [
    ['a different word', 'Two tickets.', 'Ten tickets.'],
    ['a different digit', 'Table 4', 'Table 5'],
    ['a vowel with and without a mark', 'schön', 'schon'],
    ['a Hindi vowel sign', 'की', 'का'],
    ['no letters in either', '!', '?'],
    ['no letters in one', '...', 'Hello'],
  ];
  for (const [why, a, b] of different)
    it(`finds that two texts differ: ${why}`, () => assert.equal(saysSame(a, b), false));
});

describe('lettersOf', () => {
  it('does not let a "<" that opens no tag hide the words after it', () => {
    assert.equal(lettersOf('if a < b, then c'), 'ifabthenc');
  });
});

describe('saysLess', () => {
  const cases: readonly (readonly [why: string, start: string, text: string, isLess: boolean])[] = [
    ['the first words', 'Book a table', 'Book a table for two', true],
    ['the first words with a full stop', 'Book a table.', 'book a table for two', true],
    ['only part of the last word', 'Book a ta', 'Book a table', true],
    ['the whole text', 'Book a table', 'Book a table.', false],
    ['more than the text', 'Book a table for two', 'Book a table', false],
    ['words from the middle', 'a table', 'Book a table', false],
    ['an empty text', '', 'Book a table', false],
    ['a text without letters', '...', 'Book a table', false],
  ];
  for (const [why, start, text, isLess] of cases)
    it(`is ${isLess} for ${why}`, () => assert.equal(saysLess(start, text), isLess));
});

describe('coveredBy', () => {
  /** What is covered, instead of its length. */
  function covered(told: string, reply: string): string | undefined {
    const length = coveredBy(told, reply);
    return length === undefined ? undefined : reply.slice(0, length);
  }

  const whole: readonly (readonly [why: string, told: string, reply: string])[] = [
    ['the same text', HOURS, HOURS],
    ['the same words', 'we open at nine, we close at six', HOURS],
    ['the same words and more', `${HOURS} Anything else?`, HOURS],
    ['all words of a text that ends with an emoji', 'See you', 'See you 👋'],
    ['the last words in another form', 'We open the shop at 9:00.', 'We open the shop at nine.'],
    ['Chinese rewritten for speech', '早上九点开门，晚上六点关门', '早上9点开门，晚上6点关门'],
    ['Japanese rewritten for speech', '朝九時に開店します', '朝9時に開店します'],
    ['Thai rewritten for speech', 'ร้านเปิดเก้าโมงเช้าทุกวัน', 'ร้านเปิด 9 โมงเช้าทุกวัน'],
    ['Lao rewritten for speech', 'ຮ້ານເປີດເກົ້າໂມງທຸກມື້', 'ຮ້ານເປີດ 9 ໂມງທຸກມື້'],
    ['Khmer rewritten for speech', 'ហាងបើកម៉ោងប្រាំបួនរាល់ថ្ងៃ', 'ហាងបើកម៉ោង 9 រាល់ថ្ងៃ'],
    ['Burmese rewritten for speech', 'ဆိုင်ကိုးနာရီမှာဖွင့်ပါတယ်', 'ဆိုင် 9 နာရီမှာဖွင့်ပါတယ်'],
    ['a text rewritten for speech', 'Dinner is 12 dollars today', 'Dinner is $12.00 today'],
  ];
  for (const [why, told, reply] of whole)
    it(`covers the whole reply: ${why}`, () => assert.equal(covered(told, reply), reply));

  const cut: readonly (
    readonly [why: string, told: string, reply: string, heard: string])[] = [
    ['the first sentence, with its full stop', 'We open at nine', HOURS, 'We open at nine.'],
    ['the first words, with what is attached to them', 'Well', 'Well, hello', 'Well,'],
    ['half a word', 'We op', HOURS, 'We op'],
    ['half a word after a quotation mark', 'He said: sto', 'He said: "stop".', 'He said: "sto'],
    ['half a word with a hyphen in it', 'Try an e-ma', 'Try an e-mail', 'Try an e-ma'],
    ['a sentence in a script without spaces', '九点开门', '九点开门。六点关门。', '九点开门'],
    ['two of three sentences without spaces', '九点开门，六点关门', '九点开门。六点关门。再见。',
      '九点开门。六点关门'],
    ['the beginning of Chinese rewritten for speech', '早上九点开门，晚上六点', '早上9点开门，晚上6点关门。',
      '早上9点开门，晚上6点'],
    ['the beginning of Japanese rewritten for speech', '朝九時に開店します。夜七',
      '朝9時に開店します。夜7時に閉まります。', '朝9時に開店します。夜'],
    ['the first words in Thai', 'ร้านเปิด', 'ร้านเปิดเก้าโมงเช้า', 'ร้านเปิด'],
    ['the beginning of Thai rewritten for speech', 'ร้านเปิดเก้าโมงเช้า ปิดหก',
      'ร้านเปิด 9 โมงเช้า ปิด 6 โมงเย็น ขอบคุณค่ะ', 'ร้านเปิด 9 โมงเช้า ปิด'],
    ['the beginning of Khmer rewritten for speech', 'ហាងបើកម៉ោងប្រាំបួន',
      'ហាងបើកម៉ោង 9 រាល់ថ្ងៃ ហើយបិទម៉ោង 6 ល្ងាច', 'ហាងបើកម៉ោង'],
    ['half a word with a mark', COMPOSED, `${DECOMPOSED}s are open`, DECOMPOSED],
    ['a mark that the platform has composed', `Un ${COMPOSED}`, `Un ${DECOMPOSED} noir`,
      `Un ${DECOMPOSED}`],
    ['the words after a tag', 'Wait', '<break time="1s"/>Wait. Done.', '<break time="1s"/>Wait.'],
    ['the beginning of a text rewritten for speech', 'It costs five dollars for a ca',
      'It costs $5 for a cake, and tea is free.', 'It costs $5 for a'],
  ];
  for (const [why, told, reply, heard] of cut)
    it(`covers ${why}`, () => assert.equal(covered(told, reply), heard));

  const foreign: readonly (readonly [why: string, told: string, reply: string])[] = [
    ['other words', 'Please hold the line.', HOURS],
    ["only half of the reply's words", 'We sell bread here', 'We open at nine, and sell nothing.'],
    ['the same words in another order', 'six nine close open', HOURS],
    ['other words in Chinese', '请您稍等一下。', '早上9点开门，晚上6点关门。'],
    ['other words in Japanese', '少々お待ちください。', '朝9時に開店します。'],
    ['other words in Thai', 'กรุณารอสักครู่นะคะ', 'ร้านเปิด 9 โมงเช้าทุกวัน'],
    ['other words in Lao', 'ກະລຸນາລໍຖ້າບຶດໜຶ່ງ', 'ຮ້ານເປີດ 9 ໂມງທຸກມື້'],
    ['other words in Khmer', 'សូមរង់ចាំបន្តិច', 'ហាងបើកម៉ោង 9 រាល់ថ្ងៃ'],
    ['a text without letters', '...', HOURS],
    ['a reply without letters', 'Hello', '👋'],
  ];
  for (const [why, told, reply] of foreign)
    it(`is undefined for ${why}`, () => assert.equal(covered(told, reply), undefined));

  // Previously one such word ended the comparison after 512 characters, but only in the reply.
  for (const [script, dish] of [['Chinese', '寿司'], ['Japanese', 'すし'], ['Thai', 'ซูชิ']] as const)
    it(`covers all of a long rewritten reply with one ${script} word`, () => {
      const courses = Array.from({ length: 80 }, (_, course) => `Item ${course} costs $${course}.`);
      const reply = `${courses.join(' ')} The last one is ${dish}.`;
      const told = reply.replaceAll('$', '').replace(dish, 'sushi');
      assert.equal(covered(told.replaceAll('.', ' dollars.'), reply), reply);
    });

  it('recognises a long reply in which many Chinese words were rewritten', () => {
    const courses = Array.from({ length: 120 }, (_, course) => `Course ${course} has `);
    const reply = courses.map((text, course) => text + (course < 35 ? '寿司. ' : 'tea. ')).join('');
    assert.notEqual(coveredBy(reply.replaceAll('寿司', 'sushi'), reply), undefined);
  });

  /** The hours of this many shops, as they are written and as they are said. */
  const hours = (count: number): { readonly reply: string; readonly told: string } => {
    const shops = Array.from({ length: count }, (_, shop) => String.fromCharCode(0x4e10 + shop));
    const reply = shops.map((shop) => `${shop}店9点开门。`).join('');
    return { reply, told: reply.replaceAll('9', '九') };
  };

  for (const heard of [30, 60])
    it(`covers ${heard} of the 80 rewritten sentences of a long Chinese reply`, () => {
      const { reply, told } = hours(80);
      const sentence = told.length / 80;
      assert.equal(coveredBy(told.slice(0, heard * sentence), reply), heard * sentence - 1);
    });

  it('compares only the beginnings of Chinese texts once many have been compared', () => {
    const texts = new PreparedTexts();
    const [long, next] = [hours(290), hours(81)];
    assert.equal(coveredBy(long.told, long.reply, texts), long.reply.length);
    for (const length of [300, 600])
      assert.equal(coveredBy(next.told.slice(0, length), next.reply, texts), next.reply.length);
  });

  it('never covers more than the reply', () => {
    assert.equal(coveredBy(`${HOURS} ${HOURS}`, HOURS), HOURS.length);
  });

  it('grows with what was heard, character by character, up to all of the reply', () => {
    const reply = `“Well,” said ${DECOMPOSED}: table no. 4, e-mail me – 九点开门。 Bye!`;
    let last = 0;
    for (const { 0: character, index } of reply.matchAll(/\P{M}\p{M}*/gu)) {
      const told = reply.slice(0, index + character.length);
      const length = coveredBy(told, reply) ?? 0;
      assert.ok(length >= last, `"${told}" covers less than what is before it`);
      last = length;
    }
    assert.equal(last, reply.length);
  });
});

describe('withoutLetters', () => {
  const cases: readonly (readonly [why: string, text: string, count: number, rest: string])[] = [
    ['a filler and its full stop', 'One moment. It is four.', 9, 'It is four.'],
    ['a filler that ends in a word', 'Hmm-it is four.', 3, '-it is four.'],
    ['all words', 'One moment.', 9, ''],
  ];
  for (const [why, text, count, rest] of cases)
    it(`takes away ${why}`, () => assert.equal(withoutLetters(text, count), rest));
});

describe('comparing long texts', () => {
  const long = 'Twenty tables are free tonight. '.repeat(4_000);
  const cases: readonly (readonly [why: string, told: string, reply: string])[] = [
    ['that are identical but for case', long.toUpperCase(), long],
    ['of which one is cut', long.slice(0, 40_000), long],
    ['that were rewritten', long.replaceAll('Twenty', '20'), long],
    ['that are Chinese and were rewritten', '九点开门。'.repeat(9_000), '9点开门。'.repeat(9_000)],
    ['that are Thai and were rewritten', 'เปิดเก้าโมง'.repeat(9_000), 'เปิด9โมง'.repeat(9_000)],
    ['that are one word', 'x'.repeat(50_000), 'x'.repeat(60_000)],
    ['that never close their tags', `${'<'.repeat(50_000)} a`, `${'<a '.repeat(20_000)}b`],
    ['that consist of marks', `a${'\u0301'.repeat(30_000)}`, `a${'\u0301'.repeat(60_000)}b`],
  ];
  for (const [why, told, reply] of cases)
    it(`takes less than 200 ms of processor time for texts ${why}`, () => {
      const before = process.cpuUsage();
      coveredBy(told, reply);
      saysSame(told, reply);
      saysLess(told, reply);
      const ms = process.cpuUsage(before).user / 1_000;
      assert.ok(ms < 200, `took ${ms} ms`);
    });
});
