// The log: one record per line, as JSON for machines or formatted for people.

import { isThenable } from './awaitable.ts';
import { jsonText } from './json.ts';
import { originalFrame } from './source-positions.ts';
import { framesOf, messageOf } from './thrown-values.ts';

/** From the least to the most important. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** What a line holds besides its message. Secrets are removed when it is written. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where log lines go. Made by `createLogger`. A logger of your own must never throw. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  isEnabled(level: LogLevel): boolean;
  /** A logger that adds these fields to each of its lines. */
  child(fields: LogFields): Logger;
  /** Lines lost because they could not be written, for the metrics. Default: not counted. */
  linesDropped?(): number;
}

/** Options of `createLogger`. */
export interface LoggerOptions {
  /** Minimum level logged; `silent` logs nothing. Default `info`. */
  readonly level?: LogLevel | 'silent';
  /** Default `json`. */
  readonly format?: 'json' | 'pretty';
  /** Values that no line may show, wherever they occur. */
  readonly secrets?: readonly string[];
  /**
   * Receives whole lines, each with its `\n`. If it throws, or returns a promise that rejects, the
   * line is counted as dropped.
   */
  readonly write: (lines: string) => void;
  /** Lines that `write` accepted and lost later. They count as dropped, too. Default: none. */
  readonly linesLost?: (() => number) | undefined;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Longest line, in UTF-16 code units, without its `\n`. A longer record loses fields and gets
 * `"truncated":true`.
 */
export const MAX_LINE_LENGTH = 8_192;
/** Longest text in a line, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 2_048;

const RANK = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 } as const;

/**
 * Creates a logger. A record is `{time, level, msg, …fields}`. Undefined fields are left out. A
 * value that cannot be written as JSON is described instead. Logging never throws.
 *
 * An `Error` among the fields is written as name, message, code, stack and cause. Anything that
 * may quote a caller is left out: the message of a `SyntaxError`, because `JSON.parse` quotes its
 * input, and a cause that is not an error. For binary data only the size is written.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { level = 'info', format = 'json', secrets = [], write, now = Date.now } = options;
  const { linesLost = () => 0 } = options;
  const hidden = secrets.filter((secret) => secret !== '');
  // Each secret as it is, and as JSON writes it. Most lines contain neither, so the finished line
  // is searched, and formatted again only if something was found.
  const spellings = hidden.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  const traces = [...new Set(spellings), 'v1='];
  const redact = (text: string): string =>
    hidden
      .reduce((rest, secret) => rest.replaceAll(secret, REDACTED), text)
      .replace(SIGNATURE, `v1=${REDACTED}`);
  const formatLine = format === 'json' ? jsonLine : prettyLine;
  const clock = isoClock(now);
  const bounding = new TextFilter(redact, false);
  const redacting = new TextFilter(redact, true);
  let refused = 0;
  const refuse = (): void => void refused++;
  return new LineLogger({
    lowest: RANK[level],
    write(level, given, fields) {
      try {
        const message = typeof given === 'string' ? given : textOf(given);
        const line = formatLine(clock(), level, message, fields, bounding);
        const isClean = !traces.some((trace) => line.includes(trace));
        const whole = isClean ? line : formatLine(clock(), level, message, fields, redacting);
        const written: unknown = write(`${whole}\n`);
        if (isThenable(written)) written.then(undefined, refuse); // `write` may be async
      } catch {
        refuse(); // a full disk, or a message that has no text, costs a line and not the call
      }
    },
    linesDropped: () => refused + linesLost(),
  });
}

/** A log that drops everything: an app's own default, and that of commands. */
export function noLog(): Logger {
  return createLogger({ level: 'silent', write: () => undefined });
}

const REDACTED = '[redacted]';
const SIGNATURE = /\bv1=[0-9a-f]{64}/gi;

/** Cuts text to length, and redacts it, on its way into a line. */
class TextFilter {
  readonly #redact: (text: string) => string;
  /** Whether every text is redacted, not just those that are cut. */
  readonly isRedacting: boolean;

