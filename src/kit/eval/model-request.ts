// What a model was asked, in a form that is the same in each run.

import { canonicalJson } from '../../base/canonical-json.ts';
import type { ChatMessage, JsonFields, ModelStreamOptions } from '../../core/models/model.ts';
import { replaceVarying } from './varying-values.ts';

export interface NormalRequest {
  /**
   * What decides the answer, in lines for people to read: the model, its options, then the tools
   * and the messages. Without the ids of tool calls, and with names such as `<number 1>` in place
   * of values that differ in each run.
   */
  readonly text: string;
  /** The ids, numbers, addresses and times in the text, one for each place. */
  readonly values: readonly string[];
}

/**
 * Equal ids and numbers stay equal. Times do not: a time that somebody mentions may be the present
 * one by chance.
 */
export function normalRequest(
  model: string,
  messages: readonly ChatMessage[],
  options: ModelStreamOptions,
): NormalRequest {
  const { tools = [] } = options;
  const lines = [
    ...tools.map(({ name, description, parameters }) =>
      `tool ${name}: ${description} ${canonicalJson(parameters).replaceAll('\\n', '\n')}`),
    ...messages.flatMap((message) => [
      `${message.role}: ${message.content}`,
      ...('toolCalls' in message ? (message.toolCalls ?? []) : []).map(({ name, args }) =>
        `call of ${name}: ${args}`),
    ]),
  ];
  const values: string[] = [];
  const names = new Map<string, string>();
  const normal = replaceVarying(lines.join('\n'), (value, kind) => {
    values.push(value);
    if (kind === 'time') return '<time>';
    const name = names.get(value) ?? `<${kind} ${names.size + 1}>`;
    names.set(value, name);
    return name;
  });
  // The model's name looks like an id, but is not one.
  const head = [`model: ${model}`, `options: ${canonicalJson(optionsOf(options))}`];
  return { text: [...head, normal].join('\n'), values };
}

/** The options that are set and decide the answer. */
export function optionsOf(options: ModelStreamOptions): JsonFields {
  const { temperature, maxOutputTokens, reasoningEffort, providerOptions, toolChoice } = options;
  const known = { temperature, maxOutputTokens, reasoningEffort, providerOptions, toolChoice };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
