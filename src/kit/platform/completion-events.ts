// What a Chat Completion says, streamed or whole.

import { isEventStream, readBody, readText } from '../../base/abortable-body.ts';
import { isObject } from '../../base/fields.ts';
import { parseJson, type Json, type JsonObject } from '../../base/json.ts';
import { decodeEvents } from '../../base/sse/decode.ts';

/** A type, because an interface is not assignable to JSON. */
export type PlatformToolCall = {
  readonly id: string;
  readonly name: string;
  /** As a model would write them: nearly always JSON. */
  readonly arguments: string;
};

export type ReceivedPart =
  | { readonly type: 'content'; readonly content: string }
  /** One of the platform's tools is to be called. Our server sends each call in one piece. */
  | { readonly type: 'tool_call'; readonly content: PlatformToolCall }
  /** Why the reply is over: `stop` or `tool_calls`. */
  | { readonly type: 'finish'; readonly content: string }
  | { readonly type: 'usage' | 'error'; readonly content: JsonObject }
  | { readonly type: 'done' };

/**
 * The events of an answer. An answer that is not a completion has none, and is left unread. `named`
 * is told the completion's id.
 */
export async function* completionEvents(
  response: Response,
  signal: AbortSignal,
  named: (id: string) => void = () => undefined,
): AsyncGenerator<ReceivedPart, void, undefined> {
  if (isEventStream(response)) {
    for await (const { data } of decodeEvents(readBody(response, signal)))
      yield* eventsIn(data, named);
  } else if (response.ok) yield* eventsIn(await readText(response, signal), named);
}

/** What the data of one SSE event says, or a whole completion. */
function eventsIn(data: string, named: (id: string) => void): readonly ReceivedPart[] {
  if (data === '[DONE]') return [{ type: 'done' }];
  const chunk: unknown = parseJson(data);
  if (!isObject(chunk)) return [];
  const { id, choices, usage, error } = chunk as JsonObject;
  if (typeof id === 'string') named(id);
  const events: ReceivedPart[] = [];
  if (isObject(error)) events.push({ type: 'error', content: error as JsonObject });
  const [choice] = Array.isArray(choices) ? (choices as readonly Json[]) : [];
  if (isObject(choice)) events.push(...eventsOfChoice(choice as JsonObject));
  if (isObject(usage)) events.push({ type: 'usage', content: usage as JsonObject });
  return events;
}

function eventsOfChoice({ delta, message, finish_reason: reason }: JsonObject): ReceivedPart[] {
  const events: ReceivedPart[] = [];
  const said: unknown = delta ?? message;
  const { content, tool_calls: calls } = (isObject(said) ? said : {}) as JsonObject;
  if (typeof content === 'string' && content !== '') events.push({ type: 'content', content });
  for (const call of Array.isArray(calls) ? (calls as readonly Json[]) : []) {
    if (isObject(call)) events.push({ type: 'tool_call', content: toolCallOf(call as JsonObject) });
  }
  if (typeof reason === 'string') events.push({ type: 'finish', content: reason });
  return events;
}

function toolCallOf({ id, function: called }: JsonObject): PlatformToolCall {
  const { name, arguments: args } = (isObject(called) ? called : {}) as JsonObject;
  return { id: String(id), name: String(name), arguments: typeof args === 'string' ? args : '{}' };
}
