import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SpeakableText } from '../../../src/base/speech/speakable.ts';

const MEGABYTE = 1_000_000;
/** In code units: enough for a quadratic transform to miss the limit by far. */
const LENGTH = 200_000;
/** Of processor time, which other processes do not share: four times what is needed. */
const LIMIT_MS = 1_000;

function fill(pattern: string, length = LENGTH): string {
  return pattern.repeat(length / pattern.length);
}

describe('SpeakableText', () => {
  it('takes linear time for a long text of any mark, and for a quarter of it one unit at a time', () => {
    for (const pattern of MARKS) {
      const text = fill(pattern);
      const before = process.cpuUsage();
      const speakable = new SpeakableText();
      speakable.push(text);
      speakable.flush();
      for (let i = 0; i < text.length / 4; i++) speakable.push(text.charAt(i));
      speakable.flush();
      const took = process.cpuUsage(before).user / 1_000;
      assert.ok(took < LIMIT_MS, `${JSON.stringify(pattern)} took ${took} ms of processor time`);
    }
  });

  it('keeps nothing of a megabyte that it swallows', () => {
    for (const opening of [
      '```\n',
      '\n- ```\n  ',
      'https://a.example/',
      '[a](',
      '\n[a]: /',
      '<a href="',
      '<!--',
      '\n| --',
    ]) {
      const speakable = new SpeakableText();
      let spoken = speakable.push(`x ${opening}`).length;
      spoken += speakable.push(fill('-', MEGABYTE)).length + speakable.flush().length;
      assert.ok(spoken <= 128, `${opening}: ${spoken}`);
    }
  });

  it('takes less than 2 µs for a token of prose', () => {
    const prose =
      ' Sure, I can help you with that. Your order will arrive on Tuesday, and the total is $12.50! What else would you ' +
      'like to have? He went home when it was 5 o’clock.';
    const tokens = prose.repeat(20).match(/.{5}/gsu) ?? [];
    let best = Infinity; // of several rounds: another process may have the processor in one
    for (let round = 0; round < 30 && best >= 2_000; round++) {
      const speakable = new SpeakableText();
      const startedAt = process.hrtime.bigint();
      for (const token of tokens) speakable.push(token);
      best = Math.min(best, Number(process.hrtime.bigint() - startedAt) / tokens.length);
    }
    assert.ok(best < 2_000, `${best} ns per token`);
  });
});

const MARKS = [
  ...'*_~`[]()<>|\\#+-=!&hw.^ \n\t\0',
  ...[
    '](',
    '[a](',
    '[^',
    '<a ',
    '<b a=',
    '<!--',
    '```',
    '\n```',
    '\n|',
    '|-',
    '\n* ',
    '**a ',
    'a](b c',
    '[x](y z ',
    '`a``',
  ],
  ...['- ', '> ', '1. ', '\n- ```\n', '\n> ```\n', '\n   x', '[a]: /b ', '<b\n', '<b a=\n'],
  ...['&a', '][', '[a][b', '【3', '\n[1', '# a # #  ', '*a '],
  ...[
    'http://',
    'www.',
    'http://a/',
    'http://a/.',
    '🎉',
    '👩\u200d',
    '1\ufe0f\u20e3',
    'ℹ',
    '\ud83c',
    '\udf89',
  ],
];
