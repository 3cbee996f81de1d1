// Text from outside, on its way to a person's terminal.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { oneLine, printable, shellWord } from '../../../src/kit/terminal/text.ts';

describe('oneLine', () => {
  for (const [text, line] of [
    ['  two\n lines\r\n', 'two  lines'],
    ['a\u001b[2Jb', 'a [2Jb'],
    ['a\u202eb', 'a b'],
    ['a\u2028b\u2029c', 'a b c'],
    ['grüße', 'grüße'],
  ] as const) {
    it(`makes ${JSON.stringify(text)} one line`, () => assert.equal(oneLine(text), line));
  }

  it('cuts longer text to exactly the limit, including the ellipsis', () => {
    assert.equal(oneLine('x'.repeat(500)), 'x'.repeat(500));
    assert.equal(oneLine('x'.repeat(501)), `${'x'.repeat(499)}…`);
    assert.deepEqual([oneLine('abcd', 4), oneLine('abcde', 4)], ['abcd', 'abc…']);
  });
});

describe('shellWord', () => {
  it('leaves a plain word as it is', () => {
    const plain = 'agent-1_b@%+=:,./x';
    assert.equal(shellWord(plain), plain);
  });

  it('quotes everything else, so that a shell takes it literally', () => {
    for (const word of ['', 'two words', "it's", '$HOME', '`id`', 'a;b', 'a"b', 'a\\b', '*', '~']) {
      const script = `printf %s ${shellWord(word)}`;
      assert.equal(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }), word);
    }
  });
});

describe('printable', () => {
  for (const [text, shown] of [
    ['plain, grüße, 你好', 'plain, grüße, 你好'],
    ['a\nb\r\nc\rd\u2028e\u2029f', 'a|b|c|d|e|f'],
    ['a\tb', 'a b'],
    ['\u0000\u001b\u001f', '␀␛␟'],
    ['\u007f', '␡'],
    ['\u009b2J', '<U+009B>2J'],
    ['\u202eabc\u2066', '<U+202E>abc<U+2066>'],
    ['\u061c\u200e\u200f', '<U+061C><U+200E><U+200F>'],
  ] as const) {
    it(`shows ${JSON.stringify(text)} as ${shown}`, () => {
      assert.equal(printable(text, '|'), shown);
    });
  }
});
