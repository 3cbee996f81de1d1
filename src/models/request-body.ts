// The body of a request. https://platform.openai.com/docs/api-reference/chat/create

import { alternateRoles } from './alternating-roles.ts';
import type { ChatMessage, ToolDefinition } from './model.ts';
import type { Provider } from './providers.ts';
import type { ToolCallSignatures } from './tool-call-signatures.ts';
import { wellFormedCall } from './well-formed-call.ts';

export interface RequestBodyParts {
  readonly provider: Provider;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ToolDefinition[];
  readonly signatures: ToolCallSignatures;
}

/**
 * The JSON of one streaming request. Sets no token limit: the field's name differs between vendors,
 * and a reply that is cut off is worse than a long one. Leaves parallel tool calls at the vendors'
 * default, which is on.
 */
export function createRequestBody(parts: RequestBodyParts): string {
  const { provider, model, tools } = parts;
  const isAnyOrder = provider.servesOwnModels === true;
  const messages = isAnyOrder ? parts.messages : alternateRoles(parts.messages);
  return JSON.stringify({
    model,
    messages: messages.map((message) => toWire(message, parts)),
    stream: true,
    stream_options: provider.takesStreamOptions === false ? undefined : { include_usage: true },
    reasoning_effort: provider.reasoningEffort?.(model),
    // Some vendors refuse an empty list (partITech/php-mistral#76).
    tools: tools.length === 0 ? undefined : tools.map(toolOnWire),
  });
}

/** Its three fields, whatever else the object has: vendors refuse a field they do not know. */
function toolOnWire({ name, description, parameters }: ToolDefinition): object {
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
