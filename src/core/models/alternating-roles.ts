// Puts messages into an order that the chat templates of open models accept. Many templates refuse
// a prompt in which user and assistant do not alternate, or in which the assistant speaks first.

import type { ChatMessage } from './model.ts';

/** Precedes a welcome: the caller has not spoken yet. */
const BEGINNING: ChatMessage = { role: 'user', content: '(the call begins)' };

/**
 * Stands between a tool's result and the caller's next words. Templates do not count the tool as a
 * speaker.
 */
const SILENCE: ChatMessage = { role: 'assistant', content: '(nothing was said)' };

/**
 * The same messages in alternating order:
 *
 * - Neighbours with the same role become one message.
 * - The first message after the system's is the user's.
 * - The assistant speaks between a tool's result and the user.
 */
export function alternateRoles(messages: readonly ChatMessage[]): ChatMessage[] {
  const alternating: ChatMessage[] = [];
  for (const message of messages) {
    const last = alternating.at(-1);
    const isFirst = last === undefined || last.role === 'system';
    const isReply = message.role === 'assistant' || message.role === 'tool';
    if (isFirst && isReply) alternating.push(BEGINNING);
    if (last?.role === 'tool' && message.role === 'user') alternating.push(SILENCE);
    const merged = last === undefined ? undefined : merge(last, message);
    if (merged === undefined) alternating.push(message);
    else alternating[alternating.length - 1] = merged;
  }
  if (alternating.every(({ role }) => role === 'system')) alternating.push(BEGINNING);
  return alternating;
}

/**
 * Two neighbouring messages as one, or undefined. Tool results are never merged, because each
 * answers its own call.
 */
function merge(first: ChatMessage, second: ChatMessage): ChatMessage | undefined {
  if (first.role === 'tool' || first.role !== second.role) return undefined;
  const texts = [first.content, second.content];
  const content = texts.filter((text) => text.trim() !== '').join('\n');
  if (first.role !== 'assistant' || second.role !== 'assistant') return { ...first, content };
  const toolCalls = [...(first.toolCalls ?? []), ...(second.toolCalls ?? [])];
  return { role: 'assistant', content, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}
