import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedVoice } from '../../../src/kit/platform/simulated-voice.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

/** Text that is spoken at a word a second. */
function spoken(...pieces: readonly (readonly [piece: string, atMs: number])[]): SimulatedVoice {
  const text = new SimulatedVoice(60);
  for (const [piece, atMs] of pieces) text.add(piece, atMs);
  return text;
}

describe('SimulatedVoice', () => {
  it('counts a word as heard once it has been spoken to its end, and not before', () => {
    const text = spoken(['Hello there, friend!', 0]);
    const heard = [0, 999, 1_000, 1_999, 2_000, 2_999, 3_000].map((ms) => text.heardBy(ms));
    assert.deepEqual(
      heard.map(({ words }) => words),
      [0, 0, 1, 1, 2, 2, 3],
    );
    assert.deepEqual(
      heard.map((part) => part.text),
      ['', '', 'Hello', 'Hello', 'Hello there,', 'Hello there,', 'Hello there, friend!'],
    );
  });

  it('speaks 170 words in a minute if that is its rate', () => {
    const text = new SimulatedVoice(170);
    text.add('word '.repeat(170), 0);
    assert.ok(Math.abs((text.endsAtMs ?? 0) - 60_000) < 0.001, String(text.endsAtMs));
  });

  it('speaks no word before it has arrived', () => {
    const text = spoken(['One two', 0], [' three', 5_000]);
    assert.deepEqual(text.heardBy(5_999), { text: 'One two', words: 2 });
    assert.deepEqual(text.heardBy(6_000), { text: 'One two three', words: 3 });
  });

  it('counts a word that arrives in pieces as one, heard with its last piece', () => {
    const text = spoken(['Good mor', 0], ['ning', 1_500]);
    assert.deepEqual(text.heardBy(2_499), { text: 'Good', words: 1 });
    assert.deepEqual(text.heardBy(2_500), { text: 'Good morning', words: 2 });
  });

  it('does not restart a word when punctuation or more words follow it', () => {
    const text = spoken(['Well', 0], [', yes', 900]);
    assert.deepEqual(text.heardBy(1_000), { text: 'Well,', words: 1 });
  });

  it('counts all of the text as heard with its last word, including blanks at the end', () => {
    assert.equal(spoken(['Bye. ', 0]).heardBy(1_000).text, 'Bye. ');
  });

  it('finds words in scripts without spaces', () => {
    const text = spoken(['你好世界。', 0]);
    assert.deepEqual(text.heardBy(1_000), { text: '你好', words: 1 });
    assert.equal(text.endsAtMs, 2_000);
  });

  it('gives a text without words no end, and counts none of it as heard', () => {
    const text = spoken([' … ', 0]);
    assert.deepEqual([text.heardBy(60_000), text.endsAtMs], [{ text: '', words: 0 }, undefined]);
  });

  // Each piece was looked at again with all the marks after the last word: 8,000 dots took half a
  // minute of the event loop.
  for (const [what, piece] of [
    ['marks', '.'],
    ['line breaks', '\n'],
    ['blanks', ' '],
    ['one word', 'x'],
    ['words with marks', "a'"],
  ] as const) {
    it(`reads ${what} in time proportional to the number of pieces`, () => {
      const text = new SimulatedVoice(60);
      const begun = process.cpuUsage();
      for (let count = 0; count < 20_000; count++) text.add(piece, count);
      assert.ok(processorMs(begun) < 4_000); // what is quadratic takes minutes
    });
  }

  it('reads a long piece in time proportional to its length', () => {
    const text = new SimulatedVoice(60);
    const begun = process.cpuUsage();
    const piece = 'It is well. '.repeat(13_334);
    text.add(piece, 0);
    assert.ok(processorMs(begun) < 4_000);
    assert.equal(text.text, piece);
    assert.equal(text.words, 40_002);
    assert.equal(text.endsAtMs, 40_002_000);
  });

  it('speaks a text the same way however it is cut into pieces', () => {
    const whole = "It can't be 3.5 °C, said Ana-Maria; «vraiment»? 🙂 No.";
    const expected = spoken([whole, 0]);
    for (let cut = 0; cut <= whole.length; cut++) {
      const text = spoken([whole.slice(0, cut), 0], [whole.slice(cut), 0]);
      for (let ms = 0; ms <= 15_000; ms += 500) {
        assert.deepEqual(text.heardBy(ms), expected.heardBy(ms), `cut at ${cut}, heard by ${ms}`);
      }
    }
  });
});
