// What every test of a model does: ask it, gather what it says.

import {
  chatCompletionsModel,
  type ChatCompletionsOptions,
} from '../../../src/core/models/chat-completions.ts';
import {
  ModelError,
  type ChatMessage,
  type ChatModel,
  type ModelDelta,
  type ModelStreamOptions,
} from '../../../src/core/models/model.ts';
import { parseModelName } from '../../../src/core/models/providers.ts';

export const HELLO: readonly ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello' },
];

export const KEY = 'sk-secret-1234567890';

/** A model with its provider's row of the table, at the fake server. */
export function modelAt(
  baseUrl: string,
  options: Partial<ChatCompletionsOptions> & { name?: string } = {},
): ChatModel {
  const name = options.name ?? 'openai:gpt-6-luna';
  const { provider, model } = parseModelName(name);
  return chatCompletionsModel({ name, provider, model, baseUrl, key: KEY, ...options });
}

export interface Reading {
  readonly deltas: readonly ModelDelta[];
  readonly text: string;
  readonly error: ModelError | undefined;
}

/** Reads a stream to its end or error; anything but a `ModelError` is thrown. */
export async function read(
  model: ChatModel,
  options: Partial<ModelStreamOptions> & { readonly messages?: readonly ChatMessage[] } = {},
): Promise<Reading> {
  const { messages = HELLO, signal = new AbortController().signal, ...others } = options;
  const deltas: ModelDelta[] = [];
  let error: ModelError | undefined;
  try {
    for await (const delta of model.stream(messages, { signal, ...others })) deltas.push(delta);
  } catch (thrown) {
    if (!(thrown instanceof ModelError)) throw thrown;
    error = thrown;
  }
  return {
    deltas,
    text: deltas.map((delta) => (delta.type === 'text' ? delta.text : '')).join(''),
    error,
  };
}
