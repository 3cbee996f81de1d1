import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { atOnce } from '../../../src/base/slices.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';
import {
  lettersFrom, markOf, nextName, withNames,
} from '../../../src/core/redaction/placeholder.ts';
import { checkRedact, type Redact } from '../../../src/core/redaction/redact.ts';
import {
  FAILED_TEXT, Redaction, type RedactionOptions,
} from '../../../src/core/redaction/redaction.ts';
import { SealedTexts } from '../../../src/core/redaction/sealed-texts.ts';
import { UnknownValueError } from '../../../src/core/redaction/unknown-value.ts';

const CARD = '4242424242424242';
const OTHER = '5555555555554444';

function redaction(options: Partial<RedactionOptions> = {}): Redaction {
  const onFailure = (error: unknown): never => {
    throw error;
  };
  return new Redaction({ redact: [cardNumbers, emailAddresses], key: 'k', onFailure, ...options });
}

/** The letters of the only mark in a text. */
function lettersIn(text: string): string {
  return /^\[card ([a-z]{12})\]$/.exec(text)?.[1] ?? assert.fail(`no mark: ${text}`);
}

describe('Redaction', () => {
  it('makes different marks with another key, and in another conversation', () => {
    const marks = [
      redaction().seal('c', CARD),
      redaction({ key: 'other' }).seal('c', CARD),
      redaction().seal('d', CARD),
      redaction().seal('c', OTHER),
    ];
    assert.equal(new Set(marks).size, 4);
    assert.equal(redaction().seal('c', CARD), marks[0]);
  });

  it('leaves its own marks and placeholders as they are', () => {
    const one = redaction();
    const sealed = one.seal('c', `${CARD}, ann@example.com`);
    assert.equal(one.seal('c', sealed), sealed);
    assert.equal(one.seal('c', '[card 1] and [email 12]'), '[card 1] and [email 12]');
  });

  it('names marks once their names are known, and reveals values for both', () => {
    const one = redaction();
    const mark = one.seal('c', CARD);
    assert.equal(one.text('c', `${CARD}!`), `${mark}!`);
    one.learn('c', { [lettersIn(mark)]: 'card 3' });
    assert.equal(one.text('c', `${CARD}!`), '[card 3]!');
    assert.deepEqual(one.reveal('c', { card: '[card 3]', was: mark }), { card: CARD, was: CARD });
  });

  it('refuses to reveal what it has not heard in this conversation', () => {
    const one = redaction();
    one.learn('c', { [lettersIn(one.seal('c', CARD))]: 'card 1' });
    for (const [conversation, text] of [['c', '[card 2]'], ['d', '[card 1]']] as const) {
      assert.throws(() => one.reveal(conversation, { text }), (error: unknown) => {
        assert.ok(error instanceof UnknownValueError);
        const cure = 'ask the caller to say it again';
        assert.equal(error.message, `${text} is not known in this process: ${cure}`);
        return true;
      });
    }
  });

  it('reveals nothing for brackets that are not placeholders', () => {
    const text = '[1] [Card 1] [card 0] [card] [see below]';
    assert.equal(redaction().reveal('c', text), text);
  });

  it('leaves words in brackets alone if they are of no known kind', () => {
    const one = redaction();
    one.seal('c', CARD);
    const text = 'See [page 3] for [the availability].';
    assert.equal(one.reveal('c', text), text);
    assert.equal(one.hasUnnamed('c', text), false);
    assert.equal(one.numberedHere('c', text), text);
  });

  it('also hides the part of a known value that was heard', () => {
    const one = redaction();
    const heard = (text: string): string =>
      atOnce(new SealedTexts(one, 'c').sealingHeard(text));
    assert.equal(heard('It is 5555 55'), 'It is 5555 55');
    // Thirteen of its digits pass the Luhn check themselves.
    const mark = one.seal('c', '4000000000006000000');
    assert.equal(heard('It is 4000 0000 0000 6'), `It is ${mark}`);
  });

  it('forgets the values of a session that is over, but not those of a later one', () => {
    const one = redaction();
    one.seal('c', CARD);
    one.entered('c', 's-2');
    one.forget('c', 's-1');
    assert.equal(one.size, 1);
    one.forget('c', 's-2');
    assert.equal(one.size, 0);
  });

  it('forgets values an hour after the last one was said', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let nowMs = 0;
    const pass = (ms: number): void => {
      nowMs += ms;
      t.mock.timers.tick(ms);
    };
    const one = redaction({ now: () => nowMs });
    one.seal('c', CARD);
    pass(1_800_000);
    one.seal('d', CARD);
    pass(1_800_000);
    assert.equal(one.size, 1);
    one.seal('d', CARD); // again
    pass(1_800_000);
    assert.equal(one.size, 1);
    pass(1_800_000);
    assert.equal(one.size, 0);
  });

  it('knows values of at most 10,000 conversations, and 200 from each', () => {
    const one = redaction({ redact: emailAddresses });
    for (let count = 0; count < 10_001; count++) one.seal(`c-${count}`, 'ann@example.com');
    assert.equal(one.size, 10_000);
    const marks = Array.from({ length: 201 }, (_, index) => one.seal('c', `a${index}@example.com`));
    assert.throws(() => one.reveal('c', marks[0]), UnknownValueError);
    const known = one.reveal('c', [marks[1], marks[200]]);
    assert.deepEqual(known, ['a1@example.com', 'a200@example.com']);
  });

  it('uses the text that a function returns, and lets finders work on it', () => {
    const one = redaction({
      redact: [(text) => text.replaceAll(/\bKD-\d+\b/g, '[customer]'), cardNumbers],
    });
    const sealed = one.seal('c', `KD-77 pays with ${CARD}`);
    assert.match(sealed, /^\[customer\] pays with \[card [a-z]+\]$/);
  });

  it('accepts a user\'s finder, whose places may overlap and come in any order', () => {
    const order = {
      kind: 'order',
      find: (text: string) =>
        ['77', 'KD-77', '88'].map((part) => ({
          start: text.indexOf(part), end: text.indexOf(part) + part.length,
        })).reverse(),
    };
    const one = redaction({ redact: order });
    assert.match(one.seal('c', 'KD-77 and 88.'), /^\[order [a-z]+\] and \[order [a-z]+\]\.$/);
  });

  for (const [title, redact] of [
    ['throws', () => assert.fail('with the text')],
    ['returns no text', (() => undefined) as unknown as Redact],
    ['finds a value outside of the text', { kind: 'x', find: () => [{ start: 0, end: 99 }] }],
    ['finds an empty value', { kind: 'x', find: () => [{ start: 0, end: 0 }] }],
  ] as const) {
    it(`leaves the text out if the function or finder ${title}`, () => {
      const onFailure = mock.fn();
      const one = redaction({ redact, onFailure });
      assert.equal(one.seal('c', `my ${CARD}`), FAILED_TEXT);
      assert.equal(onFailure.mock.callCount(), 1);
    });
  }
});

