// A request on the wire. https://platform.openai.com/docs/api-reference/chat/create

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
 * The JSON of one streaming request. It sets no token limit (the field's name differs from vendor to vendor, and a reply cut in
 * mid-sentence is worse than a long one) and leaves parallel tool calls at the vendors' default, on.
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
    // An empty list is refused by some (partITech/php-mistral#76).
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
  if (message.role === 'tool') return { role: 'tool', tool_call_id: wireId(message.toolCallId), content };
  if (message.role !== 'assistant' || message.toolCalls === undefined || message.toolCalls.length === 0) return { role: message.role, content };
  const extraContents = provider.signsToolCalls?.(model) === true ? signatures.recall(message.toolCalls.map(({ id }) => id)) : [];
  return {
    role: 'assistant',
    content: content === '' ? null : content,
    tool_calls: message.toolCalls.map(wellFormedCall).map(({ id, name, args }, index) => ({
      id: wireId(id),
      type: 'function',
      function: { name, arguments: wellFormed(args) },
      extra_content: extraContents[index],
    })),
  };
}

/** An interruption can cut a stored text between two surrogates. As `\ud83d` in JSON the rest is refused, turn after turn. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}
