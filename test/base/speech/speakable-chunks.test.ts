import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SpeakableText } from '../../../src/base/speech/speakable.ts';
import { IS_LONG } from '../../fixtures/long.ts';
import { randomOf } from '../../fixtures/random.ts';

/** How many nonsense texts are tried. */
const TEXTS = IS_LONG ? 20_000 : 500;

/** What models write, and every mark at least once where it counts. */
const SAMPLES = [
  'Sure! Your **order** of 2*3 = 6 items (`snake_case`) costs $12.50, ~5 minutes. What else, he asked?',
  '# Title #\n\n- one\n  * **two** 🎉!\n+ [ ] three\n- [x] four\n1. five\n> > - six\n•seven\n\n---\n\nText\n===\n--flag -5',
  '| Name | Price |\r\n|------|:-----:|\r\n| -5 | $3<br>x |\r\n\r\nA | B\n--- | ---\n1 | 2\n\nx | y',
  'Run:\n```bash\nnpm i # **x**\n```\nThen ```npm i``` and ```js\nx```\nok\n~~~md\n*Hi*\n~~~\n``` ```\nend ```',
  'See [the **docs**](https://a.example/b "t (x)"), ![alt](x.png)! [sic](and more) [^1] list[0][i] [a][b] Paris.[^2]: [^ no',
  'https://www.example.com:80/a_(b)?c. (www.foo.example) <https://x.example/y>, http://h: hhttp://no https://例子.example/路 **https://b.example/c** www.x',
  'a<br>b <b>c</b> <a href="x>y">d</a> 5 < 6 a<b <3 <!-- no\n --> f <a@b.example> if <b and c> <p class <a@b.example is 5 > 3',
  '👩‍⚕️👍🏽 🇩🇪 1️⃣ ❤️‍🔥! *️⃣ #️⃣ ©️ ℹ️ ℹ ‼ (🎉 x 🎉) Done!🎉Next 🙂‍↔️ ‍ a‍b',
  '\\*a\\* C:\\Users \\\\ \\\nb \\',
  'क्‍ष नमस्ते می‌خواهم **שלום** \u200f\u202eمرحبا สวัสดี **注意：**请看[这里](http://x.example)。 한국어 𝒳 e\u0301',
  'a\tb\u0000c\r\r\nd\u0085e \ud83c x \udf89 \u2028 f  \n  g   ',
  '## A ##  \n# B # c #   \nAT&amp;T R&D &#39;x&#x27; &nbsp;a&hellip; a【3†source】. 【重要】',
  '[t][1][2] [t][r\n[1]: https://a.example\n[2] b',
  '*a *b* c* _a __b__ c_ __a _b___ **a *b*** *(*a*)* # b ####',
  '> - a\n>   ```js\n>   x\n> - b\n> ```\n>> y\n\n1. c\n   ~~~\n   x\n\ty\n2) # d\n  ```\nx\n  ```',
  '[a]: https://a.example/b "t"\n[b]: <http://c>\nx\n[Home]: www.a.example is\n[c]: /d (e\n[1]: f',
  '[a]: /b\n"c"\n[d]: www.e\n > \'f\ng\n[h]: /i\n(j) k\n[l]: /m\n\t"n"\n[o]: /p\n"q',
  '<div\n class="x"\n>a</div\n> <a href="b\n\nc <!-- d\n \n e <b\n\n f',
  '~~a~~ ~b __init__ _c_d_ ***e*** f*** **g* h** *2*3* `` i`j `` `k\n*l',
];

function speak(chunks: Iterable<string>): string {
  const speakable = new SpeakableText();
  let spoken = '';
  for (const chunk of chunks) spoken += speakable.push(chunk);
  return spoken + speakable.flush();
}

function createRandom(seed: number): (below: number) => number {
  const random = randomOf(seed);
  return (below) => Math.floor(random() * below);
}

function* cutAtRandom(
  text: string,
  random: (below: number) => number,
  longest: number,
): Generator<string> {
  for (let start = 0; start < text.length;) {
    const end = start + random(longest + 1); // some of them are empty
    yield text.slice(start, end);
    start = end;
  }
}

/** Marks in nonsensical order find states that samples do not. */
function scribble(random: (below: number) => number): string {
  let text = '';
  for (let left = 3 + random(30); left > 0; left--)
    text += FRAGMENTS[random(FRAGMENTS.length)] ?? '';
  return text;
}

const FRAGMENTS = [
  ...'abhw 5.,:;!?\'"*_~`[]()<>|\\-+=#•^/@&\n\t\r\0é你ก',
  ...[
    ' ',
    ' ',
    '\n',
    '\n\n',
    '**',
    '```',
    '~~~',
    '\n- ',
    '\n```',
    '\n> ',
    '\n1. ',
    '\n  ```',
    '\n  ',
    '\n[a]: ',
    '](',
    '](a b',
    '[^1]',
    ' the ',
    'hello',
    ' world.',
    '\n| ',
    ' | ',
    '|-|',
  ],
  ...[
    'https://',
    'http://a.b',
    'www.',
    'c.d/e',
    '<br>',
    '<b',
    '<!--',
    '-->',
    '<http:',
    '---',
    '🎉',
    '\u200d',
    '\ufe0f',
    '\u20e3',
    'ℹ',
    '👍🏽',
  ],
  ...['&', '&amp;', '&#10;', ';', '][', '[1]', ']: ', '【', '【3†', '】', '__', '  \n'],
  ...['\ud83c', '\udf89', '\u200f', '\\*', '# ', ' ##', 'text', '\u00a0', '\u2028', '  '],
];