  constructor(redact: (text: string) => string, isRedacting: boolean) {
    this.#redact = redact;
    this.isRedacting = isRedacting;
  }

  /**
   * Cuts text to length. Long text is redacted first, because half a secret would not be
   * recognised.
   */
  cut(text: string): string {
    if (!this.isRedacting && text.length <= MAX_TEXT_LENGTH) return text;
    const redacted = this.#redact(text);
    return redacted.length <= MAX_TEXT_LENGTH ? redacted : `${redacted.slice(0, MAX_TEXT_LENGTH)}…`;
  }
}

/** What a logger shares with its children. */
interface LineOutput {
  readonly lowest: number;
  write(level: LogLevel, message: string, fields: LogFields | undefined): void;
  linesDropped(): number;
}

/**
 * A class, not an object literal: every request creates a child, and six closures each would be
 * expensive.
 */
class LineLogger implements Logger {
  readonly #output: LineOutput;
  readonly #bound: LogFields | undefined;

  constructor(output: LineOutput, bound?: LogFields) {
    this.#output = output;
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
    return RANK[level] >= this.#output.lowest;
  }

  child(fields: LogFields): Logger {
    return new LineLogger(this.#output, { ...this.#bound, ...fields });
  }

  linesDropped(): number {
    return this.#output.linesDropped();
  }

  #log(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (RANK[level] >= this.#output.lowest) {
      this.#output.write(
        level,
        message,
        this.#bound === undefined ? fields : { ...this.#bound, ...fields },
      );
    }
  }
}

/** ISO time. Formatted once per millisecond, which many lines share on a busy server. */
function isoClock(now: () => number): () => string {
  let last = Number.NaN;
  let text = '';
  return () => {
    const time = now();
    if (time !== last) text = new Date((last = time)).toISOString();
    return text;
  };
}

function jsonLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: LogFields | undefined,
  filter: TextFilter,
): string {
  const start = `{"time":"${time}","level":"${level}","msg":${jsonText(filter.cut(message))}`;
  const rest = jsonFields(fields, filter);
  if (start.length + rest.length < MAX_LINE_LENGTH) return `${start}${rest}}`;
  // As many whole fields as fit: half a field would be invalid JSON.
  let line =
    start.length < MAX_LINE_LENGTH / 2
      ? start
      : `{"time":"${time}","level":"${level}","msg":"[too long]"`;
  line += ',"truncated":true';
  for (const name in fields) {
    const field = `${nameInJson(name, filter)}${jsonValue(fields[name], filter) ?? 'null'}`;
    if (line.length + field.length < MAX_LINE_LENGTH) line += field;
  }
  return `${line}}`;
}

/** `,"name":value` for each field. */
function jsonFields(fields: LogFields | undefined, filter: TextFilter): string {
  if (!filter.isRedacting && isPlain(fields)) {
    const object = JSON.stringify(fields); // faster than field by field
    return object === '{}' ? '' : `,${object.slice(1, -1)}`;
  }
  let text = '';
  for (const name in fields) {
    const value = jsonValue(fields[name], filter);
    if (value !== undefined) text += nameInJson(name, filter) + value;
  }
  return text;
}

/** Whether `JSON.stringify` writes each field as `jsonValue` does. */
function isPlain(fields: unknown): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  const prototype: unknown = Object.getPrototypeOf(fields);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const name in fields) {
    if (name.length > MAX_TEXT_LENGTH || !isPlainValue((fields as LogFields)[name])) return false;
  }
  return true;
}

function isPlainValue(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= MAX_TEXT_LENGTH;
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'boolean' || value === undefined || value === null;
}

function prettyLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: LogFields | undefined,
  filter: TextFilter,
): string {
  let line = `${time.slice(11, 23)} ${level.padEnd(5)} ${filter.cut(message)}`;
  for (const name in fields) {
    const value = jsonValue(fields[name], filter);
    if (value === undefined) continue;
    line += ` ${filter.cut(name)}=${/^"[\w.:/@-]+"$/.test(value) ? value.slice(1, -1) : value}`;
  }
  const visibleLine = visible(line);
  return visibleLine.length <= MAX_LINE_LENGTH
    ? visibleLine
    : `${visibleLine.slice(0, MAX_LINE_LENGTH - 1)}…`;
}

/** Escapes control characters, so that text from outside cannot control someone's terminal. */
function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const namesInJson = new Map<string, string>();

/** `,"name":`. Cached: names come from our own code, so there are few. */
function nameInJson(name: string, filter: TextFilter): string {
  const bounded = filter.cut(name);
  const known = namesInJson.get(bounded);
  if (known !== undefined) return known;
  const written = `,${JSON.stringify(bounded)}:`;
  if (namesInJson.size < 1_000) namesInJson.set(bounded, written);
  return written;
}

function jsonValue(value: unknown, filter: TextFilter): string | undefined {
  if (typeof value === 'string') return jsonText(filter.cut(value));
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `"${value}"`;
  if (typeof value === 'bigint') return `"${value}"`;
  if (value === undefined) return undefined;
  try {
    return JSON.stringify(value, function (this: unknown, key: string, inner: unknown) {
      if (typeof inner === 'string') return filter.cut(inner);
      if (typeof inner !== 'object' || inner === null) return inner;
      // `inner` is the result of toJSON. For a Buffer that is a list of all its bytes.
      const given = (this as Record<string, unknown>)[key];
      if (ArrayBuffer.isView(given)) return `[${given.byteLength} bytes]`;
      if (inner instanceof Error) return describeError(inner, 0);
      return filter.isRedacting && !Array.isArray(inner) ? withCutNames(inner, filter) : inner;
    });
  } catch (error) {
    return jsonText(filter.cut(`[not JSON: ${messageOf(error)}]`));
  }
}

function withCutNames(object: object, filter: TextFilter): object {
  const entries = Object.entries(object).map(([name, value]) => [filter.cut(name), value]);
  return Object.fromEntries(entries);
}

const MAX_CAUSES = 4;
const MAX_FRAMES = 8;

function describeError(error: Error, depth: number): LogFields {
  const { name, message, stack, cause } = error;
  const frames = framesOf(error).slice(0, MAX_FRAMES);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return {
    name,
    message: error instanceof SyntaxError ? withoutSource(message) : message,
    ...(code === undefined ? {} : { code }),
    stack: stack === undefined ? undefined : frames.map(originalFrame).join(' | '),
    ...(error instanceof AggregateError && depth < MAX_CAUSES
      ? { errors: error.errors.slice(0, 8).map((part: unknown) => describeCause(part, depth)) }
      : {}),
    ...(cause === undefined ? {} : { cause: describeCause(cause, depth) }),
  };
}

/** Plain JavaScript may pass an error instead of a message. */
function textOf(given: unknown): string {
  if (!(given instanceof SyntaxError)) return String(given);
  return `${given.name}: ${withoutSource(given.message)}`;
}

/** A cause that is not an error is data: it may hold a caller's words or a vendor's answer. */
function describeCause(cause: unknown, depth: number): unknown {
  if (!(cause instanceof Error)) return `[${cause === null ? 'null' : typeof cause}]`;
  return depth < MAX_CAUSES ? describeError(cause, depth + 1) : `[${cause.name}]`;
}

/**
 * `Unexpected token 'H', "Hello, my n"... is not valid JSON` quotes a caller. Only the position is
 * kept.
 */
function withoutSource(message: string): string {
  const place = /at position \d+( \(line \d+ column \d+\))?$/.exec(message)?.[0];
  return `[not shown: it quotes its source]${place === undefined ? '' : ` ${place}`}`;
}
