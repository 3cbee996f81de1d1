import type { AssistantMessage, Message, ToolCall } from '../conversations/message.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import type { ChatMessage } from '../models/model.ts';

/** Tells the model that the caller did not hear the rest. */
const MARK = '[interrupted]';
/** For a caller who stays silent. Many models refuse a prompt that ends with their own words. */
const SILENCE = '(the caller says nothing)';

/**
 * A history in the form models accept: the system prompt first, consecutive messages of the caller
 * merged, and interrupted replies marked at their end. Every tool call is followed by exactly one
 * result, and no result appears without its call, whichever of them was lost. Vendors answer 400
 * to either fault, for as long as history holds it.
 *
 * When messages are added, earlier ones do not change, so that vendors find them in their caches.
 * This is why the mark comes after a turn's tool calls: they may have been sent before the
 * interruption.
 */
export function toChatMessages(prompt: string, history: readonly Message[]): ChatMessage[] {
  const messages: ChatMessage[] = [{ role: 'system', content: prompt }];
  /** The agent's last message in this turn. */
  let said: AssistantMessage | undefined;
  for (const [index, message] of history.entries()) {
    if (said !== undefined && said.turnId !== message.turnId) {
      if (isCutAfterCalls(said)) messages.push({ role: 'assistant', content: MARK });
      said = undefined;
    }
    if (message.role === 'user') addUser(messages, message.content);
    else if (message.role === 'assistant') {
      said = message;
      const { content, toolCalls = [] } = message;
      if (toolCalls.length > 0)
        addCalls(messages, content, toolCalls, resultsAfter(history, index, message.turnId));
      else if (content.trim() !== '')
        messages.push({ role: 'assistant', content: marked(message) });
    }
  }
  return messages;
}

function marked({ content, state }: AssistantMessage): string {
  return state === 'interrupted' ? `${content} ${MARK}` : content;
}

/** Whether a turn was interrupted after it had spoken and called tools. */
function isCutAfterCalls({ state, content, toolCalls }: AssistantMessage): boolean {
  return state === 'interrupted' && toolCalls !== undefined && content.trim() !== '';
}

function addUser(messages: ChatMessage[], content: string): void {
  const isSilent = content.trim() === '';
  const last = messages.at(-1);
  if (last?.role !== 'user') messages.push({ role: 'user', content: isSilent ? SILENCE : content });
  else if (!isSilent) {
    const all = last.content === SILENCE ? content : `${last.content}\n${content}`;
    messages[messages.length - 1] = { role: 'user', content: all };
  }
}

/** Adds the calls, each with its result. */
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

/**
 * Results by call id, up to the next round of calls: some vendors restart their ids in each reply.
 */
function resultsAfter(
  history: readonly Message[],
  index: number,
  turnId: string,
): ReadonlyMap<string, string> {
  const results = new Map<string, string>();
  for (const message of history.slice(index + 1)) {
    if (
      message.turnId !== turnId
      || (message.role === 'assistant' && message.toolCalls !== undefined)
    )
      break;
    if (message.role === 'tool' && !results.has(message.toolCallId))
      results.set(message.toolCallId, message.content);
  }
  return results;
}
