// One record a line, for machines (JSON) or for eyes (pretty).

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  isEnabled(level: LogLevel): boolean;
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Lowest level that is written; `silent` writes nothing. Default `info`. */
  readonly level?: LogLevel | 'silent';
  /** Default `json`. */
  readonly format?: 'json' | 'pretty';
  /** Values that no line may show, wherever they turn up. */
  readonly secrets?: readonly string[];
  /** Takes whole lines, each with its `\n`. */
  readonly write: (lines: string) => void;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Longest line, in UTF-16 code units, its `\n` not counted. A longer record is cut and marked `"truncated":true`. */
export const MAX_LINE_LENGTH = 8_192;
const MAX_TEXT_LENGTH = 2_048;

const RANK = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 } as const;

/**
 * Makes a logger. A record is `{time, level, msg, …fields}`; an `Error` among the fields is written as name, message,
 * code, stack and cause. What is undefined is left out; what cannot be written as JSON is named instead of thrown over.
 */
export function createLogger({ level = 'info', format = 'json', secrets = [], write, now = Date.now }: LoggerOptions): Logger {
  const lowest = RANK[level];
  const hidden = secrets.filter((secret) => secret !== '');
  const formatLine = format === 'json' ? jsonLine : prettyLine;
  const clock = isoClock(now);
  return new LineLogger(lowest, (level, message, fields) => {
    let line = formatLine(clock(), level, message, fields);
    for (const secret of hidden) if (line.includes(secret)) line = line.replaceAll(secret, '[redacted]');
    write(`${line}\n`);
  });
}

/** A class, because every request makes a child: a literal with its six closures costs ten times as much. */
class LineLogger implements Logger {
  readonly #lowest: number;
  readonly #write: (level: LogLevel, message: string, fields: LogFields | undefined) => void;
  readonly #bound: LogFields | undefined;

  constructor(lowest: number, write: (level: LogLevel, message: string, fields: LogFields | undefined) => void, bound?: LogFields) {
    this.#lowest = lowest;
    this.#write = write;
    this.#bound = bound;
  }

  debug(message: string, fields?: LogFields): void {
    this.#log('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#log('error', message, fields);
  }

  isEnabled(level: LogLevel): boolean {
    return RANK[level] >= this.#lowest;
  }

  child(fields: LogFields): Logger {
    return new LineLogger(this.#lowest, this.#write, { ...this.#bound, ...fields });
  }

  #log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (RANK[level] >= this.#lowest) this.#write(level, message, this.#bound === undefined ? fields : { ...this.#bound, ...fields });
  }
}

/** ISO time, formatted once a millisecond: on a busy server many lines share one. */
function isoClock(now: () => number): () => string {
  let last = Number.NaN;
  let text = '';
  return () => {
    const time = now();
    if (time !== last) text = new Date((last = time)).toISOString();
    return text;
  };
}

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields | undefined): string {
  const record = (rest: string): string => `{"time":"${time}","level":"${level}","msg":${jsonText(message)}${rest}}`;
  let rest = '';
  for (const name in fields) {
    const value = jsonValue(fields[name]);
    if (value !== undefined) rest += nameInJson(name) + value;
  }
  const line = record(rest);
  if (line.length <= MAX_LINE_LENGTH) return line;
  // Whole fields, as many as fit: half a field would be broken JSON.
  let kept = ',"truncated":true';
  for (const name in fields) {
    const field = `${nameInJson(name)}${jsonValue(fields[name]) ?? 'null'}`;
    if (record(kept).length + field.length <= MAX_LINE_LENGTH) kept += field;
  }
  return record(kept);
}

function prettyLine(time: string, level: LogLevel, message: string, fields: LogFields | undefined): string {
  let line = `${time.slice(11, 23)} ${level.padEnd(5)} ${visible(message)}`;
  for (const name in fields) {
    const value = jsonValue(fields[name]);
    if (value === undefined) continue;
    const text = /^"[\w.:/@-]+"$/.test(value) ? value.slice(1, -1) : value;
    line += ` ${name}=${text}`;
  }
  return line.length <= MAX_LINE_LENGTH ? line : `${line.slice(0, MAX_LINE_LENGTH - 1)}…`;
}

/** Text as one line: a line break or an escape sequence from outside must not draw on somebody's terminal. */
function visible(text: string): string {
  return cut(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => JSON.stringify(character).slice(1, -1));
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH)}…`;
}

/** Printable ASCII without `"` and `\\`, which is most of what is logged, needs no escaping: half the time of `JSON.stringify`. */
const PLAIN_TEXT = /^[ !#-[\]-~]{0,256}$/;

function jsonText(text: string): string {
  return PLAIN_TEXT.test(text) ? `"${text}"` : JSON.stringify(cut(text));
}

const namesInJson = new Map<string, string>();

/** `,"name":`. Names are the code's own words, so few; kept, because a request's line has a dozen. */
function nameInJson(name: string): string {
  let written = namesInJson.get(name);
  if (written === undefined) {
    written = `,${JSON.stringify(name)}:`;
    if (namesInJson.size < 1_000) namesInJson.set(name, written);
  }
  return written;
}

function jsonValue(value: unknown): string | undefined {
  if (typeof value === 'string') return jsonText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `"${value}"`;
  if (typeof value === 'bigint') return `"${value}"`;
  try {
    return JSON.stringify(value instanceof Error ? describeError(value, 0) : value, (_key, inner: unknown) => {
      if (typeof inner === 'string') return cut(inner);
      return inner instanceof Error ? describeError(inner, 0) : inner;
    });
  } catch (error) {
    return jsonText(`[not JSON: ${error instanceof Error ? error.message : String(error)}]`);
  }
}

const MAX_CAUSES = 4;

function describeError(error: Error, depth: number): LogFields {
  const { name, message, stack, cause } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return {
    name,
    message,
    ...(code === undefined ? {} : { code }),
    stack: stack?.split('\n').slice(1, 9).map((line) => line.trim()).join(' | '),
    ...(cause === undefined ? {} : { cause: cause instanceof Error && depth < MAX_CAUSES ? describeError(cause, depth + 1) : String(cause) }),
  };
}

/**
 * Collects lines and hands them to `write` once an event-loop turn, or sooner beyond 64 KiB: a system call a line is a
 * tenth of a turn's cost. `flush` hands over what is held, for the end of the process.
 */
export function batchLines(write: (lines: string) => void): { write: (lines: string) => void; flush: () => void } {
  let held = '';
  let isScheduled = false;
  const flush = (): void => {
    isScheduled = false;
    if (held === '') return;
    const lines = held;
    held = '';
    write(lines);
  };
  return {
    write(lines) {
      held += lines;
      if (held.length > 65_536) flush();
      else if (!isScheduled) {
        isScheduled = true;
        setImmediate(flush);
      }
    },
    flush,
  };
}
