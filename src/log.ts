// One record a line, for machines (JSON) or for eyes (pretty).

import { jsonText } from './base/json-text.ts';

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
  // As they are, and as JSON spells them. Most lines hold none, and one search of the whole line tells.
  const traces = [...new Set(hidden.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])), 'v1='];
  const redact = (text: string): string => hidden.reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text).replace(SIGNATURE, `v1=${REDACTED}`);
  const formatLine = format === 'json' ? jsonLine : prettyLine;
  const clock = isoClock(now);
  const cut = cutter(redact, false);
  const redactAndCut = cutter(redact, true);
  return new LineLogger(lowest, (level, given, fields) => {
    const message = String(given); // plain JavaScript may hand over an error
    const line = formatLine(clock(), level, message, fields, cut);
    const isClean = !traces.some((trace) => line.includes(trace));
    write(`${isClean ? line : formatLine(clock(), level, message, fields, redactAndCut)}\n`);
  });
}

const REDACTED = '[redacted]';
const SIGNATURE = /\bv1=[0-9a-f]{64}/gi;

/** Bounds a text. Redacts it before where it is cut, for half a secret would not be found, and elsewhere when told to. */
type Cut = (text: string) => string;

function cutter(redact: (text: string) => string, always: boolean): Cut {
  return (text) => {
    if (!always && text.length <= MAX_TEXT_LENGTH) return text;
    const redacted = redact(text);
    return redacted.length <= MAX_TEXT_LENGTH ? redacted : `${redacted.slice(0, MAX_TEXT_LENGTH)}…`;
  };
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

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields | undefined, cut: Cut): string {
  const start = `{"time":"${time}","level":"${level}","msg":${jsonText(cut(message))}`;
  let rest = '';
  for (const name in fields) {
    const value = jsonValue(fields[name], cut);
    if (value !== undefined) rest += nameInJson(name, cut) + value;
  }
  if (start.length + rest.length < MAX_LINE_LENGTH) return `${start}${rest}}`;
  // Whole fields, as many as fit: half a field would be broken JSON.
  let line = start.length < MAX_LINE_LENGTH / 2 ? start : `{"time":"${time}","level":"${level}","msg":"[too long]"`;
  line += ',"truncated":true';
  for (const name in fields) {
    const field = `${nameInJson(name, cut)}${jsonValue(fields[name], cut) ?? 'null'}`;
    if (line.length + field.length < MAX_LINE_LENGTH) line += field;
  }
  return `${line}}`;
}

function prettyLine(time: string, level: LogLevel, message: string, fields: LogFields | undefined, cut: Cut): string {
  let line = `${time.slice(11, 23)} ${level.padEnd(5)} ${cut(message)}`;
  for (const name in fields) {
    const value = jsonValue(fields[name], cut);
    if (value === undefined) continue;
    line += ` ${cut(name)}=${/^"[\w.:/@-]+"$/.test(value) ? value.slice(1, -1) : value}`;
  }
  const visibleLine = visible(line);
  return visibleLine.length <= MAX_LINE_LENGTH ? visibleLine : `${visibleLine.slice(0, MAX_LINE_LENGTH - 1)}…`;
}

/** Text as one line: a line break or an escape sequence from outside must not draw on somebody's terminal. */
function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const namesInJson = new Map<string, string>();

/** `,"name":`. Names are the code's own words, so few; kept, because a request's line has a dozen. */
function nameInJson(name: string, cut: Cut): string {
  const bounded = cut(name);
  const known = namesInJson.get(bounded);
  if (known !== undefined) return known;
  const written = `,${JSON.stringify(bounded)}:`;
  if (namesInJson.size < 1_000) namesInJson.set(bounded, written);
  return written;
}

/** As `String(value)`. Times are rounded to hundredths, and V8 writes two integers in a sixth of a fraction's time: 0.3 µs a line. */
function numberText(value: number): string {
  const hundredths = Math.round(value * 100);
  if (!(hundredths >= 0 && hundredths < 1e9) || hundredths / 100 !== value) return String(value);
  const whole = Math.floor(hundredths / 100);
  const rest = hundredths - whole * 100;
  if (rest === 0) return String(whole);
  return `${whole}${rest < 10 ? '.0' : '.'}${rest % 10 === 0 ? rest / 10 : rest}`;
}

function jsonValue(value: unknown, cut: Cut): string | undefined {
  if (typeof value === 'string') return jsonText(cut(value));
  if (typeof value === 'number') return Number.isFinite(value) ? numberText(value) : `"${value}"`;
  if (typeof value === 'bigint') return `"${value}"`;
  if (value === undefined) return undefined;
  try {
    return JSON.stringify(value instanceof Error ? describeError(value, 0) : value, (_key, inner: unknown) => {
      if (typeof inner === 'string') return cut(inner);
      return inner instanceof Error ? describeError(inner, 0) : inner;
    });
  } catch (error) {
    return jsonText(cut(`[not JSON: ${error instanceof Error ? error.message : String(error)}]`));
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
    ...(error instanceof AggregateError && depth < MAX_CAUSES
      ? { errors: error.errors.slice(0, 8).map((part: unknown) => (part instanceof Error ? describeError(part, depth + 1) : String(part))) }
      : {}),
    ...(cause === undefined ? {} : { cause: cause instanceof Error && depth < MAX_CAUSES ? describeError(cause, depth + 1) : String(cause) }),
  };
}
