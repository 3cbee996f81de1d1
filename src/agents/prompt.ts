import { UNFINISHED_RESULTS, type Message, type ToolCall } from '../conversations/message.ts';
import type { ChatMessage } from '../models/model.ts';

/**
 * A history as a model takes it: the system's prompt first, neighbouring messages of the caller as
 * one, an interrupted reply marked so that the model knows the rest was not heard. Every tool call
 * is followed by exactly one result, and no result stands without its call, whichever was lost:
 * vendors answer 400 to either, for as long as the history holds it.
 */
export function toChatMessages(prompt: string, history: readonly Message[]): ChatMessage[] {
  const messages: ChatMessage[] = [{ role: 'system', content: prompt }];
  for (const [index, message] of history.entries()) {
    if (message.role === 'user') addUser(messages, message.content);
    else if (message.role === 'assistant') {
      const content =
        message.state === 'interrupted' && message.content.trim() !== ''
          ? `${message.content} [interrupted]`
          : message.content;
      const { toolCalls = [] } = message;
      if (toolCalls.length > 0)
        addCalls(messages, content, toolCalls, resultsAfter(history, index, message.turnId));
      else if (content.trim() !== '') messages.push({ role: 'assistant', content });
    }
  }
  return messages;
}

function addUser(messages: ChatMessage[], content: string): void {
  if (content.trim() === '') return;
  const last = messages.at(-1);
  if (last?.role === 'user')
    messages[messages.length - 1] = { role: 'user', content: `${last.content}\n${content}` };
  else messages.push({ role: 'user', content });
}

/** The calls and their results side by side. */
function addCalls(
  messages: ChatMessage[],
  content: string,
  toolCalls: readonly ToolCall[],
  results: ReadonlyMap<string, string>,
): void {
  messages.push({ role: 'assistant', content, toolCalls });
  for (const { id } of toolCalls)
    messages.push({
      role: 'tool',
      toolCallId: id,
      content: results.get(id) ?? UNFINISHED_RESULTS.interrupted,
    });
}

/** By the call's id, up to the next calls: some vendors count their ids anew in each reply. */
function resultsAfter(
  history: readonly Message[],
  index: number,
  turnId: string,
): ReadonlyMap<string, string> {
  const results = new Map<string, string>();
  for (const message of history.slice(index + 1)) {
    if (
      message.turnId !== turnId ||
      (message.role === 'assistant' && message.toolCalls !== undefined)
    )
      break;
    if (message.role === 'tool' && !results.has(message.toolCallId))
      results.set(message.toolCallId, message.content);
  }
  return results;
}
