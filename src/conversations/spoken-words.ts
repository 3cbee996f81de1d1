// Compares a text with what a platform says of it. Platforms rewrite texts for speech, so only
// letters and digits count, and case does not.

/** Beyond that texts are not compared, in UTF-16 code units. */
const LONGEST = 65_536;
/** How many words may be missing before one that is found. */
const MOST_SKIPPED = 12;

/** The letters and digits of a text, in lower case. Tags are left out. */
export function lettersOf(text: string): string {
  return text
    .slice(0, LONGEST)
    .replace(/<[^<>]*>/g, ' ')
    .normalize('NFC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '');
}

/** Whether two texts say the same. Texts without letters and digits must be equal. */
export function saysSame(a: string, b: string): boolean {
  if (a === b) return true;
  const letters = lettersOf(a);
  return letters !== '' && letters === lettersOf(b);
}

/** Whether `start` says the beginning of what `text` says, but not all of it. */
export function saysLess(start: string, text: string): boolean {
  const [short, long] = [lettersOf(start), lettersOf(text)];
  return short !== '' && short.length < long.length && long.startsWith(short);
}

/**
 * How much of a reply a platform's text covers, in UTF-16 code units: all of it if the text says
 * the same and perhaps more, otherwise up to the last word of it. A text that was rewritten covers
 * the reply up to the last word found, if most of its words are there, in order. Undefined if the
 * text is not about this reply.
 */
export function coveredBy(told: string, reply: string): number | undefined {
  if (told === reply) return reply.length;
  const [theirs, ours] = [lettersOf(told), lettersOf(reply)];
  if (theirs === '' || ours === '') return undefined;
  if (theirs.startsWith(ours)) return reply.length;
  if (ours.startsWith(theirs)) return endOfLetters(reply, theirs.length);
  return endOfRewritten(told, reply);
}

/** The text behind its first `count` letters and what is attached to them. */
export function withoutLetters(text: string, count: number): string {
  return text.slice(endOfLetters(text, count)).trimStart();
}

/** Where the word ends that has the letter of this number, counted from 1. */
function endOfLetters(text: string, count: number): number {
  let letters = 0;
  for (const word of wordsIn(text)) {
    letters += word.letters.length;
    const surplus = letters - count;
    if (surplus === 0) return word.end;
    if (surplus > 0) {
      const cut = text.slice(word.start, word.end);
      return word.start + endInWord(cut, word.letters.length - surplus);
    }
  }
  return text.length;
}

/** The same in a word that was cut. Signs in it do not count, and marks belong to their letter. */
function endInWord(word: string, count: number): number {
  let letters = 0;
  for (const { 0: character, index } of word.matchAll(/\P{M}\p{M}*/gu)) {
    letters += lettersOf(character).length;
    if (letters >= count) return index + character.length;
  }
  return word.length;
}

function endOfRewritten(told: string, reply: string): number | undefined {
  const ours = [...wordsIn(reply)];
  const theirs = [...wordsIn(told)];
  let next = 0;
  let found = 0;
  for (const { letters } of theirs) {
    for (let index = next; index < Math.min(ours.length, next + MOST_SKIPPED + 1); index++) {
      if (ours[index]?.letters !== letters) continue;
      next = index + 1;
      found += 1;
      break;
    }
  }
  if (found * 2 <= theirs.length) return undefined;
  return next === ours.length ? reply.length : ours[next - 1]?.end;
}

interface Word {
  readonly letters: string;
  readonly start: number;
  readonly end: number;
}

/** The words of a text that have letters, in order. */
function* wordsIn(text: string): Generator<Word, void, undefined> {
  for (const match of text.slice(0, LONGEST).matchAll(/<[^<>]*>|[^\s<]+|</g)) {
    const [word] = match;
    const letters = lettersOf(word);
    if (letters !== '')
      yield { letters, start: match.index, end: match.index + word.length };
  }
}
