import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SentenceEnds } from '../../../src/core/agents/sentence-ends.ts';

/** What is spoken of a whole text that comes in pieces of this many characters. */
function spoken(text: string, isCut: boolean, size: number, ends = new SentenceEnds()): string {
  let said = '';
  for (let at = 0; at < text.length; at += size) said += ends.push(text.slice(at, at + size));
  return said + ends.end('', isCut);
}

describe('SentenceEnds', () => {
  const cuts: readonly (readonly [text: string, whole: string])[] = [
    ['We open at nine. On Sun', 'We open at nine.'],
    ['We open at nine. On Sundays at ten.', 'We open at nine. On Sundays at ten.'],
    ['“Really?” Yes! And th', '“Really?” Yes!'],
    ['It costs 3.50 a piece. Or 4.', 'It costs 3.50 a piece.'],
    ['We have:\n1. Rye\n2. Wh', 'We have:\n1. Rye\n'],
    ['Wait… Let me lo', 'Wait…'],
    ['九時に開きます。日曜', '九時に開きます。'],
    ['हम नौ बजे खुलते हैं। रवि', 'हम नौ बजे खुलते हैं।'],
    ['متى تفتحون؟ نحن', 'متى تفتحون؟'],
    ['We open at', 'We open at'], // there is no whole sentence to end with
  ];
  for (const [text, whole] of cuts) {
    it(`keeps only ${JSON.stringify(whole)} of ${JSON.stringify(text)}`, () => {
      for (let size = 1; size <= text.length; size++) {
        assert.equal(spoken(text, true, size), whole, `in pieces of ${size}`);
        assert.equal(spoken(text, false, size), text, `in pieces of ${size}`);
      }
    });
  }

  it('does not hold back the first sentence of each text', () => {
    const ends = new SentenceEnds();
    for (let text = 0; text < 2; text++) {
      assert.equal(ends.push('We op'), 'We op');
      assert.equal(ends.push('en. On'), 'en.');
      assert.equal(ends.push(' Sunday.'), '');
      assert.equal(ends.end('', false), ' On Sunday.');
    }
  });

  it('holds back at most 2,000 characters', () => {
    const ends = new SentenceEnds();
    assert.equal(ends.push('Yes. '), 'Yes.');
    assert.equal(ends.push('n'.repeat(1_999)), '');
    assert.equal(ends.push('n'), ` ${'n'.repeat(2_000)}`);
    assert.equal(ends.push('n. N'), 'n.');
    assert.equal(ends.push('o'), '');
  });
});
