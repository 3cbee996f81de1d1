// A round of tool calls: the message in which the model asks for them, and the results that follow.

import type { AssistantMessage, Message, ToolMessage } from './message.ts';

/**
 * The rounds in these messages, with only the calls whose results are wanted. A round without any
 * is left out. `changes` replace fields of the requests.
 */
export function roundsOf(
  messages: readonly Message[],
  isWanted: (result: ToolMessage) => boolean,
  changes: Partial<Pick<AssistantMessage, 'content' | 'state'>>,
): Message[] {
  const rounds: Message[] = [];
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'assistant' || message.toolCalls === undefined) continue;
    const results = resultsAfter(messages, index).filter(isWanted);
    if (results.length === 0) continue;
    const ids = new Set(results.map(({ toolCallId }) => toolCallId));
    const toolCalls = message.toolCalls.filter(({ id }) => ids.has(id));
    rounds.push({ ...message, ...changes, toolCalls }, ...results);
  }
  return rounds;
}

/** The results that follow the message at this index. */
function resultsAfter(messages: readonly Message[], index: number): readonly ToolMessage[] {
  const results: ToolMessage[] = [];
  for (const message of messages.slice(index + 1)) {
    if (message.role !== 'tool') break;
    results.push(message);
  }
  return results;
}
