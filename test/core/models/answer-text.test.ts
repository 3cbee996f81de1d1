import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AnswerText } from '../../../src/core/models/answer-text.ts';

function answer(pieces: Iterable<string>, beginsAsThought = false): string {
  const text = new AnswerText(beginsAsThought);
  let spoken = '';
  for (const piece of pieces) spoken += text.push(piece);
  return spoken + text.end();
}

type Table = readonly (readonly [written: string, spoken: string])[];

const THOUGHTS: Table = [
  ['<think>hm</think>Yes.', 'Yes.'],
  ['<think>\nAre they open?\n</think>\n\nYes, until six.', 'Yes, until six.'],
  ['\n <think></think>\n\nYes.', 'Yes.'],
  ['Let me see. <think>a < b [c]</think>\n\nYes.', 'Let me see. \n\nYes.'],
  ['One<think>x</think>two', 'One two'],
  ['One <think>x</think>two<think>y</think> three', 'One two three'],
  ['<think>a</think><think>b</think>Yes.', 'Yes.'],
  ['<think>a</think>Yes.</think>', 'Yes.'],
  ['<thinking>a</thinking>Yes.', 'Yes.'],
  ['<thinking>a</think>Yes.', 'Yes.'],
  ['<thought>a</thought>Yes.', 'Yes.'],
  ['<seed:think>a</seed:think>Yes.', 'Yes.'],
  ['[THINK]a[/THINK]Yes.', 'Yes.'],
  ['◁think▷a◁/think▷Yes.', 'Yes.'],
  ['<|START_THINKING|>a<|END_THINKING|>Yes.', 'Yes.'],
  ['<|begin_of_thought|>a<|end_of_thought|>Yes.', 'Yes.'],
  ['<|channel>thought\na<channel|>Yes.', 'Yes.'],
  [
    '<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Yes.',
    'Yes.',
  ],
];

const TOKENS: Table = [
  ['Yes.<|im_end|>', 'Yes.'],
  ['Yes.<|im_end|>\n<|endoftext|>', 'Yes.\n'],
  ['<|im_start|>Yes.', 'Yes.'],
  ['Yes.</s>', 'Yes.'],
  ['<s>Yes.', 'Yes.'],
  ['[INST]Yes.[/INST]', 'Yes.'],
  ['Yes.<end_of_turn>', 'Yes.'],
  ['Yes.<｜end▁of▁sentence｜>', 'Yes.'],
  ['Yes.<turn|><|turn>', 'Yes.'],
  ['<|channel|>Yes.', 'Yes.'],
  [`Yes.<|${'a'.repeat(40)}|>`, 'Yes.'],
];

const PLAIN: readonly string[] = [
  'Yes.',
  '  Yes, \n it is. ',
  'a < b, 5 <6, a<b and c> d, <3, x <',
  'a [b] c, [1], [x](y) [THIN',
  '<b>bold</b> <br/> List<String> <|> a<|b',
  'a | b || c',
  '<thinker>, </thinkers>, <thin',
  '🎈 grün 你好',
  `<${'a'.repeat(60)}|>`,
];

const ALL: Table = [...THOUGHTS, ...TOKENS, ...PLAIN.map((text) => [text, text] as const)];

describe('AnswerText', () => {
  it('leaves out what the model thought', () => {
    for (const [written, spoken] of THOUGHTS) assert.equal(answer([written]), spoken, written);
  });

  it('leaves out control tokens', () => {
    for (const [written, spoken] of TOKENS) assert.equal(answer([written]), spoken, written);
  });

  it('leaves everything else as it is', () => {
    for (const text of PLAIN) assert.equal(answer([text]), text);
  });

  it('says the same however the text is cut', () => {
    for (const [written, spoken] of ALL) {
      assert.equal(answer(written), spoken, `${written}, a character a piece`);
      for (let cut = 0; cut <= written.length; cut++) {
        const pieces = [written.slice(0, cut), '', written.slice(cut)];
        assert.equal(answer(pieces), spoken, `${written}, cut at ${cut}`);
      }
    }
  });

  it('passes plain text on at once, except for blanks before the first word', () => {
    const text = new AnswerText(false);
    assert.deepEqual([' ', '\n', 'Yes', ',', ' it', ' is '].map((piece) => text.push(piece)), [
      '', '', ' \nYes', ',', ' it', ' is ',
    ]);
  });

  it('keeps 4,096 of the blanks before the first word', () => {
    const text = new AnswerText(false);
    for (let round = 0; round < 10; round++) assert.equal(text.push(' '.repeat(1_000)), '');
    assert.equal(text.push('Yes.'), `${' '.repeat(4_096)}Yes.`);
  });

  it('holds back no more than may be a mark', () => {
    const text = new AnswerText(false);
    assert.equal(text.push('It is <'), 'It is ');
    assert.equal(text.push('3'), '<3');
    assert.equal(text.push(' a [TH'), ' a ');
    assert.equal(text.push('E]'), '[THE]');
  });

  describe('of a reply that begins as thought', () => {
    it('says what follows the first </think>', () => {
      for (const [written, spoken] of [
        ['hm </think>\n\nYes.', 'Yes.'],
        ['<think>hm</think>Yes.', 'Yes.'],
        ['</think>Yes.', 'Yes.'],
        ['hm</think>Yes.<think>x</think> No.', 'Yes. No.'],
        ['hm</think>Yes.</think>', 'Yes.'],
      ] as const) {
        assert.equal(answer([written], true), spoken, written);
        assert.equal(answer(written, true), spoken, written);
      }
    });

    it('says nothing without a </think>', () => {
      assert.equal(answer(['Yes.'], true), '');
    });
  });

  describe('of a reply that closes a thought it never opened', () => {
    it('takes back what came in the same piece', () => {
      assert.equal(answer(['hm </think>\n\nYes.']), 'Yes.');
      assert.equal(answer(['\n', 'hm </think>', 'Yes.']), 'Yes.');
    });

    it('cannot take back what it has passed on, and reports that', () => {
      const text = new AnswerText(false);
      assert.equal(text.push('hm'), 'hm');
      assert.equal(text.spokeThought, false);
      assert.equal(text.push(' so</think>Yes.'), ' Yes.');
      assert.equal(text.spokeThought, true);
    });

    it('reports nothing if all of it could be taken back', () => {
      const text = new AnswerText(false);
      text.push('hm</think>Yes.');
      assert.equal(text.spokeThought, false);
    });
  });

  it('recognises a thought that was never closed', () => {
    const isUnclosed = (written: string, beginsAsThought = false): boolean => {
      const text = new AnswerText(beginsAsThought);
      text.push(written);
      text.end();
      return text.isUnclosed;
    };
    assert.equal(isUnclosed('<think>'), true);
    assert.equal(isUnclosed('Yes. <think>hm'), true);
    assert.equal(isUnclosed('<think>hm</thin'), true);
    assert.equal(isUnclosed('<think>hm</think>'), false);
    assert.equal(isUnclosed('Yes.'), false);
    assert.equal(isUnclosed('hm', true), true);
    assert.equal(isUnclosed(' \n', true), false);
    assert.equal(isUnclosed('hm</think>', true), false);
  });
});
