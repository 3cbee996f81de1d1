// What a model was asked, apart from what differs from one run to the next.

import { canonicalJson } from '../../base/canonical-json.ts';
import type { ChatMessage, JsonFields, ModelStreamOptions } from '../../models/model.ts';
import { replaceVarying } from './varying-values.ts';

/**
 * What decides the answer, as lines for people to read: the model, its options, then the tools and
 * the messages. Without the ids of tool calls, which differ in each run.
 */
export type ModelRequest = readonly string[];

/** A request in a form that is the same in each run. */
export interface NormalRequest {
  /** With names in place of the values, such as `<number 1>`. */
  readonly text: string;
  /** The ids, numbers, addresses and times in it, one for each place. */
  readonly values: readonly string[];
}

export function modelRequestOf(
  model: string,
  messages: readonly ChatMessage[],
  options: ModelStreamOptions,
): ModelRequest {
  const { tools = [] } = options;
  const lines = [
    `model: ${model}`,
    `options: ${canonicalJson(optionsOf(options))}`,
    ...tools.map(({ name, description, parameters }) =>
      `tool ${name}: ${description} ${canonicalJson(parameters).replaceAll('\\n', '\n')}`),
    ...messages.flatMap((message) => [
      `${message.role}: ${message.content}`,
      ...('toolCalls' in message ? (message.toolCalls ?? []) : []).map(({ name, args }) =>
        `call of ${name}: ${args}`),
    ]),
  ];
  return lines.join('\n').split('\n');
}

/** Those that are set and decide the answer. */
export function optionsOf(options: ModelStreamOptions): JsonFields {
  const { temperature, maxOutputTokens, reasoningEffort, providerOptions, toolChoice } = options;
  const known = { temperature, maxOutputTokens, reasoningEffort, providerOptions, toolChoice };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/**
 * Equal ids and numbers stay equal. Times do not: one that somebody names may be the present one by
 * chance.
 */
export function normalRequest(request: ModelRequest): NormalRequest {
  const values: string[] = [];
  const names = new Map<string, string>();
  const lines = withRequestTexts(request, (text) => replaceVarying(text, (value, kind) => {
    values.push(value);
    if (kind === 'time') return '<time>';
    const name = names.get(value) ?? `<${kind} ${names.size + 1}>`;
    names.set(value, name);
    return name;
  }));
  return { text: lines.join('\n'), values };
}

/** Changes the tools and messages. The model's name stays: it looks like an id, but is not one. */
export function withRequestTexts(
  [model = '', options = '', ...others]: ModelRequest,
  change: (text: string) => string,
): ModelRequest {
  return [model, options, ...change(others.join('\n')).split('\n')];
}
