// Messages in an order that the chat templates of open models take. Many refuse a prompt in which
// user and assistant do not take turns, or in which the assistant speaks first.

import type { ChatMessage } from './model.ts';

/** Stands where the caller has not spoken yet, in front of a welcome. */
const BEGINNING: ChatMessage = { role: 'user', content: '(the call begins)' };

/** Stands where the caller spoke before a reply to a tool's result. Templates count no tool. */
const SILENCE: ChatMessage = { role: 'assistant', content: '(nothing was said)' };

/**
 * The same messages with neighbours of one role as one, a user's message first behind the system's,
 * and the assistant's between a tool's result and the user.
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

/** Two neighbours as one message, or undefined. Results of tools stay apart: each has its call. */
function merge(first: ChatMessage, second: ChatMessage): ChatMessage | undefined {
  if (first.role === 'tool' || first.role !== second.role) return undefined;
  const texts = [first.content, second.content];
  const content = texts.filter((text) => text.trim() !== '').join('\n');
  if (first.role !== 'assistant' || second.role !== 'assistant') return { ...first, content };
  const toolCalls = [...(first.toolCalls ?? []), ...(second.toolCalls ?? [])];
  return { role: 'assistant', content, ...(toolCalls.length === 0 ? {} : { toolCalls }) };
}
