// The body of a request. https://platform.openai.com/docs/api-reference/chat/create

import { hash } from 'node:crypto';

import { alternateRoles } from './alternating-roles.ts';
import type { ChatMessage, ModelStreamOptions, ModelTool } from './model.ts';
import { FIXED_FIELDS, type Provider } from './providers.ts';
import type { ToolCallSignatures } from './tool-call-signatures.ts';
import { wellFormedCall } from './well-formed-call.ts';

interface RequestBodyParts {
  readonly provider: Provider;
  /** The provider's key in `providerOptions`. */
  readonly providerName: string;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly options: Omit<ModelStreamOptions, 'signal'>;
  /** Whether the server at this address takes `prompt_cache_key`. */
  readonly takesCacheKey: boolean;
  readonly signatures: ToolCallSignatures;
  /** Fields that the model refuses. */
  readonly leftOut: ReadonlySet<string>;
}

interface RequestBody {
  /** The JSON of one streaming request. */
  readonly json: string;
  /** Fields that may be left out if the model refuses them. */
  readonly optional: readonly string[];
}

/** Leaves parallel tool calls at the vendors' default, which is on. */
export function createRequestBody(parts: RequestBodyParts): RequestBody {
  const { provider, model, options } = parts;
  const isAnyOrder = provider.servesOwnModels === true;
  const messages = isAnyOrder ? parts.messages : alternateRoles(parts.messages);
  const optional = optionalFields(parts);
  const { tools = [], toolChoice } = options;
  // If calls cannot be forbidden, a model that must speak is offered no tools.
  const isForbidden = toolChoice === 'none' && optional['tool_choice'] === undefined;
  const json = JSON.stringify({
    model,
    messages: messages.map((message) => toWire(message, parts)),
    stream: true,
    stream_options: provider.takesStreamOptions === false ? undefined : { include_usage: true },
    // Some vendors refuse an empty list (partITech/php-mistral#76).
    tools: tools.length === 0 || isForbidden ? undefined : tools.map(toolOnWire),
    ...optional,
  });
  return { json, optional: Object.keys(optional) };
}

function optionalFields(parts: RequestBodyParts): Readonly<Record<string, unknown>> {
  const { provider, providerName, model, options, takesCacheKey, leftOut } = parts;
  const { tools = [], toolChoice, temperature, maxOutputTokens, cacheKey } = options;
  // The key may be any of our ids. The vendor gets 32 characters that reveal nothing.
  const keyHash = takesCacheKey && cacheKey !== undefined
    ? hash('sha256', cacheKey, 'hex').slice(0, 32)
    : undefined;
  const takesChoice = provider.takesToolChoice !== false && tools.length > 0;
  const fields: Readonly<Record<string, unknown>> = {
    reasoning_effort: options.reasoningEffort ?? provider.reasoningEffort?.(model),
    temperature: provider.takesTemperature?.(model) === false ? undefined : temperature,
    [provider.maxTokensField ?? 'max_tokens']: maxOutputTokens,
    tool_choice: takesChoice && toolChoice !== 'auto' ? toolChoice : undefined,
    prompt_cache_key: keyHash,
    ...options.providerOptions?.[providerName],
  };
  const isSent = ([name, value]: readonly [string, unknown]): boolean =>
    value !== undefined && !leftOut.has(name) && !FIXED_FIELDS.includes(name);
  return Object.fromEntries(Object.entries(fields).filter(isSent));
}

/** Only these three fields: vendors refuse fields they do not know. */
function toolOnWire({ name, description, parameters }: ModelTool): object {
  return { type: 'function', function: { name, description, parameters } };
}

function toWire(message: ChatMessage, { provider, model, signatures }: RequestBodyParts): object {
  const wireId = (id: string): string => provider.toolCallId?.(id) ?? id;
  const content = wellFormed(message.content);
  if (message.role === 'tool') {
    return { role: 'tool', tool_call_id: wireId(message.toolCallId), content };
  }
  const toolCalls = message.role === 'assistant' ? (message.toolCalls ?? []) : [];
  if (toolCalls.length === 0) return { role: message.role, content };
  const isSigned = provider.signsToolCalls?.(model) === true;
  const extraContents = isSigned ? signatures.recall(toolCalls.map(({ id }) => id)) : [];
  return {
    role: 'assistant',
    content: content === '' ? null : content,
    tool_calls: toolCalls.map(wellFormedCall).map(({ id, name, args }, index) => ({
      id: wireId(id),
      type: 'function',
      function: { name, arguments: wellFormed(args) },
      extra_content: extraContents[index],
    })),
  };
}

/**
 * Replaces lone surrogates: an interruption can cut a stored text between the two halves of a pair.
 * Vendors refuse a lone half such as `\ud83d`, in this turn and in every later one.
 */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}
