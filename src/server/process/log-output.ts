// Writes the log's lines to stdout. If the log cannot be written, lines are lost, but never calls.
// Whatever else the operator has to know goes to stderr.

import type { Writable } from 'node:stream';

/** One line on stderr. */
export function described(line: string): string {
  return `layercode-microserver: ${line}\n`;
}

export function tell(line: string): void {
  process.stderr.write(described(line));
}

interface LogOutputOptions {
  /** Where the lines are written: stdout. */
  readonly stream: Writable;
  /** Called once if lines are dropped, with the reason. */
  readonly complain: (reason: string) => void;
}

/**
 * Lines are written at the end of the event-loop turn, or earlier beyond this many UTF-16 code
 * units.
 */
const MAX_BATCH_LENGTH = 65_536;

/**
 * Beyond this, the reader has stopped or is too slow. Further lines are dropped until there is room
 * again.
 */
const MAX_UNWRITTEN_BYTES = 8_388_608;

/**
 * Collects lines and writes them once per event-loop turn, because one system call per line would
 * be expensive. Drops and counts the lines that the stream refuses or has no room for.
 */
export class LogOutput {
  readonly #stream: Writable;
  readonly #complain: (reason: string) => void;
  #held = '';
  #isScheduled = false;
  #droppedLines = 0;

  constructor({ stream, complain }: LogOutputOptions) {
    this.#stream = stream;
    this.#complain = complain;
    // Without a listener the process would end. The callback of each write reports what was lost.
    stream.on('error', () => undefined);
  }

  /** Takes whole lines. Never throws. */
  readonly write = (lines: string): void => {
    this.#held += lines;
    if (this.#held.length > MAX_BATCH_LENGTH) this.flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.flush);
    }
  };

  /** Writes the lines collected so far. Also for the end of the process. */
  readonly flush = (): void => {
    this.#isScheduled = false;
    const lines = this.#held;
    if (lines === '') return;
    this.#held = '';
    if (this.#stream.writableLength + lines.length > MAX_UNWRITTEN_BYTES) {
      this.#drop(lines, 'it is not read');
      return;
    }
    this.#stream.write(lines, (error) => {
      if (error) this.#drop(lines, 'code' in error ? String(error.code) : error.message);
    });
  };

  /** For the log, which reports it as a metric. */
  readonly linesDropped = (): number => this.#droppedLines;

  #drop(lines: string, reason: string): void {
    const isFirst = this.#droppedLines === 0;
    this.#droppedLines += lines.split('\n').length - 1;
    if (!isFirst) return;
    this.#complain(`the log cannot be written (${reason}): its lines are dropped, calls continue`);
  }
}