describe('SpeakableText', () => {
  it('says the same however the text is cut', () => {
    const random = createRandom(1);
    for (const text of SAMPLES) {
      const whole = speak([text]);
      assert.equal(speak(text.split('')), whole, 'one UTF-16 unit at a time');
      for (let cut = 0; cut <= text.length; cut++) {
        assert.equal(
          speak([text.slice(0, cut), text.slice(cut)]),
          whole,
          `cut at ${cut}: ${JSON.stringify(text)}`,
        );
      }
      for (let round = 0; round < (IS_LONG ? 50 : 10); round++)
        assert.equal(speak(cutAtRandom(text, random, 9)), whole);
    }
  });

  it('says the same for nonsense however it is cut', () => {
    const random = createRandom(2);
    for (let round = 0; round < TEXTS; round++) {
      const text = scribble(random);
      const whole = speak([text]);
      assert.equal(speak(text.split('')), whole, JSON.stringify(text));
      assert.equal(speak(cutAtRandom(text, random, 6)), whole, JSON.stringify(text));
    }
  });

  it('says nothing unspeakable: emoji, lone surrogates, control characters other than line breaks', () => {
    const random = createRandom(3);
    for (let round = 0; round < TEXTS / 4; round++) {
      const spoken = speak([scribble(random)]);
      assert.doesNotMatch(
        spoken,
        /(?!\n)\p{Cc}|\p{Cs}|\p{Emoji_Presentation}|[\ufe0e\ufe0f\u20e3\u200e\u200f]/u,
      );
    }
  });

  it('lets prose out at once, except for a last space and the possible start of a URL', () => {
    const prose =
      'Well, I would have thought so! “Who’s there?” she asked; the man (he was 42.5 years old) paid $3 - not €4 - and ' +
      'went home... Why? Schöne Grüße, здравствуйте, नमस्ते दोस्तों, می خواهم שלום, 你好，世界。';
    const speakable = new SpeakableText();
    let spoken = '';
    for (let end = 1; end <= prose.length; end++) {
      spoken += speakable.push(prose.charAt(end - 1));
      const held = prose.slice(spoken.length, end);
      assert.match(held, /^ ?[hw]{0,2}$/i, `held ${JSON.stringify(held)}`);
    }
    assert.equal(spoken, prose);
  });

  it('lets every token of prose out whole, but for its last space', () => {
    const speakable = new SpeakableText();
    for (const token of ['Sure', ',', ' I', ' sent', ' at', ' 5', ':', '30', '.', ' Hi', '!'])
      assert.equal(speakable.push(token), token);
  });

  it('streams the text of a link, of emphasis and of a cell while it is still open', () => {
    const speakable = new SpeakableText();
    assert.equal(speakable.push('see [the docs'), 'see the docs');
    assert.equal(speakable.push(' of **this'), ' of this');
    assert.equal(speakable.push('**](https://exa'), '');
    assert.equal(speakable.push('mple.com/a) now'), ' now');
    assert.equal(speakable.push('\n| some cell'), '\nsome cell');
    assert.equal(speakable.push(' | b'), ', b');
    assert.equal(speakable.push('\n\nhttps://www.example.com/'), '\n\nexample.com');
    assert.equal(speakable.push('a.b'), '');
    assert.equal(speakable.push('. So'), '. So');
  });

  it('holds back at most 128 characters, whatever is open', () => {
    const random = createRandom(5);
    for (const text of [
      ...SAMPLES,
      ...OPEN,
      ...Array.from({ length: TEXTS / 40 }, () => scribble(random)),
    ]) {
      for (let end = 0; end <= text.length; end++) {
        const speakable = new SpeakableText();
        speakable.push(text.slice(0, end));
        const held = speakable.flush();
        assert.ok(held.length <= 128, JSON.stringify([text.slice(0, end), held]));
      }
    }
  });
});

const LETTERS = 'a'.repeat(300);
const OPEN = [
  '[a](',
  '[^',
  '<',
  '<a ',
  'https://',
  'x ```',
  '| -',
  '---',
  '',
  '\\',
  '# x #',
  '[a][',
  '[a]: www.b',
  '[a]: /b ',
  '<b\n',
  '- ```\n',
  '&',
  '【3†',
  '【3',
  '[1',
].flatMap((mark) => [
  mark + LETTERS,
  mark + '-'.repeat(300),
  mark + ' '.repeat(300),
  mark + ': |'.repeat(100),
]);
