// The file of recorded replies that stands beside a scenario. People commit it.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { ChatMessage, JsonFields, ModelTool } from '../../models/model.ts';
import { InventedValues } from './invented-values.ts';
import { withRequestTexts, type ModelRequest } from './model-request.ts';

/** A piece of a reply: a text, or a tool call with its arguments as the model wrote them. */
export type RecordedPart = string | { readonly call: string; readonly args: string };

/** Counts are missing if the vendor did not report them. */
export interface RecordedUsage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly cachedTokens?: number;
  /** Set if the reply was cut at the model's limit. */
  readonly finishReason?: 'length';
}

export interface RecordedReply {
  readonly request: ModelRequest;
  readonly parts: readonly RecordedPart[];
  readonly usage: RecordedUsage;
}

/** A file that cannot be replayed. The message is one line that names the file. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/** What many requests of a call have in common, written once. */
interface Prompt {
  readonly model: string;
  readonly options: JsonFields;
  readonly tools: readonly ModelTool[];
  /** Null if the first message is of another role. */
  readonly system: string | null;
}

const FORMAT = 1;
const REMEDY = 'record it again with --record';

/** `booking.txt` → `booking.recorded.json`. */
export function recordingPath(scenarioPath: string): string {
  return `${scenarioPath.replace(/\.[^./\\]+$/, '')}.recorded.json`;
}

/**
 * The file's text. Ids, numbers and e-mail addresses in it are invented, the same one everywhere
 * for the same value. What an agent redacts has never been shown to a model.
 */
export function formatRecording(replies: readonly RecordedReply[]): string {
  const { in: change } = new InventedValues();
  const prompts = new Map<string, number>();
  const listed = replies.map((reply) => {
    const { model, options, tools, messages } = withRequestTexts(reply.request, change);
    const [first, ...others] = messages;
    const isSystem = first?.role === 'system';
    const prompt: Prompt = { model, options, tools, system: isSystem ? first.content : null };
    const text = JSON.stringify(prompt);
    const index = prompts.get(text) ?? prompts.size;
    prompts.set(text, index);
    return {
      prompt: index,
      messages: isSystem ? others : messages,
      reply: reply.parts.map((part) =>
        typeof part === 'string' ? change(part) : { ...part, args: change(part.args) },
      ),
      usage: reply.usage,
    };
  });
  const all = [...prompts.keys()].map((text) => JSON.parse(text) as Prompt);
  return `${JSON.stringify({ format: FORMAT, prompts: all, replies: listed }, null, 2)}\n`;
}

/** Throws a `RecordingError`. `file` is for its message. */
export function parseRecording(text: string, file: string): readonly RecordedReply[] {
  const refuse = (fault: string): never => {
    throw new RecordingError(`${file}: ${fault}; ${REMEDY}`);
  };
  const value: unknown = parseJson(text);
  if (!isObject(value)) return refuse('it is not a JSON object');
  const { format, prompts, replies } = value;
  if (format !== FORMAT) return refuse(`its format is not ${FORMAT}`);
  if (!isListOf(prompts, isPrompt)) return refuse('prompts is not a list of prompts');
  if (!Array.isArray(replies)) return refuse('replies is not a list');
  return replies.map((reply: unknown, index) => {
    if (!isReply(reply)) return refuse(`replies[${index}] is not a reply`);
    const prompt = prompts[reply.prompt];
    if (prompt === undefined) return refuse(`replies[${index}].prompt is none of the prompts`);
    const { system, ...others } = prompt;
    const first: readonly ChatMessage[] =
      system === null ? [] : [{ role: 'system', content: system }];
    return {
      request: { ...others, messages: [...first, ...reply.messages] },
      parts: reply.reply,
      usage: reply.usage,
    };
  });
}

interface ListedReply {
  /** Its place in the list of prompts. */
  readonly prompt: number;
  readonly messages: readonly ChatMessage[];
  readonly reply: readonly RecordedPart[];
  readonly usage: RecordedUsage;
}

function isListOf<T>(value: unknown, isItem: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isItem);
}

function isPrompt(value: unknown): value is Prompt {
  if (!isObject(value)) return false;
  const { model, options, tools, system } = value;
  return typeof model === 'string' && isObject(options) && isListOf(tools, isTool)
    && (system === null || typeof system === 'string');
}

function isTool(value: unknown): value is ModelTool {
  if (!isObject(value)) return false;
  const { name, description, parameters } = value;
  return typeof name === 'string' && typeof description === 'string' && isObject(parameters);
}

function isReply(value: unknown): value is ListedReply {
  if (!isObject(value)) return false;
  const { prompt, messages, reply, usage } = value;
  return Number.isInteger(prompt) && isListOf(messages, isMessage) && isListOf(reply, isPart)
    && isObject(usage) && USAGE_FIELDS.every((name) => isCount(usage[name]))
    && CUT.includes(usage['finishReason']);
}

const USAGE_FIELDS = [
  'inputTokens', 'outputTokens', 'cachedTokens',
] as const satisfies readonly (keyof RecordedUsage)[];
const CUT: readonly unknown[] = [undefined, 'length'];

function isCount(value: unknown): boolean {
  return value === undefined || (Number.isInteger(value) && Number(value) >= 0);
}

function isMessage(value: unknown): value is ChatMessage {
  if (!isObject(value) || typeof value['content'] !== 'string') return false;
  const { role, toolCalls, toolCallId } = value;
  switch (role) {
    case 'system':
    case 'user':
      return true;
    case 'tool':
      return typeof toolCallId === 'string';
    case 'assistant':
      return toolCalls === undefined || isListOf(toolCalls, isToolCall);
    default:
      return false;
  }
}

function isToolCall(value: unknown): value is { id: string; name: string; args: string } {
  return isObject(value)
    && [value['id'], value['name'], value['args']].every((field) => typeof field === 'string');
}

function isPart(value: unknown): value is RecordedPart {
  if (typeof value === 'string') return true;
  return isObject(value) && typeof value['call'] === 'string' && typeof value['args'] === 'string';
}
