import { isUnspaced, isWord } from './characters.ts';
import { isEmoji, isPicture, isTextPicture } from './emoji.ts';

/**
 * The last step to speakable text. Takes code points one by one and removes emoji. Closes the gap
 * where something was removed, so that no double space and no space before punctuation is left.
 * White space waits for what follows it; everything else goes straight to the output.
 */
export class Tidy {
  #output = '';
  /** White space that waits for the next visible character. */
  #gap = '';
  /**
   * Set when something is removed, until the next visible character. The next four fields describe
   * that gap.
   */
  #isTorn = false;
  #lines = 0;
  #space = '';
  #hasSpaceAfter = false;
  #isCell = false;
  /** A text picture like ℹ: U+FE0F may follow, which makes it an emoji. */
  #held = '';
  /** Where we are in an emoji. U+200D joins pictures; inside Indic and Persian words it is kept. */
  #emoji: 'none' | 'picture' | 'joined' = 'none';
  #last = '';

  /** True while text without emoji can be passed on as a whole. */
  get isIdle(): boolean {
    return !this.#isTorn && this.#held === '';
  }

  /** True while no white space waits. */
  get isTight(): boolean {
    return this.#gap === '';
  }

  /** Takes a visible character. */
  put(c: string): void {
    const isPlain = c <= '\u00a9' && this.#emoji === 'none' && this.#held === '';
    if (isPlain || !this.#takesEmoji(c)) this.#say(c);
  }

  /** Takes a white space character. */
  space(c: string): void {
    this.#settleHeld();
    this.#emoji = 'none';
    if (!this.#isTorn) {
      if (this.#gap.length === MAX_GAP) {
        this.#output += this.#gap;
        this.#gap = '';
      }
      this.#gap += c;
    } else if (c === '\n') this.#lines++;
    else {
      this.#hasSpaceAfter = true;
      this.#space ||= c;
    }
  }

  /**
   * Takes text without emoji and line breaks, as if it came one character at a time. Call it only
   * while `isIdle`.
   */
  pass(text: string): void {
    const end = text.endsWith(' ') ? text.length - 1 : text.length;
    this.#output += this.#gap + text.slice(0, end);
    this.#gap = text.slice(end);
    this.#last = text.charAt(end - 1);
  }

  /** Something was removed here. */
  leaveOut(): void {
    this.#settleHeld();
    this.#tear();
  }

  /** A line ends here, unless it ends by itself. */
  breakLine(): void {
    this.leaveOut();
    this.#lines ||= 1;
  }

  /** A table cell ends here: a comma between two of the same line. */
  endCell(): void {
    this.leaveOut();
    this.#isCell = true;
  }

  /** Returns the output so far. */
  take(): string {
    const output = this.#output;
    this.#output = '';
    return output;
  }

  /** Call it at the end of the text: writes what is held back, and resets. */
  end(): void {
    this.#settleHeld();
    if (!this.#isTorn) this.#output += this.#gap;
    else if (this.#last !== '') this.#output += '\n'.repeat(Math.min(this.#lines, MAX_LINES));
    this.#resetTear();
    this.#gap = '';
    this.#emoji = 'none';
    this.#last = '';
  }

  /** Whether `c` is part of an emoji, or may begin one. */
  #takesEmoji(c: string): boolean {
    if (c === EMOJI_STYLE && this.#held !== '') {
      this.#held = '';
      this.#leaveOutEmoji();
      return true;
    }
    if (c === EMOJI_STYLE || c === TEXT_STYLE || c === KEYCAP) return true;
    this.#settleHeld();
    if (c === JOINER && this.#emoji !== 'none') {
      this.#emoji = 'joined';
      return true;
    }
    if (isEmoji(c) || (this.#emoji === 'joined' && isPicture(c))) {
      this.#leaveOutEmoji();
      return true;
    }
    this.#emoji = 'none';
    if (!isTextPicture(c)) return false;
    this.#held = c;
    return true;
  }

  #settleHeld(): void {
    if (this.#held === '') return;
    const held = this.#held;
    this.#held = '';
    this.#say(held);
  }

  #leaveOutEmoji(): void {
    this.#tear();
    this.#emoji = 'picture';
  }

  #tear(): void {
    if (!this.#isTorn) {
      this.#isTorn = true;
      for (const c of this.#gap) {
        if (c === '\n') this.#lines++;
        else this.#space ||= c;
      }
      this.#gap = '';
    }
    this.#hasSpaceAfter = false;
  }

  #say(c: string): void {
    if (this.#isTorn) {
      this.#output += this.#seam(c);
      this.#resetTear();
    } else if (this.#gap !== '') {
      this.#output += this.#gap;
      this.#gap = '';
    }
    this.#output += c;
    this.#last = c;
  }

  /** What is said in place of the gap before `next`. */
  #seam(next: string): string {
    if (this.#last === '') return '';
    if (this.#lines > 0) return '\n'.repeat(Math.min(this.#lines, MAX_LINES));
    if (this.#isCell) return PAUSES.includes(this.#last) ? ' ' : ', ';
    if (OPENING.includes(this.#last)) return ''; // "(🎉 party)": the space belonged to the emoji
    if (this.#space === '') return runsTogether(this.#last, next) ? ' ' : '';
    return this.#hasSpaceAfter || !CLOSING.includes(next) ? this.#space : '';
  }

  #resetTear(): void {
    this.#isTorn = false;
    this.#lines = 0;
    this.#space = '';
    this.#hasSpaceAfter = false;
    this.#isCell = false;
  }
}

/** Without its emoji "Done!🎉Next" would be read as one word. Chinese and Thai need no space. */
function runsTogether(last: string, next: string): boolean {
  if (isUnspaced(last) || isUnspaced(next)) return false;
  return isWord(next) && (isWord(last) || PAUSES.includes(last));
}

const JOINER = '\u200d';
const TEXT_STYLE = '\ufe0e';
const EMOJI_STYLE = '\ufe0f';
const KEYCAP = '\u20e3'; // 1️⃣ is "1", U+FE0F, U+20E3: the digit is spoken
/** Already heard as a pause. */
const PAUSES = '.,;:!?…。，！？；：';
const OPENING = '([{“‘«¿¡（「『';
const CLOSING = '.,;:!?)]}…%”’»。，、；：！？）」』،؛؟।';
/** More white space than this is passed on: nobody hears it, and memory stays bounded. */
const MAX_GAP = 64;
/** Line breaks kept around a removed block: at most one empty line. */
const MAX_LINES = 2;
