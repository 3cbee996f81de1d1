// Where the log's lines leave the process. A log that cannot be written costs lines, never calls.

import type { Writable } from 'node:stream';

import { Gauge, type Metrics } from '../metrics.ts';

export interface LogOutputOptions {
  /** Takes the lines: stdout. */
  readonly stream: Writable;
  /** Is told, once, that lines are dropped and why. */
  readonly complain: (reason: string) => void;
}

/** Lines are handed over at the end of the event-loop turn, or sooner beyond so many code units. */
const MAX_BATCH_LENGTH = 65_536;

/** Beyond it nobody reads, or too slowly: further lines are dropped until there is room again. */
const MAX_UNWRITTEN_BYTES = 8_388_608;

/**
 * Collects lines and writes them once per event-loop turn, as a system call per line would be a
 * good part of a turn's cost. Drops and counts the lines that the stream refuses or has no room
 * for.
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
    // The callback of each write knows what was lost. Without a listener the process would end.
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

  /** Hands over what is held: also for the end of the process. */
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

  /** Adds the count of dropped lines to the metrics. */
  addTo(metrics: Metrics): void {
    const name = 'layercode_log_lines_dropped_total';
    const help = 'Log lines dropped because the log could not be written.';
    metrics.add(new Gauge(name, help, () => this.#droppedLines, 'counter'));
  }

  #drop(lines: string, reason: string): void {
    const isFirst = this.#droppedLines === 0;
    this.#droppedLines += lines.split('\n').length - 1;
    if (!isFirst) return;
    this.#complain(`the log cannot be written (${reason}): its lines are dropped, calls go on`);
  }
}
