import { lazyPattern } from '../../base/lazy-pattern.ts';

/** Beyond this many UTF-16 code units, a sentence is spoken as it arrives. */
const MAX_HELD = 2_000;

/** Quotation marks and brackets that belong to the sentence before them. */
const CLOSERS = `["'\\p{Pe}\\p{Pf}]*`;
/**
 * Where a sentence ends within a text: at a mark followed by white space, at a mark of a script
 * that needs no white space, or at a line break. "1." and "3." begin an item or a number.
 */
const END = lazyPattern(
  `(?:(?<!\\p{Nd})\\.|[!?…])${CLOSERS}(?=\\s)|(?![.!?])\\p{STerm}${CLOSERS}|\\n`, 'gu',
);
/** A sentence that is whole even though nothing follows. */
const WHOLE = lazyPattern(`(?:(?<!\\p{Nd})\\.|…|(?!\\.)\\p{STerm})${CLOSERS}\\s*$`, 'u');
/** How far before a new piece an end may begin: a mark with its closers. */
const LOOK_BACK = 4;

/**
 * Takes a model's texts in pieces of any size and returns them in whole sentences, so that an
 * unfinished one can be left out. No part of a text's first sentence is held back: without it there
 * would be no whole sentence to end with.
 */
export class SentenceEnds {
  /** The text since the end of the last sentence. */
  #sentence = '';
  /** How much of it has been returned. */
  #returned = 0;
  #isFirst = true;

  /** Returns what can be spoken now. */
  push(text: string): string {
    const from = Math.max(0, this.#sentence.length - LOOK_BACK);
    this.#sentence += text;
    let end = 0;
    const pattern = END();
    pattern.lastIndex = from;
    while (pattern.test(this.#sentence)) end = pattern.lastIndex;
    if (end > 0) this.#isFirst = false;
    const isHeld = !this.#isFirst && this.#sentence.length - end <= MAX_HELD;
    const ready = this.#return(isHeld ? Math.max(end, this.#returned) : this.#sentence.length);
    const kept = Math.max(end, this.#returned - LOOK_BACK);
    this.#sentence = this.#sentence.slice(kept);
    this.#returned = Math.max(0, this.#returned - kept);
    return ready;
  }

  /** Returns the rest of a text, unless the text `isCut` and the rest is not a whole sentence. */
  end(text: string, isCut: boolean): string {
    const ready = this.push(text);
    const isWhole = !isCut || WHOLE().test(this.#sentence);
    const rest = isWhole ? this.#return(this.#sentence.length) : '';
    this.#sentence = '';
    this.#returned = 0;
    this.#isFirst = true;
    return ready + rest;
  }

  #return(end: number): string {
    const ready = this.#sentence.slice(this.#returned, end);
    this.#returned = end;
    return ready;
  }
}
