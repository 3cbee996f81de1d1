// Spoken words in the form that the conventions want: `gen_ai.input.messages` and
// `gen_ai.output.messages`.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { ModelAnswer } from '../../core/agents/agent.ts';

/**
 * Maximum length of a prompt in a span, in characters. Beyond that it loses its oldest messages.
 */
const MAX_PROMPT_LENGTH = 262_144;

/** One message that was spoken, as JSON text. */
export function spokenMessage(role: 'user' | 'assistant', content: string): string {
  return JSON.stringify([{ role, parts: [{ type: 'text', content }] }]);
}

/** What a model has answered. `finishReason`: why the answer ended, if known. */
export function answeredMessage({ text, calls }: ModelAnswer, finishReason?: string): string {
  const parts = [
    ...textParts(text),
    ...calls.map(({ id, name, args }) => ({
      type: 'tool_call', id, name, arguments: parseJson(args) ?? args,
    })),
  ];
  const ended = calls.length === 0 ? 'stop' : 'tool_call';
  const finish_reason = finishReason === 'length' ? finishReason : ended;
  return JSON.stringify([{ role: 'assistant', parts, finish_reason }]);
}

/**
 * The messages of a request on the Chat Completions wire: `body` is its JSON. Undefined for any
 * other body.
 */
export function promptMessages(body: string): string | undefined {
  const request = parseJson(body);
  if (!isObject(request) || !Array.isArray(request['messages'])) return undefined;
  const messages = request['messages'].filter(isObject).map((message) => JSON.stringify({
    role: message['role'], parts: partsOf(message),
  }));
  let length = messages.reduce((sum, message) => sum + message.length + 1, 1);
  let first = 0;
  for (; length > MAX_PROMPT_LENGTH && first < messages.length; first++)
    length -= (messages[first]?.length ?? 0) + 1;
  return `[${messages.slice(first).join(',')}]`;
}

function partsOf(message: Readonly<Record<string, unknown>>): readonly object[] {
  const { role, content, tool_call_id: id, tool_calls: calls } = message;
  if (role === 'tool') return [{ type: 'tool_call_response', id, response: content }];
  const called = (Array.isArray(calls) ? calls : []).filter(isObject).map((call) => {
    const { name, arguments: args } = isObject(call['function']) ? call['function'] : {};
    const parsed = typeof args === 'string' ? (parseJson(args) ?? args) : args;
    return { type: 'tool_call', id: call['id'], name, arguments: parsed };
  });
  return [...textParts(content), ...called];
}

function textParts(content: unknown): readonly object[] {
  return typeof content === 'string' && content !== '' ? [{ type: 'text', content }] : [];
}
