// Decodes event streams; encode.ts is the counterpart. Specified by
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

/** An event as a client dispatches it. `event` is `message` if the stream gave it no name. */
export interface DecodedEvent {
  readonly event: string;
  readonly data: string;
}

/**
 * Decodes one event stream from chunks of any size. A chunk may end inside a code point, a line, or
 * a `\r\n`.
 *
 * `push` returns the events that the chunk completes. As the standard says, an event is complete
 * only after its blank line. Comments, `id` and `retry` are skipped. Throws a `RangeError` if an
 * event exceeds its bound.
 */
export class SseDecoder {
  readonly #maxEventLength: number;
  /**
   * `ignoreBOM` keeps a BOM in the text, and `push` removes it: Node 24 removes a second BOM too if
   * the first was split between chunks.
   */
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Set by the first character: a BOM is allowed only before it. */
  #hasBegun = false;
  #line = '';
  #event = '';
  #data: string | undefined;
  /**
   * Set after a `\r` at the end of a chunk: its `\n` may follow, and is part of the same line end.
   */
  #skipLineFeed = false;

  /** `maxEventLength`: the length of all lines of an event, in UTF-16 code units, inclusive. */
  constructor(maxEventLength = 1_048_576) {
    this.#maxEventLength = maxEventLength;
  }

  push(chunk: Uint8Array): DecodedEvent[] {
    let text = this.#utf8.decode(chunk, { stream: true });
    if (!this.#hasBegun && text !== '') {
      this.#hasBegun = true;
      if (text.charCodeAt(0) === BYTE_ORDER_MARK) text = text.slice(1);
    }
    const events: DecodedEvent[] = [];
    let start = 0;
    if (text !== '' && this.#skipLineFeed) {
      if (text.charCodeAt(0) === LINE_FEED) start = 1;
      this.#skipLineFeed = false;
    }
    // Not character by character: a model sends hundreds of them with each word.
    let lineFeed = find('\n', text, start);
    let carriageReturn = find('\r', text, start);
    for (;;) {
      const end = Math.min(lineFeed, carriageReturn);
      if (end === text.length) break;
      this.#endLine(this.#line + text.slice(start, end), events);
      this.#line = '';
      start = end + 1;
      if (end === carriageReturn) {
        if (start === text.length) this.#skipLineFeed = true;
        else if (start === lineFeed) start++;
        carriageReturn = find('\r', text, start);
      }
      if (lineFeed < start) lineFeed = find('\n', text, start);
    }
    this.#line += text.slice(start);
    this.#checkLength(this.#line.length);
    return events;
  }

  /**
   * The event left without its blank line at the end of the stream, as a list of one or none. The
   * standard drops it, because it may be cut off. For servers that omit the last blank line.
   */
  unfinished(): DecodedEvent[] {
    const events: DecodedEvent[] = [];
    const line = this.#line + this.#utf8.decode();
    this.#line = '';
    if (line !== '') this.#endLine(line, events);
    this.#endLine('', events);
    return events;
  }

  #endLine(line: string, events: DecodedEvent[]): void {
    if (line === '') {
      if (this.#data !== undefined) {
        events.push({ event: this.#event || 'message', data: this.#data });
      }
      this.#event = '';
      this.#data = undefined;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value =
      colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') {
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    }
    this.#checkLength(0);
  }

  #checkLength(pending: number): void {
    if (pending + this.#event.length + (this.#data?.length ?? 0) > this.#maxEventLength) {
      throw new RangeError(
        `an event of the stream is longer than ${this.#maxEventLength} characters`,
      );
    }
  }
}

const BYTE_ORDER_MARK = 0xfeff;
const LINE_FEED = 10;
const SPACE = 32;

/**
 * Decodes a whole byte stream, for example a `fetch` body. Stopping the iteration cancels the
 * stream.
 */
export async function* decodeEvents(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<DecodedEvent, void, undefined> {
  const decoder = new SseDecoder();
  for await (const chunk of chunks) yield* decoder.push(chunk);
}

/** Where the character comes next. The text's length if it does not. */
function find(character: string, text: string, start: number): number {
  const at = text.indexOf(character, start);
  return at === -1 ? text.length : at;
}
