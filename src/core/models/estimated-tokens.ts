// Tokens of requests whose vendor has not reported them, usually because the request was cut off:
// most vendors report them at the end.

import type { ToolCall } from '../conversations/message.ts';
import type {
  ChatMessage, ModelAnswer, ModelTokens, ModelTool, RequestFailure, UsedTokens,
} from './model.ts';

/**
 * About right for English. Other languages have fewer characters per token, so their tokens are
 * underestimated.
 */
const CHARACTERS_PER_TOKEN = 4;

/** Tokens of a text of this many characters, rounded up. */
export function estimatedTokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/** The number of characters that a model is sent, without the names of fields. */
export function charactersSent(
  messages: readonly ChatMessage[],
  tools: readonly ModelTool[] = [],
): number {
  let characters = 0;
  for (const message of messages) {
    characters += message.content.length;
    if (message.role === 'assistant') characters += charactersOfCalls(message.toolCalls);
  }
  for (const { name, description, parameters } of tools)
    characters += name.length + description.length + JSON.stringify(parameters).length;
  return characters;
}

/** The number of characters that a model has answered. */
export function charactersAnswered(answer: ModelAnswer): number {
  return answer.text.length + charactersOfCalls(answer.calls);
}

function charactersOfCalls(calls: readonly ToolCall[] = []): number {
  return calls.reduce((sum, { name, args }) => sum + name.length + args.length, 0);
}

/** A request that got no complete answer. */
interface CutRequest {
  readonly failure: RequestFailure;
  readonly charactersSent: number;
  readonly charactersAnswered: number;
  /** What the vendor had reported by then. */
  readonly tokens?: ModelTokens | undefined;
}

/**
 * What a request without a complete answer has used. Undefined: nothing, because it was refused.
 */
export function tokensOfCut(request: CutRequest): UsedTokens | undefined {
  const { failure, tokens: { inputTokens, outputTokens, cachedTokens } = NO_TOKENS } = request;
  const isReported = inputTokens !== undefined || outputTokens !== undefined;
  if (!isReported && request.charactersAnswered === 0 && !IS_WORKED_ON[failure]) return undefined;
  return {
    inputTokens: inputTokens ?? estimatedTokens(request.charactersSent),
    outputTokens: outputTokens ?? estimatedTokens(request.charactersAnswered),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
    isEstimated: inputTokens === undefined || outputTokens === undefined,
  };
}

const NO_TOKENS: ModelTokens = { inputTokens: undefined, outputTokens: undefined };

/** Whether the vendor has probably read a request that failed like this. */
const IS_WORKED_ON: Readonly<Record<RequestFailure, boolean>> = {
  bad_model_name: false, bad_base_url: false, key_missing: false, key_refused: false,
  rate_limited: false, no_credit: false, http_error: false, connect_timeout: false,
  first_delta_timeout: true, idle_timeout: true, total_timeout: true, connection_failed: false,
  connection_dropped: true, malformed_stream: true, error_in_stream: true, empty_reply: true,
  unclosed_thought: true, content_filter: true, reply_too_large: true, limit_reached: false,
  interrupted: true, failed: false,
};
