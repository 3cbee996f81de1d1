// What a model was asked, apart from what differs from one run to the next.

import { canonicalJson } from '../../base/canonical-json.ts';
import { isObject } from '../../base/fields.ts';
import type {
  ChatMessage, JsonFields, ModelStreamOptions, ModelTool,
} from '../../models/model.ts';
import { replaceVarying } from './varying-values.ts';

/** Plain JSON. */
export interface ModelRequest {
  /** The model's name. */
  readonly model: string;
  readonly options: JsonFields;
  readonly tools: readonly ModelTool[];
  /** Tool calls are numbered: their ids are `call_1`, `call_2`, and so on. */
  readonly messages: readonly ChatMessage[];
}

/** Two requests with the same text are the same but for their values. */
export interface ComparableRequest {
  /** With names in place of the values, such as `<number 1>`. */
  readonly request: ModelRequest;
  readonly text: string;
  /** The ids, numbers, addresses and times in it, one for each place. */
  readonly values: readonly string[];
}

/** A copy of what decides the answer. */
export function modelRequestOf(
  model: string,
  messages: readonly ChatMessage[],
  { tools = [], toolChoice, ...options }: ModelStreamOptions,
): ModelRequest {
  const { temperature, maxOutputTokens, reasoningEffort, providerOptions } = options;
  const known = { temperature, maxOutputTokens, reasoningEffort, providerOptions, toolChoice };
  return structuredClone({
    model,
    options: Object.fromEntries(
      Object.entries(known).filter(([, value]) => value !== undefined),
    ),
    tools: tools.map(({ name, description, parameters }) => ({ name, description, parameters })),
    messages: withNumberedCalls(messages),
  });
}

/** A result belongs to the last call with its id: some vendors use an id again. */
function withNumberedCalls(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const newest = new Map<string, string>();
  let calls = 0;
  return messages.map((message) => {
    if (message.role === 'tool') {
      return { ...message, toolCallId: newest.get(message.toolCallId) ?? 'call_0' };
    }
    if (message.role !== 'assistant' || message.toolCalls === undefined) return message;
    const toolCalls = message.toolCalls.map((call) => {
      const id = `call_${(calls += 1)}`;
      newest.set(call.id, id);
      return { ...call, id };
    });
    return { ...message, toolCalls };
  });
}

/**
 * The request in a form that is the same in each run. Equal ids and numbers stay equal. Times do
 * not: one that somebody names may be the present one by chance.
 */
export function comparable(request: ModelRequest): ComparableRequest {
  const values: string[] = [];
  const names = new Map<string, string>();
  const named = withRequestTexts(request, (text) => replaceVarying(text, (value, kind) => {
    values.push(value);
    if (kind === 'time') return '<time>';
    const name = names.get(value) ?? `<${kind} ${names.size + 1}>`;
    names.set(value, name);
    return name;
  }));
  return { request: named, text: canonicalJson(named), values };
}

/** A copy with other texts. Names of models, tools and fields stay, and so do options. */
export function withRequestTexts(
  { tools, messages, ...others }: ModelRequest,
  change: (text: string) => string,
): ModelRequest {
  return {
    ...others,
    tools: tools.map(({ name, description, parameters }) => ({
      name, description: change(description), parameters: mapTexts(parameters, change),
    })),
    messages: messages.map((message) => {
      const content = change(message.content);
      if (message.role !== 'assistant' || message.toolCalls === undefined) {
        return { ...message, content };
      }
      const toolCalls = message.toolCalls.map((call) => ({ ...call, args: change(call.args) }));
      return { ...message, content, toolCalls };
    }),
  };
}

/** In the order of the fields' names, so that values are met in the same order in each run. */
function mapTexts<T>(value: T, change: (text: string) => string): T;
function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, change));
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, mapTexts(value[name], change)]));
}
