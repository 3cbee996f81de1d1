import { firstOf } from './characters.ts';
import type { Dropper } from './dropped-text.ts';

// Last parts of a mark: what must follow it. The end of the text is a blank.
export const NEXT = /(?=[^])/;
export const BLANK = /(?=[\s\0])/;
export const LINE_END = /(?=[\n\0])/;

/** A mark and what it means. `T` is its reader. */
export type Row<T> = readonly [
  /** The characters that the mark can begin with; '' for all that no other row has. */
  first: string,
  mark: RegExp,
  /** Called when the mark has been passed. Returns false if it is not one after all. */
  read: (reader: T, text: string, group: string) => void | false,
  /** Whether the mark can be here. */
  canBegin?: (reader: T) => boolean,
];

/** Rows by the first character of their marks. Earlier rows take precedence. */
export type Table<T> = ReadonlyMap<string, readonly Row<T>[]>;

/** The text received but not yet read, whose end may be in the middle of a mark. */
export class Scanner {
  #text = '';
  #at = 0;
  #dropper: Dropper | undefined;

  add(text: string): void {
    this.#text = this.#text.slice(this.#at) + text;
    this.#at = 0;
  }

  /** Whether nothing is held back or dropped. */
  get isIdle(): boolean {
    return this.#dropper === undefined && this.#at === this.#text.length;
  }

  /** Drops what must be dropped. Returns whether text is left. */
  skipDropped(): boolean {
    while (this.#dropper !== undefined && this.#at < this.#text.length) {
      const again = this.#dropper(this.take());
      if (again === undefined) continue;
      this.#dropper = undefined;
      this.again(again);
    }
    return this.#at < this.#text.length;
  }

  /** The next character; '' if there is none yet. */
  get next(): string {
    return firstOf(this.#text, this.#at);
  }

  /** Returns the next character and passes it. */
  take(): string {
    const c = this.next;
    this.#at += c.length;
    return c;
  }

  /** Returns the text before the next match of a global pattern without width, and passes it. */
  takeUntil(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const end = pattern.test(this.#text) ? pattern.lastIndex : this.#text.length;
    const text = this.#text.slice(this.#at, end);
    this.#at = end;
    return text;
  }

  /** Puts text in front of what is left. */
  again(text: string): void {
    if (text === '') return;
    this.#text = text + this.#text.slice(this.#at);
    this.#at = 0;
  }

  /** Drops the next characters until `dropper` says that they end. */
  drop(dropper: Dropper): void {
    this.#dropper = dropper;
  }

  /** Reads a mark of a table. Returns false if there is none, undefined if there may be one. */
  read<T>(table: Table<T>, reader: T): boolean | undefined {
    const start = this.#at;
    for (const [, mark, read, canBegin] of table.get(this.next) ?? table.get('') ?? []) {
      if (canBegin?.(reader) === false) continue;
      mark.lastIndex = start;
      const found = mark.exec(this.#text);
      if (found === null) continue;
      if (found.at(-1) === undefined) return undefined;
      this.#at = mark.lastIndex;
      if (read(reader, found[0], found[1] ?? '') !== false) return true;
      this.#at = start;
    }
    return false;
  }
}

/** A part of a mark: characters, or the source of a pattern. */
export type Part = string | { readonly source: string };

/**
 * A mark that consists of parts. It also matches the beginning of a mark at the end of the text, in
 * which case its last group is undefined.
 */
export function mark(...parts: readonly Part[]): RegExp {
  return new RegExp(soFar(parts, '()'), 'iuy');
}

/** A part that is one of several words. */
export function anyOf(...words: readonly string[]): Part {
  return { source: words.map((word) => soFar([word], '')).join('|') };
}

function soFar(parts: readonly Part[], end: string): string {
  const escape = (c: string): string => c.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
  return parts
    .flatMap((part) => (typeof part === 'string' ? [...part].map(escape) : `(?:${part.source})`))
    .reduceRight((rest, part) => (rest === '' ? part : `${part}(?:${rest}|$)`), end);
}

export function tableOf<T>(rows: readonly Row<T>[]): Table<T> {
  const table = new Map<string, Row<T>[]>();
  for (const row of rows) {
    for (const c of row[0] || ['']) table.set(c, [...(table.get(c) ?? []), row]);
  }
  return table;
}
