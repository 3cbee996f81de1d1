// The part of a reply's text that is meant for the caller. Servers of open models also pass on the
// model's thoughts and its template's control tokens as text.

import { apart } from '../../base/apart.ts';

/**
 * Marks that open a thought. One list serves all models, because none of these is ever meant to be
 * heard.
 */
const OPENINGS = [
  '<think>', // DeepSeek, Qwen, GLM, MiniMax, Nemotron
  '<thinking>',
  '<thought>', // Gemini
  '<seed:think>', // Seed-OSS
  '[THINK]', // Magistral
  '◁think▷', // Kimi-VL
  '<|begin_of_thought|>', // OpenThinker
  '<|START_THINKING|>', // Command A
  '<|channel>thought', // Gemma 4
  '<|channel|>analysis<|message|>', // gpt-oss
];

/** Marks that close a thought. Any of them closes any thought, because models mix them up. */
const CLOSINGS = [
  '</think>',
  '</thinking>',
  '</thought>',
  '</seed:think>',
  '[/THINK]',
  '◁/think▷',
  '<|end_of_thought|>',
  '<|END_THINKING|>',
  '<channel|>',
  '<|channel|>final<|message|>',
];

/** Control tokens without a bar. Those with a bar, like `<|im_end|>`, match `BARRED`. */
const TOKENS = [
  '<s>', '</s>', '<bos>', '<eos>', '<pad>', '<unk>',
  '<start_of_turn>', '<end_of_turn>', '[INST]', '[/INST]',
];

const BARRED = '<[|｜][^\\s<>|｜]{1,40}[|｜]?>|<[A-Za-z_]{1,40}\\|>';
const MARK = new RegExp(
  `(?<opening>${anyOf(OPENINGS)})|(?<closing>${anyOf(CLOSINGS)})|${anyOf(TOKENS)}|${BARRED}`,
  'g',
);
const CLOSING = new RegExp(anyOf(CLOSINGS), 'g');

const LITERALS = [...OPENINGS, ...CLOSINGS, ...TOKENS];
const BEGUN_BARRED =
  /^<(?:[|｜](?:[^\s<>|｜]{0,40}|[^\s<>|｜]{1,40}[|｜])|[A-Za-z_]{0,40}|[A-Za-z_]{1,40}\|)$/;
const MAX_BEGUN = 43;
const MARK_START = /[<[◁]/;
/** Maximum number of leading blanks that are kept, in UTF-16 code units. */
const MAX_LEADING_BLANKS = 4_096;

/**
 * Takes the text of one reply in pieces of any size and returns the caller's part: without thoughts
 * and control tokens. It holds back only what may be the start of such a mark, and leading blanks.
 *
 * Some templates put `<think>` into the prompt, so the reply contains only the `</think>`. The text
 * before that was a thought, but in a stream most of it has been spoken by then. Only the part in
 * the same piece of text is removed. With `beginsAsThought` all of it is removed.
 */
export class AnswerText {
  #isThought: boolean;
  /**
   * Whether the thought must be closed. A thought that only `beginsAsThought` presumed may be empty
   * and unclosed.
   */
  #mustClose = false;
  #hasThought: boolean;
  /** Text that may be the beginning of a mark. */
  #held = '';
  #blanks = '';
  #hasBegun = false;
  /** The piece that was returned last. */
  #last = '';
  /** Set from the removal of a thought until the next text. */
  #isTorn = false;
  #spokeThought = false;

  constructor(beginsAsThought: boolean) {
    this.#isThought = beginsAsThought;
    this.#hasThought = beginsAsThought;
  }

  /** Whether any text other than blanks has been returned. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether the reply is inside a thought that must be closed. */
  get isUnclosed(): boolean {
    return this.#isThought && this.#mustClose;
  }

  /**
   * Whether a `</think>` came too late: the thought before it had already been returned as text.
   */
  get spokeThought(): boolean {
    return this.#spokeThought;
  }

  push(text: string): string {
    if (text === '') return '';
    const isPlain = !this.#isThought && !this.#isTorn && this.#held === '' && this.#last !== '';
    if (!isPlain || MARK_START.test(text)) return this.#read(this.#held + text, false);
    this.#last = text;
    return text;
  }

  /** Returns the text held back, which can no longer become a mark. */
  end(): string {
    return this.#held === '' ? '' : this.#read(this.#held, true);
  }

  #read(pending: string, isEnd: boolean): string {
    const end = isEnd ? pending.length : startOfMark(pending);
    const text = pending.slice(0, end);
    this.#held = pending.slice(end);
    let spoken = '';
    for (let at = 0; at < text.length; ) {
      const marks = this.#isThought ? CLOSING : MARK;
      marks.lastIndex = at;
      const found = marks.exec(text);
      const before = text.slice(at, found?.index);
      if (this.#isThought) this.#mustClose ||= before.trim() !== '';
      else spoken = this.#add(spoken, before);
      if (found === null) break;
      at = marks.lastIndex;
      if (this.#isThought) this.#closeThought();
      else if (found.groups?.['opening'] !== undefined) this.#openThought();
      else if (found.groups?.['closing'] !== undefined && !this.#hasThought) {
        spoken = '';
        this.#closeUnopened();
      }
    }
    if (spoken !== '') this.#last = spoken;
    return spoken;
  }

  #openThought(): void {
    this.#isThought = true;
    this.#mustClose = true;
    this.#hasThought = true;
    this.#isTorn = true;
  }

  #closeThought(): void {
    this.#isThought = false;
    this.#isTorn = true;
  }

  #closeUnopened(): void {
    this.#spokeThought = this.#last !== '';
    this.#hasBegun = this.#spokeThought;
    this.#hasThought = true;
    this.#isTorn = true;
  }

  #add(spoken: string, text: string): string {
    if (text === '') return spoken;
    if (!this.#hasBegun) return this.#begin(text);
    const isTorn = this.#isTorn;
    this.#isTorn = false;
    // The last word before a thought must not stick to the first word after it.
    return spoken + (isTorn ? apart(text, spoken || this.#last) : text);
  }

  /**
   * Leading blanks wait for the first word. Those after a thought belong to the thought and are
   * dropped.
   */
  #begin(text: string): string {
    const blanks = this.#blanks;
    this.#blanks = '';
    if (text.trim() === '') {
      this.#blanks = (blanks + text).slice(0, MAX_LEADING_BLANKS);
      return '';
    }
    this.#hasBegun = true;
    const begun = this.#isTorn ? text.trimStart() : blanks + text;
    this.#isTorn = false;
    return begun;
  }
}

/** Where a mark, cut off by the end of the text, may begin. Otherwise the text's length. */
function startOfMark(text: string): number {
  for (let at = Math.max(0, text.length - MAX_BEGUN); at < text.length; at++) {
    if (!MARK_START.test(text.charAt(at))) continue;
    const begun = text.slice(at);
    const isBegun = LITERALS.some((mark) => mark.length > begun.length && mark.startsWith(begun));
    if (isBegun || BEGUN_BARRED.test(begun)) return at;
  }
  return text.length;
}

function anyOf(literals: readonly string[]): string {
  return literals.map((literal) => literal.replace(/[\\[\]|/]/g, '\\$&')).join('|');
}