describe('checkRedact', () => {
  for (const [redact, problem] of [
    [[], undefined],
    [cardNumbers, undefined],
    [[cardNumbers, (text: string) => text], undefined],
    ['cards', undefined],
    [['phones', (text: string) => text, 'cards', emailAddresses], undefined],
    [{}, 'names such as "cards", finders, or functions of text, got an object'],
    ['card', 'redact takes the names "emails", "ibans", "cards", "phones", got "card"'],
    [[null], 'or functions of text, got null'],
    [{ kind: 'Card 1', find: () => [] }, 'must be 1–24 characters of a-z and -'],
  ] as const) {
    const given = JSON.stringify(redact);
    it(`${problem === undefined ? 'accepts' : 'refuses'} ${given}`, () => {
      const check = (): void => checkRedact('agent "x":', redact as unknown as Redact);
      if (problem === undefined) assert.doesNotThrow(check);
      else assert.throws(check, (error: Error) => error.message.includes(problem));
    });
  }
});

describe('a placeholder', () => {
  it('replaces only marks, whatever surrounds them', () => {
    const letters = 'abcdefghijkl';
    const mark = markOf('card', letters);
    const named = (text: string): string =>
      withNames(text, new Set(['card', 'card-x']), (it) => (it === letters ? 'card 1' : undefined));
    for (const [text, expected] of [
      [`${mark}${mark}`, '[card 1][card 1]'],
      [`[${mark}]`, '[[card 1]]'],
      [`[card ${mark}`, '[card [card 1]'],
      ['[card [card abcdef]abcde]', '[card [card abcdef]abcde]'],
      [`[card [card abcde]${mark}`, '[card [card abcde][card 1]'],
      [markOf('card-x', letters), '[card 1]'],
      [markOf('card-y', letters), markOf('card-y', letters)],
      [markOf('card', letters.toUpperCase()), markOf('card', letters.toUpperCase())],
    ] as const) assert.equal(named(text), expected);
  });

  it('stands for a mark of twelve letters, whatever the bytes', () => {
    assert.equal(lettersFrom(Buffer.alloc(8)), 'aaaaaaaaaaaa');
    assert.match(lettersFrom(Buffer.alloc(32, 0xff)), /^[a-z]{12}$/);
  });

  it('has the next number of its kind', () => {
    const placeholders = { a: 'card 1', b: 'email 7', c: 'card 12', d: 'card-id 40' };
    assert.equal(nextName('card', placeholders), 'card 13');
    assert.equal(nextName('order', placeholders), 'order 1');
  });
});
