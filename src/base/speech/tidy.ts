import { firstOf, isSpace, isUnspaced, isWord, lastOf } from './characters.ts';

/** A place where something was removed, up to the next visible character. */
interface Tear {
  /** Number of line breaks around it, at most two. */
  lines: number;
  /** The first other white space around it. */
  space: string;
  /** Whether white space follows what was removed last. */
  hasSpaceAfter: boolean;
  isCell: boolean;
}

/**
 * The last step to speakable text. Closes the gap where something was removed, so that no double
 * space and no space before punctuation is left. White space waits for what follows it; everything
 * else goes straight to the output.
 */
export class Tidy {
  #output = '';
  /** White space that waits for the next visible character. Empty while there is a tear. */
  #gap = '';
  #tear: Tear | undefined;
  #last = '';

  write(text: string): void {
    let start = 0;
    let end = text.length;
    while (start < end && isSpace(text.charAt(start))) start++;
    while (end > start && isSpace(text.charAt(end - 1))) end--;
    if (start > 0) this.#space(text.slice(0, start));
    if (start < end) this.#say(text.slice(start, end));
    if (end < text.length) this.#space(text.slice(end));
  }

  /**
   * Something was removed here. `line`: the line ends here, unless it has already ended. `cell`: a
   * table cell ends here; two on the same line get a comma between them.
   */
  leaveOut(end?: 'line' | 'cell'): void {
    const tear = this.#tear ?? { lines: 0, space: '', hasSpaceAfter: false, isCell: false };
    if (this.#tear === undefined) {
      this.#tear = tear;
      this.#space(this.#gap);
      this.#gap = '';
    }
    tear.hasSpaceAfter = false;
    if (end === 'line') tear.lines ||= 1;
    else if (end === 'cell') tear.isCell = true;
  }

  /** Returns the output so far. */
  take(): string {
    const output = this.#output;
    this.#output = '';
    return output;
  }

  /** Returns the output with what was held back, at the end of the text. */
  end(): string {
    const lines = this.#last === '' ? 0 : (this.#tear?.lines ?? 0);
    return this.#output + this.#gap + '\n'.repeat(lines);
  }

  #space(text: string): void {
    const tear = this.#tear;
    for (let c of text) {
      if (c === '\t') c = ' ';
      if (tear === undefined) this.#gap += this.#gap.length < MAX_GAP ? c : '';
      else if (c === '\n') tear.lines = Math.min(tear.lines + 1, MAX_LINES);
      else {
        tear.hasSpaceAfter = true;
        tear.space ||= c;
      }
    }
  }

  /** `text` begins and ends with a visible character. */
  #say(text: string): void {
    this.#output += this.#tear === undefined ? this.#gap : this.#seam(this.#tear, firstOf(text));
    this.#output += text;
    this.#gap = '';
    this.#tear = undefined;
    this.#last = lastOf(text);
  }

  /** What is said in place of a tear before `next`. */
  #seam(tear: Tear, next: string): string {
    const last = this.#last;
    if (last === '') return '';
    if (tear.lines > 0) return '\n'.repeat(tear.lines);
    if (tear.isCell) return PAUSES.includes(last) ? ' ' : ', ';
    if (OPENING.includes(last)) return ''; // "(🎉 party)": the space belonged to the emoji
    if (tear.space === '') return runsTogether(last, next) ? ' ' : '';
    return tear.hasSpaceAfter || !CLOSING.includes(next) ? tear.space : '';
  }
}

/** Without its emoji "Done!🎉Next" would be read as one word. Chinese and Thai need no space. */
function runsTogether(last: string, next: string): boolean {
  if (isUnspaced(last) || isUnspaced(next)) return false;
  return isWord(next) && (isWord(last) || PAUSES.includes(last));
}

/** Already heard as a pause. */
const PAUSES = '.,;:!?…。，！？；：';
const OPENING = '([{“‘«¿¡（「『';
const CLOSING = '.,;:!?)]}…%”’»。，、；：！？）」』،؛؟।';
/** More white space in a row is dropped: nobody hears it, and memory stays bounded. */
const MAX_GAP = 64;
/** Line breaks kept around a removed block: at most one empty line. */
const MAX_LINES = 2;
