// A request for a completion: what it must hold, and what it says.

import { isObject } from '../../../base/fields.ts';
import type { TranscriptLine } from '../../calls/call-event.ts';
import { EventError, got, parseJsonObject } from '../json-body.ts';
import type { CompletionEvent, CompletionMessage } from './events.ts';

/** Further lines of a call are not examined. */
const MOST_LINES = 50;
/** Deeper JSON is refused before it is parsed. */
const MAX_DEPTH = 200;

/** Whose words a message can hold. `function` is the older name of `tool`. */
export const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function'];

/** The transcript in a request. */
export interface ToldCall {
  /** The last lines, oldest first, up to the caller's words if they come last. */
  readonly lines: readonly TranscriptLine[];
  /** How many older lines were left out. Their texts were not looked at. */
  readonly omitted: number;
  /** Who spoke last. `nobody` if nothing was said. */
  readonly last: 'user' | 'assistant' | 'tool' | 'nobody';
  /** The caller's last words. Undefined if somebody else, or nobody, came last. '' for silence. */
  readonly words: string | undefined;
  /** If a tool's result comes last: the result, and the names of the tools that were called. */
  readonly result: CompletionMessage | undefined;
  readonly continues: readonly string[];
}

/**
 * The request in a body. Fields that this wire does not read are accepted, whatever they hold.
 *
 * Throws an `EventError` if `parseBody` does, or if a field breaks its rule.
 */
export function parseCompletion(body: Buffer): CompletionEvent {
  const value = parseBody(body);
  const { messages, stream, tools } = value;
  if (!Array.isArray(messages)) refuse('messages', 'an array', messages);
  optionally('stream', 'a boolean', stream, (given) => typeof given === 'boolean');
  optionally('tools', 'an array', tools, Array.isArray);
  // The body is ours alone, so it becomes the event.
  return Object.assign(value, { type: 'chat.completion', messages } as const) as CompletionEvent;
}

/**
 * The JSON object in a body. Throws an `EventError` if there is none, if it is not in UTF-8, or if
 * it is nested more than 200 levels deep.
 */
export function parseBody(body: Buffer): Readonly<Record<string, unknown>> {
  if (isDeeperThan(MAX_DEPTH, body)) {
    throw new EventError('', `the body is nested too deeply, more than ${MAX_DEPTH} levels`);
  }
  return parseJsonObject(body);
}

/** What was said in the call. Throws an `EventError` for a message that breaks a rule. */
export function toldBy({ messages }: CompletionEvent): ToldCall {
  const newestFirst: TranscriptLine[] = [];
  let last: ToldCall['last'] = 'nobody';
  let words: string | undefined;
  let result: CompletionMessage | undefined;
  let continues: readonly string[] = [];
  let index = messages.length - 1;
  for (; index >= 0 && newestFirst.length <= MOST_LINES; index--) {
    const message: unknown = messages[index];
    if (!isObject(message)) refuse(`messages[${index}]`, 'an object', message);
    const { role } = message;
    if (role === 'system' || role === 'developer') continue;
    const isTool = role === 'tool' || role === 'function';
    if (!isTool && role !== 'user' && role !== 'assistant')
      refuse(`messages[${index}].role`, `one of ${ROLES.join(', ')}`, role);
    if (last === 'nobody') last = isTool ? 'tool' : role;
    if (isTool) {
      result ??= last === 'tool' ? (message as CompletionMessage) : undefined;
      continue;
    }
    const text = textOf(message as CompletionMessage, index);
    if (last === 'user') words ??= text;
    const isBeforeResult = last === 'tool' && newestFirst.length + continues.length === 0;
    if (isBeforeResult && role === 'assistant')
      continues = toolsCalledIn(message as CompletionMessage);
    if (/\S/.test(text)) newestFirst.push({ role, text });
  }
  let omitted = newestFirst.splice(MOST_LINES).length;
  for (; index >= 0; index--) if (isLine(messages[index])) omitted += 1;
  return { lines: newestFirst.reverse(), omitted, last, words, result, continues };
}

function isLine(message: unknown): boolean {
  return isObject(message) && (message['role'] === 'user' || message['role'] === 'assistant');
}

/** The text of a message. Parts that are not text are left out. */
function textOf({ content }: CompletionMessage, index: number): string {
  if (typeof content === 'string') return content;
  if (content === undefined || content === null) return '';
  const path = `messages[${index}].content`;
  if (!Array.isArray(content)) refuse(path, 'a string or an array', content);
  let text = '';
  for (const [place, part] of content.entries()) {
    if (!isObject(part)) refuse(`${path}[${place}]`, 'an object', part);
    if (part['type'] !== 'text') continue;
    if (typeof part['text'] !== 'string')
      refuse(`${path}[${place}].text`, 'a string', part['text']);
    text += part['text'];
  }
  return text;
}

function toolsCalledIn({ tool_calls: calls }: CompletionMessage): readonly string[] {
  return Array.isArray(calls) ? calls.flatMap((call: unknown) => nameOfTool(call) ?? []) : [];
}

/** The name in `{ function: { name } }`, the form of both tools and calls. */
function nameOfTool(tool: unknown): string | undefined {
  const named = isObject(tool) ? tool['function'] : undefined;
  const name = isObject(named) ? named['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** The names of the tools that the platform offers. */
export function toolsOffered({ tools }: CompletionEvent): ReadonlySet<string> {
  if (!Array.isArray(tools)) return NO_TOOLS;
  return new Set(tools.slice(0, MOST_TOOLS).flatMap((tool: unknown) => nameOfTool(tool) ?? []));
}

const NO_TOOLS: ReadonlySet<string> = new Set();

const MOST_TOOLS = 128;

/** Whether the client wants a last chunk with the tokens. */
export function wantsUsage({ stream_options: options }: CompletionEvent): boolean {
  return isObject(options) && options['include_usage'] === true;
}

function optionally(
  path: string,
  expected: string,
  value: unknown,
  accepts: (value: unknown) => boolean,
): void {
  if (value !== undefined && value !== null && !accepts(value)) refuse(path, expected, value);
}

function refuse(path: string, expected: string, value: unknown): never {
  throw new EventError(path, `${path} must be ${expected}, ${got(value)}`);
}

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] =
  [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d] as const; // " \ [ ] { }

/** Whether JSON text has more than this many levels of arrays and objects. */
function isDeeperThan(levels: number, json: Buffer): boolean {
  if (!beginsMoreThan(levels, json)) return false; // nearly always
  let depth = 0;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index];
    if (byte === QUOTE) {
      index = endOfString(json, index);
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      depth += 1;
      if (depth > levels) return true;
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}

/** Whether arrays and objects begin more often than that, in strings or not. */
function beginsMoreThan(most: number, json: Buffer): boolean {
  let count = 0;
  for (const byte of [OPEN_OBJECT, OPEN_ARRAY]) {
    for (let at = json.indexOf(byte); at !== -1; at = json.indexOf(byte, at + 1)) {
      count += 1;
      if (count > most) return true;
    }
  }
  return false;
}

/** The index of the quote that ends the string beginning at `start`. */
function endOfString(json: Buffer, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (json[end - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return json.length;
}
