// E-mail addresses as they are said, `ann dot lee at example dot com`, and typed with blanks.

import { lazyPattern } from '../../base/lazy-pattern.ts';
import { DIGIT_WORDS } from './digit-words.ts';
import { anyWordOf, type FindingSteps, type FoundValue } from './finder.ts';

/** How much of a text is examined on each side of an "at", in UTF-16 code units. */
const NEAR = 160;
/** How many words without a sign between them may make up a name, or a part of a domain. */
const MOST_WORDS = 3;

const AT = /(?<=\s)@|@(?=\s)|[([{]\s?at\s?[)\]}]|(?<![a-z\d])at(?![a-z\d'\u2019])/gi;

const DOT = /\.|\b(?:dot|point|period)\b/i;

/** Signs in an address, by how they are said. */
const SIGNS: ReadonlyMap<string, string> = new Map([
  ['dot', '.'], ['point', '.'], ['period', '.'], ['.', '.'], ['underscore', '_'], ['_', '_'],
  ['dash', '-'], ['hyphen', '-'], ['minus', '-'], ['-', '-'], ['plus', '+'], ['+', '+'],
]);

/** What may come before an address without being part of it. */
const NO_NAME = new RegExp(
  `^${anyWordOf(`
    is its it s at a an the and or to my your his her our their me email emails mail e address under
    on use for with from of as be can you i we they he she was were please hi hello name reach
    called says just spelled spelt then um uh er copy cc via that thats this sure yes yeah no ok
    okay so well write send contact by not new old are am also but in would will should could have
    has
  `)}$`,
);
/** What comes before an "at" that means a place. */
const NO_ADDRESSEE = new RegExp(
  `^${anyWordOf(`
    us me him it them i you we they he she the a an and or to my your not are am also by of in on
    look looks looking looked shop shops online order available visit find found site website
    webpage page store live here there out see go come back buy sold more details start starts
    everything is was be meet stay book booking read check learn now today up off over down
  `)}$`,
);
/** Before a single word, these mean a place, too: "our menu at". */
const OF_PLACE = new RegExp(
  `^${anyWordOf('our the your their a an its this that every each any')}$`, 'i',
);
/** Domain endings before which a full stop may have a blank on one side. */
const TOP_LEVEL = new RegExp(
  `^${anyWordOf('com org net info io dev eu de uk fr es it nl at ch me co us ca au edu gov')}$`,
  'i',
);
/** A word of letters and digits, a sign in brackets, or another sign. */
const TOKEN = lazyPattern(
  String.raw`[([{]\s?(dot|point|\.)\s?[)\]}]|[\p{L}\d]+(?:['\u2019][a-z]+)?|[^\s]`, 'giu',
);
const WORD = lazyPattern(String.raw`^[\p{L}\d]`, 'u');
const LETTER = lazyPattern(String.raw`^\p{L}$`, 'u');
/** The last part of a domain. */
const LAST_LABEL = lazyPattern(String.raw`(?:^|\.)\p{L}{2,24}$`, 'u');

interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The addresses in a text, in order, except those that are written without blanks. */
export function* spokenAddressesIn(text: string): FindingSteps {
  let from = 0;
  for (const { 0: sign, index } of text.matchAll(AT)) {
    yield;
    if (index < from) continue;
    const isSign = !/^at$/i.test(sign);
    const end = index + sign.length;
    if (!DOT.test(text.slice(end, end + NEAR))) continue;
    const domain = domainAfter(tokensOf(text.slice(end, end + NEAR), end));
    if (domain === undefined) continue;
    const start = Math.max(from, index - NEAR);
    const name = nameBefore(tokensOf(text.slice(start, index), start), isSign);
    if (name === undefined) continue;
    from = domain.end;
    const value = `${name.value}@${domain.value}`.toLowerCase();
    yield { start: name.start, end: domain.end, value };
  }
}

/** Words and signs. Anything else ends an address, and gets a token of its own. */
function tokensOf(text: string, offset: number): readonly Token[] {
  return [...text.matchAll(TOKEN())].map(({ 0: found, 1: inside, index }) => ({
    text: inside ?? found, start: offset + index, end: offset + index + found.length,
  }));
}

function isWord({ text }: Token): boolean {
  return WORD().test(text) && !SIGNS.has(text.toLowerCase());
}

/** Digits for words that stand for digits. */
function writtenOf(text: string): string {
  const said = DIGIT_WORDS.get(text.toLowerCase());
  if (said?.kind === 'digits') return said.digits.join('');
  return said?.kind === 'tens' ? `${said.tens}0` : text;
}

type Piece = FoundValue & { readonly value: string };

/** Labels and dots, with at least one dot. */
function domainAfter(tokens: readonly Token[]): Piece | undefined {
  let value = '';
  let words = 0;
  let found: Piece | undefined;
  const [first] = tokens;
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    const sign = SIGNS.get(token.text.toLowerCase());
    if (sign !== undefined && /^[-_.]$/.test(sign)) {
      if (value === '' || next === undefined || !isWord(next)) break;
      // A full stop ends the sentence, unless there are blanks on both sides of it or on neither.
      const isOpen = token.start > (tokens[index - 1]?.end ?? 0) === next.start > token.end;
      if (token.text === '.' && !isOpen && !TOP_LEVEL.test(next.text)) break;
      value += sign;
      words = 0;
    } else if (isWord(token)) {
      const isLast = value.includes('.') && words === 1;
      const isSpelt = token.text.length === 1 && (tokens[index - 1]?.text.length ?? 0) === 1;
      if (isLast && !isSpelt) break;
      if (words >= MOST_WORDS && !isSpelt) break;
      value += writtenOf(token.text);
      if (!isSpelt) words += 1;
      if (value.includes('.') && LAST_LABEL().test(value))
        found = { value, start: first?.start ?? 0, end: token.end };
    } else break;
  }
  return found;
}

/** A name made up of spoken words, letters and signs. */
function nameBefore(tokens: readonly Token[], isSign: boolean): Piece | undefined {
  let value = '';
  let start: number | undefined;
  let words = 0;
  let isJoined = true;
  const end = tokens.at(-1)?.end ?? 0;
  for (let index = tokens.length - 1; index >= 0; index--) {
    const token = tokens[index];
    if (token === undefined) break;
    const lower = token.text.toLowerCase().replace(/['\u2019]/, '');
    const sign = SIGNS.get(lower);
    if (sign !== undefined) {
      const before = tokens[index - 1];
      if (value === '' || before === undefined || !isWord(before)) break;
      const next = tokens[index + 1];
      const isOpen = before.end < token.start && next !== undefined && token.end < next.start;
      // Otherwise a full stop ends a sentence.
      if (lower === '.' && before.end !== token.start && !isOpen) break;
      value = sign + value;
      isJoined = true;
      continue;
    }
    if (token.text === ',' && (isLetterAt(tokens, index - 1) || spelledOut(tokens, index - 1)))
      continue;
    if (!isWord(token)) break;
    if (spelledOut(tokens, index)) {
      value = (tokens[index - 3]?.text ?? '') + value;
      start = tokens[index - 3]?.start;
      index -= 3;
      isJoined = false;
      continue;
    }
    const isLetter = token.text.length === 1;
    if (!isJoined && !isLetter && (NO_NAME.test(lower) || words >= MOST_WORDS)) break;
    if (value === '' && !isSign && NO_ADDRESSEE.test(lower)) return undefined;
    if (isLetter && !isJoined && NO_NAME.test(lower) && !isSpelling(tokens, index)) break;
    const written = writtenOf(token.text);
    // "eighty four"
    value = /^[2-9]0$/.test(written) && /^[1-9](?!\d)/.test(value)
      ? written.charAt(0) + value
      : written + value;
    start = token.start;
    if (!isLetter && !DIGIT_WORDS.has(lower)) words += 1;
    isJoined = false;
  }
  if (start === undefined || value === '') return undefined;
  const isPlain = words === 1 && tokens.at(-1)?.start === start && !isSign;
  const [before] = tokens.slice(-2);
  // "our menu at" is a place.
  if (isPlain && before?.start !== start && OF_PLACE.test(before?.text ?? '')) return undefined;
  return { value, start, end };
}

/** `d as in david`. */
function spelledOut(tokens: readonly Token[], index: number): boolean {
  const [letter, as, like] = tokens.slice(Math.max(0, index - 3), index);
  const said = `${as?.text} ${like?.text}`.toLowerCase();
  return letter?.text.length === 1 && said === 'as in';
}

/** Whether a letter is next to another one. */
function isSpelling(tokens: readonly Token[], index: number): boolean {
  return isLetterAt(tokens, index - 1) || isLetterAt(tokens, index + 1);
}

function isLetterAt(tokens: readonly Token[], index: number): boolean {
  return LETTER().test(tokens[index]?.text ?? '');
}
