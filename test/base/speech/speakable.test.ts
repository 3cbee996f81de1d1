import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { speakable as freed, SpeakableText } from '../../../src/base/speech/speakable.ts';

type Table = readonly (readonly [written: string, spoken: string])[];

function speak(written: string): string {
  const speakable = new SpeakableText();
  return speakable.push(written) + speakable.flush();
}

function check(table: Table): void {
  for (const [written, spoken] of table)
    assert.equal(speak(written), spoken, JSON.stringify(written));
}

function checkUnchanged(texts: readonly string[]): void {
  check(texts.map((text) => [text, text]));
}

describe('SpeakableText', () => {
  it('removes the marks of emphasis and leaves the text', () => {
    check([
      ['Hello **world**, this is *fine*.', 'Hello world, this is fine.'],
      ['_So_ __very__ ***nice***, ~~$20~~ $15', 'So very nice, $20 $15'],
      ['*smiles* "**Hi**" (*really*)', 'smiles "Hi" (really)'],
      ['**Note:** to-**ma**-to, po**ta**to', 'Note: to-ma-to, potato'],
      ['**注意：**请看*重点*。', '注意：请看重点。'],
      ['*注意：*请看 x*y', '注意：请看 x*y'],
      ['**שלום** עולם, **नमस्ते** दुनिया', 'שלום עולם, नमस्ते दुनिया'],
      ['**_both_** and _**both**_', 'both and both'],
      ['a **bold *and italic** text*', 'a bold and italic text'],
    ]);
  });

  it('removes the marks of emphasis within emphasis', () => {
    check([
      ['**bold *italic* text**, *a **b** c*', 'bold italic text, a b c'],
      ['***a** b*, **a *b***', 'a b, a b'],
      ['_a __b__ c_, __a _b_ c__, __a _b___, **a _b_ c**', 'a b c, a b c, a b, a b c'],
      ['*a *b* c*, **a **b** c**, _a _b_ c_', 'a b c, a b c, a b c'],
      ['_(see _this_)_, _a_._b_, _a (_b_) c_', '(see this), a.b, a (b) c'],
      ['__a__ and b_, ***a*** 2 ** 3', 'a and b_, a 2 ** 3'],
      ['*(*foo*)*, *(*foo*) b* 2*(3)', '(foo), (foo) b 2*(3)'],
      ['*"*foo*" bar* x*y', '"foo" bar x*y'],
    ]);
  });

  it('removes a double mark whose partner never comes', () => {
    check([
      ['Here is **the point', 'Here is the point'],
      ['the point** is this', 'the point is this'],
      ['Run `npm start\nand *wait', 'Run npm start\nand wait'],
      ['the ` key', 'the key'],
      ['**Note: ** a ** b', 'Note: a ** b'],
      ['**a\n\nb ** c', 'a\n\nb ** c'],
      ['I ____ it, a____b, *** c ****', 'I it, ab, c'],
      ['_a snake_case b_, a___b', 'a snake_case b, ab'],
    ]);
  });

  it('leaves arithmetic, identifiers and prices alone', () => {
    checkUnchanged([
      'a*z, A*Z, 0*9, z*0, 10*90',
      '3 * 4 = 12, 2*3, 2*3*4, 2*(3+4), (1+2)*3, x*y, 2 ** 3, 2**3, x**2',
      'a_b_c, snake_case_name, foo__bar, the _ variable, MAX_BODY_BYTES',
      '5 < 6, 6 > 5, a<b, a < b > c, i <= n, x -> y, <3',
      '#1, C#, F#, #winning, C++, 50%, $5, $1,000.50, €3, ~5 minutes, ~/notes',
      "it's, don’t, rock 'n' roll, 5'10\"",
      '!a ! b',
      ':-) ;-) :D ^_^ AT&T and/or e.g. 5:30 p.m. a@b.example',
      'a 5* hotel for $9*, x | y, a || b, 2^10, list[0][1]',
      'C:\\Users\\me, \\n',
      'List<String>, <break time="1s"/>, 4-2, 4 - 2, 4 + 2, a — b -- c',
      '-5 degrees',
      '+49 30 1234',
      '>= 5',
      '#1 in sales',
      '--verbose',
      '1. First\n2) Second',
      '= 5',
      ': a',
    ]);
  });

  it('keeps a product a product within emphasis', () => {
    check([
      ['**2*3** is *2*3*', '2*3 is 2*3'],
      ['**3 * 4 = 12**', '3 * 4 = 12'],
      ['**2**3 is 8**', '2**3 is 8'],
    ]);
  });

  it('removes the backticks of code within a line and leaves the code', () => {
    check([
      ['Run `npm i` now', 'Run npm i now'],
      ['`a*b*c`, `_x_`, `<br>`, `list[0]`, `C:\\*`', 'a*b*c, _x_, <br>, list[0], C:\\*'],
      ['`` a`b `` and ```npm i``` too', 'ab and npm i too'],
      ['使用`code`进行', '使用code进行'],
      ['A ```*x*``` *B*, `` *a`*b `` *c*', 'A *x* B, *a*b c'],
      ['a ` *b*, `` *c* `` d, `e`*f*', 'a b, *c* d, ef'],
      ['`https://example.com/a`', 'example.com'],
    ]);
  });

  it('removes the marks before headings, quotes and list items, however nested', () => {
    check([
      ['# Title\n\nText', 'Title\n\nText'],
      ['### **Title** ###\nC#', 'Title\nC#'],
      ['## A # B', 'A # B'],
      ['## A ##  \nText', 'A\nText'],
      ['# A #\t', 'A'],
      ['# A #   B # #  ', 'A #   B #'],
      ['# A ##########  \nText', 'A\nText'],
      ['# A #B', 'A #B'],
      ['- one\n- **two**\n  * three\n+ four\n• five', 'one\ntwo\nthree\nfour\nfive'],
      ['1. one\n2. two', '1. one\n2. two'],
      ['> quoted\n> - item\n>\n>> deeper', 'quoted\nitem\n\ndeeper'],
      ['- [ ] open\n- [x] done\n- [x](y) link', 'open\ndone\nx link'],
      ['- 5 apples', '5 apples'],
      ['Text\n-\nmore', 'Text\nmore'],
      ['Text\n*\nmore\n+\nand\n•\nmore', 'Text\nmore\nand\nmore'],
      ['•a\n◦b\n‣c\n▪d\n●e\n○f\n·g', 'a\nb\nc\nd\ne\nf\ng'],
      ['####### seven', '####### seven'],
    ]);
  });

  it('removes the marks after the number of a list item, which ends emphasis', () => {
    check([
      ['1. # Title #\n2) - x\n3. > q\n10. [x] done', '1. Title\n2) x\n3. q\n10. done'],
      ['1. ** Note:** a\n2. *b\n3. 2*3 x*y', '1. Note: a\n2. b\n3. 2*3 x*y'],
      ['1. [text](https://a.example)', '1. text'],
      ['1. ```js\n   x\n   ```', '1.'],
    ]);
    checkUnchanged(['1.5 > 1', '1.', '12', '1..> 2', '1234567890. > x', '2024 > 2023', '1. -5']);
  });

  it('removes rules and underlined headings with their line breaks', () => {
    check([
      ['One\n\n---\n\nTwo', 'One\n\nTwo'],
      ['One\n***\nTwo\n___\nThree\n- - -\nFour', 'One\nTwo\nThree\nFour'],
      ['Title\n=====\nText', 'Title\nText'],
      ['Title\n---\nText', 'Title\nText'],
      ['---', ''],
    ]);
  });

  it('reads the cells of a table with commas between them', () => {
    check([
      [
        '| Name | Price |\n|------|:-----:|\n| Tea | $3 |\n| Milk | |\n',
        'Name, Price\nTea, $3\nMilk\n',
      ],
      ['|a|b|\n|-|-|\n|1|2|', 'a, b\n1, 2'],
      ['| **Hi!** | [x](y) | `c` |', 'Hi! x, c'],
      ['| -5 | - | 3 |', '-5, -, 3'],
      ['|a|*b*| `c|d` |', 'a, b, c, d'],
      ['| a<br>b | c \\| d |', 'a, b, c | d'],
      ['| see https://example.com/a | b |', 'see example.com, b'],
    ]);
  });

  it('reads a table without outer pipes from its second row on', () => {
    check([['A | B\n--- | ---\n1 | 2\n3 | 4\n\nx | y', 'A | B\n1, 2\n3, 4\n\nx | y']]);
  });

  it('does not speak fenced code', () => {
    check([
      ['Run this:\n```bash\nnpm i # **x**\n```\nThen go.', 'Run this:\nThen go.'],
      ['A\n~~~\n```\n~~~\nB', 'A\nB'],
      ['A\n\n````md5\n```\nx\n```\n````\n\nB', 'A\n\nB'],
      ['1. Do\n   ```js\n   x\n   ```\n2. Done', '1. Do\n2. Done'],
      ['```python', ''],
    ]);
  });

  it('recognises the end of fenced code where models put it', () => {
    check([
      ['A\n```bash\nnpm install```\nB', 'A\nB'],
      ['A\n```\nx\n``` Then B', 'A\nThen B'],
      ['A: ```js\nx\n```\nB', 'A: B'],
      ['A\n```\n```python\n```\nB', 'A\nB'],
      ['A\n```\nnpm install```  \nB', 'A\nB'],
      ['A\n```\nx ``` y\na``\nb\n```\nB', 'A\nB'],
      ['~~~ a`b\nx\n~~~\nA\n``` a~b\nx\n```\nB', 'A\nB'],
      ['Use ```x', 'Use x'],
    ]);
  });

  it('ends an unclosed fence where the quote around it ends', () => {
    check([
      ['A\n> ```\n> x\n\nB', 'A\n\nB'],
      ['A\n> ```\n> x\nB', 'A\nB'],
      ['> > ```\n> > x\n> B', 'B'],
      ['> A\n> ```\n> > x\n>\n> y\n> ```\n> B', 'A\nB'],
      ['> ```\n> x\n```\nB', 'B'],
      ['> ```\n> x\n# *B*', 'B'],
      ['> ```\n> x\n``B``', 'B'],
      ['> **A\n> ```\n> x\n2**3', 'A\n2**3'],
    ]);
  });

  it('ends an unclosed fence where the list item around it ends', () => {
    check([
      ['- A\n  ```js\n  x\n- B', 'A\nB'],
      ['- A\n  ```js\n  x\n\n    y\n\nB', 'A\nB'],
      ['1. A: ```js\n   x\n2. B', '1. A:\n2. B'],
      ['10) A\n    ```\n    x\n   B', '10) A\nB'],
      ['- ```\n- B', 'B'],
      ['- ```\n  x\n\n\tmore\nB', 'B'],
      ['- A\n  - B\n    ```\n    x\n  - C', 'A\nB\nC'],
      ['- A\n  - B\n\n  ```\n  x\n C', 'A\nB\n\nC'],
      ['• A\n  ~~~\n  x\n• B', 'A\nB'],
      ['10) A\n    ```\n    x\n\ty\n    ```\nB', '10) A\nB'],
      ['> - A\n>   ```\n>   x\n> - B\n\nC', 'A\nB\n\nC'],
      ['> - A\n> - B\n>   ```\n>   x\n> C', 'A\nB\nC'],
      ['- A\n> ```\n>x\n\nB', 'A\n\nB'],
      ['> - A\n\n    ```\nx\n\ny\n    ```\nB', 'A\n\nB'],
      ['- A\n  ```\n  x\n\n`B` *c*', 'A\nB c'],
    ]);
  });

  it('ends a fence at its marks even if it is not indented with its list item', () => {
    check([
      ['1. A\n   ```js\nx\n   y\n\nz\n   ```\n   B', '1. A\nB'],
      ['1. A\n   ```js\n   x\n```\n2. B', '1. A\n2. B'],
      ['- A\n\n```\nx\n```\n- B', 'A\n\nB'],
      ['- A\n\nB\n  ```\nx\n\ny\n  ```\nC', 'A\n\nB\nC'],
    ]);
  });

  it('speaks a fence that says it holds text', () => {
    check([
      ['```markdown\nHi **you**\n```\nBye', 'Hi you\nBye'],
      ['```text\nHi\n```\n```js\nx\n```\nBye', 'Hi\nBye'],
      ['```text\nHi\n```\n```\nx\n```\n- Bye', 'Hi\nBye'],
      ['```text\nHi\n```\n- Bye', 'Hi\nBye'],
      ['```md\nHi\n```js\nx\n```\nBye\n```\nAnd', 'Hi\nBye\nAnd'],
      ['> ```text\n> Hi\n> ```\n\n```\nx\n```\nBye', 'Hi\n\nBye'],
      ['> ```text\n> Hi\n\n```\nx\n```\nBye', 'Hi\n\nBye'],
    ]);
  });

  it('speaks a fence marked with any name for text', () => {
    for (const name of ['text', 'txt', 'plain', 'plaintext', 'markdown', 'md', 'Markdown ']) {
      check([[`\`\`\`${name}\nHi\n\`\`\`\nBye`, 'Hi\nBye']]);
    }
  });

  it('ends an empty fence with its list item, whatever begins the next item', () => {
    for (const mark of '-*+') check([[`- \`\`\`\n${mark} B`, 'B']]);
    for (const digit of '0123456789') check([[`- \`\`\`\n${digit}. B`, `${digit}. B`]]);
  });

  it('lets a fence that is never closed end with its text, and speaks the next text', () => {
    const speakable = new SpeakableText();
    assert.equal(speakable.push('One.\n```js\nx') + speakable.flush(), 'One.\n');
    assert.equal(speakable.push('Two.') + speakable.flush(), 'Two.');
    assert.equal(speakable.push('```text\nThree.') + speakable.flush(), 'Three.');
    assert.equal(speakable.push('```\nx\n```\nFour.') + speakable.flush(), 'Four.');
  });

  it('keeps the text of links and images', () => {
    check([
      ['See [the docs](https://a.example/b "title (x)") now', 'See the docs now'],
      ['![A cat](cat.png) ![](x.png)Look! ![b](c)', 'A cat Look! b'],
      ['[![badge](https://a.example)](https://b.example)', 'badge'],
      ['[a](b  "c" ) [a](b ) [a](b (c) d)', 'a a a(b (c) d)'],
      ['[**bold**](a), [a_b](c_(d)_e), [a](b \'c )\')', 'bold, a_b, a'],
      ['[www.example.com](https://www.example.com/)', 'example.com'],
      ['请看[这里](http://x.example)。', '请看这里。'],
      ['[text][1] and [text][the ref], [text][], [text][1][2].', 'text and text, text, text[2].'],
      ['[1] Smith\n[2]: https://a.example is ours', '1 Smith\na.example is ours'],
      ['[text][1\n and [text][a[b]', 'text 1\n and text a[b]'],
      ['[1] Smith\n[12]: Jones\n[1234567]: x\n[1]x\n[1]:x', '1 Smith\nJones\n1234567: x\n1x\n1:x'],
      ['Paris.[^1] So\n[^1]: Atlas', 'Paris. So\nAtlas'],
    ]);
  });

  it('does not speak the definition of a link', () => {
    check([
      ['See [a][1].\n\n[1]: https://a.example/b\nBye', 'See a.\n\nBye'],
      ['[the docs]: <https://a.example/b> "The docs"\n> [b]: /c  (d)\n\nBye', 'Bye'],
      ['[a]:www.a.example\n[b]:  MAILTO:a@b.example \'c d\'', ''],
      [`[a]: https://a.example/${'b'.repeat(200)}`, ''],
      ['[a]: https://a.example/b\n"The docs"\n[c]: /d \n  (e)\nBye', 'Bye'],
      ["Hi\n> [a]: /b\n> 'c d'  \nBye", 'Hi\nBye'],
    ]);
  });

  it('speaks the line after a definition unless that is only a title', () => {
    const a = (length: number): string => 'a'.repeat(length);
    check([
      ['[a]: /b\n"Hi," she said.', '"Hi," she said.'],
      ['[a]: /b "c"\n"Hi."', '"Hi."'],
      ['[a]: /b\n\n"Hi."', '"Hi."'],
      ['[a]: /b\n(and so', '(and so'],
      ['[a]: /b\n- "c"\n# d', '"c"\nd'],
      [`[a]: /b\n"${a(100)}"\nBye`, 'Bye'],
      [`[a]: /b\n"${a(101)}"\nBye`, `"${a(101)}"\nBye`],
    ]);
  });

  it('speaks what only begins like a definition', () => {
    check([
      ['[Chorus]: Hallelujah', 'Chorus: Hallelujah'],
      ['[Home]: https://a.example/b is our page', 'Home: a.example is our page'],
      [`[Home]: https://a.example/${'b'.repeat(200)} is long`, 'Home: a.example is long'],
      ['[Name]: <name>\n[a]:\n[b]\n[c', 'Name: <name>\na:\nb\nc'],
      ['see [a]: https://a.example', 'see a: a.example'],
      [`[${'a'.repeat(33)}]: https://a.example`, `${'a'.repeat(33)}: a.example`],
      ['[a\nb]: /c', 'a\nb: /c'],
      ['[[a]]: /b', 'a: /b'],
      ['x)[*a*](b)[c](d)', 'x)ac'],
    ]);
  });

  it('removes brackets that are not a link, and keeps the parentheses after them', () => {
    check([
      ['[sic](and more) here', 'sic(and more) here'],
      ['the [optional] part', 'the optional part'],
      ['[a](b\nc', 'a(b\nc'],
      ['[a](b', 'a(b'],
      ['list[0], rows[i][j], Paris.[1]', 'list[0], rows[i][j], Paris.[1]'],
      ['a ] b', 'a ] b'],
      ['[^ no', '^ no'],
    ]);
  });

  it('reads the host of a URL', () => {
    check([
      ['See https://www.example.com/a/b?c=d#e now', 'See example.com now'],
      ['HTTP://Example.com:8080/x, www.example.org', 'Example.com, example.org'],
      ['http://localhost:3000', 'localhost'],
      ['https://user@example.com/', 'example.com'],
      ['WWW.A.example <https://b.example>*c*', 'A.example b.examplec'],
      ['<a@b.example 5 > 3\n<https://c.example\n4 > 3', 'a@b.example 5 > 3\nc.example\n4 > 3'],
      [
        '<https://example.com/a> or <a@b.example>',
        'example.com or a@b.example',
      ],
      ['https://münchen.example/ü https://例子.example/x', 'münchen.example 例子.example'],
      [
        '请访问https://example.com/path了解。「https://a.example」',
        '请访问example.com了解。「a.example」',
      ],
      ['**https://example.com/a** _https://b.example_', 'example.com b.example'],
      ['**https://example.com/a**b [https://b.example/c]d', 'example.comb b.exampled'],
    ]);
  });

  it('keeps the punctuation after a URL', () => {
    check([
      [
        'Is it https://example.com? Or https://example.com/a! (https://example.com/b)...',
        'Is it example.com? Or example.com! (example.com)...',
      ],
      ['(see https://en.wikipedia.org/wiki/A_(b)).', '(see en.wikipedia.org).'],
      [
        'https://a.example: yes, "https://a.example/b", https://a.example’s',
        'a.example: yes, "a.example", a.example’s',
      ],
      ['www.a.example.', 'a.example.'],
      [`https://a.example/b${'.'.repeat(20)}`, `a.example${'.'.repeat(16)}`],
      ['https://a.example/b\u2000c https://a.example/b…c', 'a.example\u2000c a.example…c'],
      ['https://a.example/b—and https://a.example/b.c,', 'a.example—and a.example,'],
    ]);
  });

  it('ends a URL before each mark that cannot be its last character', () => {
    for (const mark of '.,;:!?\')}~"`]') {
      check([[`https://a.example/b${mark} c`, `a.example${mark === '`' ? '' : mark} c`]]);
    }
    check([
      ['https://a.example/b|c https://a.example/b>c', 'a.example|c a.example>c'],
      ['_https://a.example/b_ <https://a.example>> b', 'a.example a.example> b'],
      ['<a.b+c-d_e@f.example> <http://a.example>', 'a.b+c-d_e@f.example a.example'],
    ]);
  });

  it('leaves alone what only begins like a URL', () => {
    checkUnchanged([
      'https:// http: www. h',
      'how http works, https, hhttp://x, xhttps://a.example/b',
      'www',
    ]);
  });

  it('removes HTML tags, and breaks the line where they do', () => {
    check([
      ['a<br>b<br/>c <BR /> d', 'a\nb\nc\nd'],
      ['<p>One</p>\n<p>Two</p>', 'One\n\nTwo\n'],
      ['<b>bold</b>, <a href="https://a.example?b>c">link</a>, H<sub>2</sub>O', 'bold, link, H2O'],
      ['a <!-- hidden --> b', 'a b'],
      ['a<b>*c*</b>', 'ac'],
      ['if a <b and c> d', 'if a <b and c> d'],
    ]);
  });

  it('removes tags and comments that span lines', () => {
    check([
      ['<div\n  class="x"\n>Hi</div\n> there', 'Hi\nthere'],
      ['<img src="x"\n  alt="a\n  b" />Look', 'Look'],
      ['a <!--\nhidden -\n--> b', 'a b'],
    ]);
    checkUnchanged(['a <b\nand c> d', 'a <b\n\nd>', 'a <b\n  \nd>', 'a <i\n= 2', 'a <b\n']);
  });

  it('lets a tag or comment that is never closed end with its paragraph', () => {
    check([
      ['a <!-- never\nclosed\n\nb', 'a\n\nb'],
      ['a <a href="never\nclosed\n \n# b', 'a\n\nb'],
      ['a <a href=never', 'a '],
    ]);
  });

  it('reads an HTML entity as its character, which marks nothing', () => {
    check([
      ['AT&amp;T, 5 &lt; 6, &quot;Hi&quot;', 'AT&T, 5 < 6, "Hi"'],
      ['caf&#xE9;s, caf&#xe9;s', 'cafés, cafés'],
      ['&Aring;&#xAA;&#1114111;', 'Åª\u{10ffff}'],
      ['it&#39;s, it&#x27;s, it&#X27;s', "it's, it's, it's"],
      ['caf&eacute;, &euro;5, 20&deg;, &frac12;, a&hellip;', 'café, €5, 20°, ½, a…'],
      ['a&nbsp;b, a&#10;b, a &nbsp; b', 'a b, a b, a   b'],
      ['&#42;&#42;a&#42;&#42;, &lt;b&gt;, &#35; a, &amp;lt;', '**a**, <b>, # a, &lt;'],
      ['Great &#127881; job, a&#8203;b&#0;c&shy;d&#xD800;e&#x110000;f', 'Great job, a\u200bbcdef'],
      ['`&amp;`', '&amp;'],
    ]);
    checkUnchanged(['R&D, AT&T, a & b, &unknown; &; &amp &#; &#x; &#12345678901; x&', '&amp-']);
  });

  it('removes citations of files, and their space', () => {
    check([
      ['Paris【3†source】.', 'Paris.'],
      ['Paris 【4:0†source】【4:1†source】 is', 'Paris is'],
    ]);
    checkUnchanged(['【重要】请看', '【3】', '【†】', '【3', '【34 a', '【1234567890123†a】', '【3†a\nb】']);
  });

  it('removes emoji, and their space', () => {
    check([
      ['Great 🎉 job', 'Great job'],
      ['Great 🎉!', 'Great!'],
      ['Great! 🎉', 'Great!'],
      ['Ça va 🎉 ? Oui 🎉! Non🎉 !', 'Ça va ? Oui! Non !'],
      ['🎉 Party', 'Party'],
      ['(🎉 party 🎉)', '(party)'],
      ['A 🎉 🎉 B', 'A B'],
      ['✅ One\n✅ **Two**', 'One\nTwo'],
      ['Done!🎉Next, 这是🎉测试', 'Done! Next, 这是测试'],
      ['กิน🎉ข้าว ກິນ🎉ເຂົ້າ ထ🎉မ ញ៉ាំ🎉បាយ', 'กินข้าว ກິນເຂົ້າ ထမ ញ៉ាំបាយ'],
      ['é🎉e a🎉é ב🎉א', 'é e a é ב א'],
      ['a 👩‍⚕️👍🏽🇩🇪❤️‍🔥🏴󠁧󠁢󠁥󠁮󠁧󠁿🙂‍↔️🏳️‍🌈 b', 'a b'],
      ['ℹ️ Info ▶️ ‼️', 'Info'],
      ['I ❤ it ✔', 'I it'],
      ['这🎉a🎉这', '这a这'],
      ['a\u00a0 🎉 b ℹ\ufe0e c ℹ *** d', 'a\u00a0b ℹ c ℹ d'],
    ]);
  });

  it('leaves no space before punctuation, and no double pause, where something was removed', () => {
    for (const mark of '.,;:!?)]}…%”’»。，、；：！？）」』،؛؟।') {
      check([[`a 🎉${mark}`, `a${mark}`]]);
    }
    for (const mark of '([{“‘«¿¡（「『') {
      check([[`${mark === '[' ? '\\[' : mark} 🎉 a`, `${mark}a`]]);
    }
    for (const mark of '.,;:!?…。，！？；：') check([[`| a${mark} | b |`, `a${mark} b`]]);
  });

  it('keeps the digit of a keycap', () => {
    check([['1️⃣ One, press #️⃣ or *️⃣', '1 One, press # or *']]);
  });

  it('keeps characters that Unicode calls emoji and people do not', () => {
    checkUnchanged(['0123456789 # * © ® ™', 'A ↔ B ‼ ℹ ▶', '★★☆ ✓ ♪ → •']);
    check([['©️ ®️ ™️', '© ® ™']]);
  });

  it('removes control characters and keeps words apart', () => {
    check([
      ['a\u0000\u0007\u001bb\u007f\u009f', 'ab'],
      ['a\tb\fc\u0085d', 'a b c d'],
      ['a\r\nb\rc\u2028d\u2029e\vf~\u{10ffff}', 'a\nb\nc\nd\ne f~\u{10ffff}'],
      ['a\u202eb\u2066c\u200ed\u00ade\ufefff', 'abcdef'],
      ['\u200f- פריט', 'פריט'],
      ['a\ud83cb\udf89', 'ab'],
    ]);
  });

  it('leaves every script as it is', () => {
    checkUnchanged([
      'क्‍ष नमस्ते, आप कैसे हैं?',
      'می‌خواهم بروم، سلام؟',
      'مرحبا بالعالم',
      'שָׁלוֹם עולם',
      'สวัสดีครับ ผมชื่อ',
      '你好，世界。',
      'こんにちは、世界！葛\u{e0100}',
      '안녕하세요 여러분',
      'Ça va ? Où ? Größe Łódź Привет e\u0301',
      '𝒳 𐍈',
    ]);
  });

  it('speaks the bare character of an escape', () => {
    check([
      [
        '\\*not\\* \\_this\\_ \\[a\\](b) \\# \\`x\\` \\<br> \\\\',
        '*not* _this_ [a](b) # `x` <br> \\',
      ],
      ['\\# no heading\n1\\. no list\n\\- no item', '# no heading\n1. no list\n- no item'],
      ['a\\\nb', 'a\nb'],
    ]);
  });

  it('reads a mark of exactly the longest length, and speaks a longer one', () => {
    const a = (length: number): string => 'a'.repeat(length);
    check([
      [`[^${a(32)}]`, ''],
      [`[^${a(33)}]`, `^${a(33)}`],
      [`[x][${a(64)}]`, 'x'],
      [`[x][${a(65)}]`, `x ${a(65)}`],
      [`[x](${a(62)}\n`, `x(${a(62)}\n`],
      [`[x](${a(63)}\n`, 'x\n'],
      [`[${a(32)}]: /b`, ''],
      [`x【123456789012†${a(100)}】`, 'x'],
      [`x【1†${a(101)}】`, `x【1†${a(101)}】`],
      ['&#000000065; &#0000000065;', 'A &#0000000065;'],
      [`# x ${'#'.repeat(64)}`, 'x'],
      [`# x ${'#'.repeat(65)}`, `x ${'#'.repeat(65)}`],
      [`# x #${' '.repeat(32)}\n`, 'x\n'],
      [`x <b ${a(47)}>`, 'x '],
      [`x <b ${a(48)}>`, `x <b ${a(48)}>`],
      [`A\n\`\`\`${a(100)}\nx\n\`\`\`\nB`, 'A\nB'],
      [`A \`\`\`${a(101)}\`\`\` B`, `A ${a(101)} B`],
      ['123456789. > x', '123456789. x'],
      [`${'['.repeat(17)}x${']'.repeat(17)}`, 'x]'],
      ['###### x', 'x'],
      [`http://${a(100)}.b`, `${a(100)}.b`],
    ]);
  });

  it('leaves white space as it is where nothing was removed', () => {
    checkUnchanged([' a', 'a ', 'a  b', '  a\n\n\nb\n', ' ', '\n', '', ' and more.']);
  });

  it('can be used again for the text after a tool call', () => {
    const speakable = new SpeakableText();
    for (const unfinished of [
      '**a',
      '`a',
      '# a #',
      '| a',
      '[a',
      'a https://b.example/c',
      '```text\na',
      'a <!-- b',
      'A | b\n- | -\n',
    ]) {
      speakable.push(unfinished);
      speakable.flush();
      assert.equal(
        speakable.push('- 2*3 | x* b](c) `*a*') + speakable.flush(),
        '2*3 | x* b](c) *a*',
        unfinished,
      );
    }
    assert.equal(speakable.flush(), '');
    // Half a character, and half of a line break.
    const halves = [['a\ud835', '\udcb3b', 'b'], ['a\r', '\nb', '\nb']] as const;
    for (const [first, next, spoken] of halves) {
      speakable.push(first);
      speakable.flush();
      assert.equal(speakable.push(next) + speakable.flush(), spoken);
    }
  });
});

describe('speakable', () => {
  it('strips a whole text of what cannot be spoken', () => {
    assert.equal(freed('**Bye**, see [our page](https://x.example). 👋'), 'Bye, see our page.');
  });
});
