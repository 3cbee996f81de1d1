/** The state of a turn. `open` marks a running turn, and its placeholder in history. */
export const TURN_STATES = ['open', 'completed', 'interrupted', 'failed'] as const;
/** `open` while a turn is running, then how it ended. */
export type TurnState = (typeof TURN_STATES)[number];

/** A tool call as the model requested it. `args` is the model's JSON text, unchecked. */
export interface ToolCall {
  /** Unique within its turn. */
  readonly id: string;
  readonly name: string;
  readonly args: string;
}

/**
 * The state of a tool call. `interrupted`: it never began, or its signal ended it. `unknown`: it
 * began, but its process died before a result was stored.
 */
export type ToolCallState = 'running' | 'completed' | 'interrupted' | 'unknown';

/** What the caller said. */
export interface UserMessage {
  readonly role: 'user';
  readonly content: string;
  readonly turnId: string;
}

/** What the agent said, and the tools that its model called. */
export interface AssistantMessage {
  readonly role: 'assistant';
  /**
   * What was sent to the caller. After an interruption reported by the platform: what they heard.
   */
  readonly content: string;
  readonly turnId: string;
  readonly state: TurnState;
  /** The tools the model called after this text. Each has one `ToolMessage` in the same turn. */
  readonly toolCalls?: readonly ToolCall[];
  /** The name of the agent that spoke, if it is not the one the path names. */
  readonly agent?: string;
}

/** What came of one tool call. */
export interface ToolMessage {
  readonly role: 'tool';
  /** JSON text: the tool's result, or what stands in for it, such as `UNFINISHED_RESULTS`. */
  readonly content: string;
  readonly turnId: string;
  /** Unique within its run: models repeat ids in other runs of a turn. */
  readonly toolCallId: string;
  /** The run that made the call. Absent from copies for agents. */
  readonly runId?: number;
  /**
   * The address of the process that runs the call, if several share the conversation. For a call
   * that `joins` a claimed one: of the process that claimed it.
   */
  readonly process?: string;
  readonly state: ToolCallState;
  /**
   * The call's idempotency key. Absent if the arguments are not JSON: such calls match no other.
   */
  readonly key?: string;
  /** Set if the call waits for another one with the same key, instead of running itself. */
  readonly joins?: true;
  /** Set if the tool may run again and changes nothing outside: `hasEffects` says which do. */
  readonly isRepeatable?: true;
  /** The name of the agent that takes over from here. */
  readonly handOver?: string;
}

/** Identifies a tool call within its turn. Models repeat ids in other runs. */
export interface ToolCallId {
  /** Undefined if the run is not known. */
  readonly runId: number | undefined;
  readonly toolCallId: string;
}

/** One entry in a conversation's history. Each carries the id of its turn. */
export type Message = UserMessage | AssistantMessage | ToolMessage;

/**
 * The rounds of tool calls in these messages: the model's requests, each with the results that
 * follow. Only calls whose results are wanted, and only rounds that have any. `changes` replace
 * fields of the requests.
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
