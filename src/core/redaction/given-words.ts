import { isPlaceholderAt } from './placeholder.ts';

/** What may stand between the characters of a value that has digits: it is written in groups. */
const BETWEEN = String.raw`[\s._/-]{0,2}`;
const [NOT_AFTER_LETTER, NOT_BEFORE_LETTER] = [
  String.raw`(?<![\p{L}\p{N}_])`, String.raw`(?![\p{L}\p{N}_])`,
];

/**
 * Values that have letters. Those without digits, such as names, are found only in their own
 * spelling: "Will" is also a word.
 */
export class GivenWords {
  readonly #inGroups = new Alternatives('giu', (value) =>
    value.replace(/[^\p{L}\p{N}]/gu, '').toLowerCase());
  readonly #asWritten = new Alternatives('gu', (value) => value.trim().replace(/\s+/g, ' '));

  add(mark: string, value: string): void {
    if (/\p{N}/u.test(value) && !value.includes('@')) {
      const characters = value.match(/[\p{L}\p{N}]/gu) ?? [];
      this.#inGroups.add(mark, value, characters.map(escaped).join(BETWEEN));
    } else {
      const words = value.trim().split(/\s+/);
      this.#asWritten.add(mark, value, words.map(escaped).join(String.raw`\s+`));
    }
  }

  /** A text with marks in place of the values that stand alone in it. */
  withMarks(text: string): string {
    return this.#asWritten.withMarks(this.#inGroups.withMarks(text));
  }
}

class Alternatives {
  readonly #flags: string;
  /** Equal for all spellings of a value. */
  readonly #keyOf: (value: string) => string;
  readonly #marks = new Map<string, string>();
  readonly #patterns: string[] = [];
  #any: RegExp | undefined;

  constructor(flags: string, keyOf: (value: string) => string) {
    this.#flags = flags;
    this.#keyOf = keyOf;
  }

  add(mark: string, value: string, pattern: string): void {
    this.#marks.set(this.#keyOf(value), mark);
    this.#patterns.push(pattern);
    // Of two values that begin alike, the longer one comes first.
    this.#patterns.sort((a, b) => b.length - a.length);
    const any = `(?:${this.#patterns.join('|')})`;
    this.#any = new RegExp(NOT_AFTER_LETTER + any + NOT_BEFORE_LETTER, this.#flags);
  }

  withMarks(text: string): string {
    if (this.#any === undefined) return text;
    return text.replace(this.#any, (found, at: number) =>
      isPlaceholderAt(text, at - 1) ? found : (this.#marks.get(this.#keyOf(found)) ?? found));
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}
