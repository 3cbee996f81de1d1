import { Duplex } from 'node:stream';

import { formatTurnRequest } from './turn-request.ts';

type Done = (error?: Error | null) => void;

/** The end of a chunked answer. */
const LAST_CHUNK = '0\r\n\r\n';

/**
 * A caller, as the server's end of a connection without a kernel: the server's parser reads what
 * the caller asks, and what the server writes arrives at once.
 */
export class ModelCaller extends Duplex {
  /** When the first spoken text of this turn was written. 0 before that. */
  heardAtMs = 0;
  /** When the server last wrote. */
  lastWrittenAtMs = 0;
  isAnswered = false;
  readonly #conversationId: string;
  #turns = 0;
  #written: (string | Buffer)[] = [];

  constructor(conversationId: string) {
    super({ decodeStrings: false });
    this.#conversationId = conversationId;
  }

  /** Sends the event of the next turn. */
  ask(text: string): void {
    this.heardAtMs = 0;
    this.isAnswered = false;
    this.#written = [];
    this.#turns += 1;
    const conversationId = this.#conversationId;
    const turnId = `turn_${conversationId}_${this.#turns}`;
    this.push(Buffer.from(formatTurnRequest({ conversationId, turnId, text })));
  }

  /** What the server has written in this turn. */
  get answer(): string {
    return this.#written.map(String).join('');
  }

  override _read(): void {}

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#take(chunk);
    done();
  }

  override _writev(chunks: { chunk: string | Buffer }[], done: Done): void {
    for (const { chunk } of chunks) this.#take(chunk);
    done();
  }

  #take(chunk: string | Buffer): void {
    this.lastWrittenAtMs = performance.now();
    this.#written.push(chunk);
    if (this.heardAtMs === 0 && chunk.includes('"response.tts"')) {
      this.heardAtMs = this.lastWrittenAtMs;
    }
    if (chunk.length < 256 && String(chunk).endsWith(LAST_CHUNK)) this.isAnswered = true;
  }
}

/** The words of an answer. */
export function wordsIn(answer: string): string {
  return [...answer.matchAll(/^data: (\{.*\})$/gm)]
    .map(([, json = '']) => JSON.parse(json) as { type: string; content?: string })
    .map(({ type, content = '' }) => (type === 'response.tts' ? content : ''))
    .join('');
}
