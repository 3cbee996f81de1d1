/** How far a turn has come. `open` marks a turn that still runs, and its placeholder in history. */
export const TURN_STATES = ['open', 'completed', 'interrupted', 'failed'] as const;
export type TurnState = (typeof TURN_STATES)[number];

/**
 * A tool call, as the model asked for it. `args` is the JSON text that the model wrote, unchecked.
 */
export interface ToolCall {
  /** Unique within its turn. */
  readonly id: string;
  readonly name: string;
  readonly args: string;
}

/**
 * How far a tool call has come. `interrupted`: it never began, or it ended because of its signal.
 * `unknown`: it began, and the process that ran it died before a result was stored.
 */
export type ToolCallState = 'running' | 'completed' | 'interrupted' | 'unknown';

export interface UserMessage {
  readonly role: 'user';
  readonly content: string;
  readonly turnId: string;
}

export interface AssistantMessage {
  readonly role: 'assistant';
  /**
   * What the caller was sent. After an interruption that the platform reported: what the caller
   * heard.
   */
  readonly content: string;
  readonly turnId: string;
  readonly state: TurnState;
  /**
   * The tools that the model called after this text. Each has one `ToolMessage` in the same turn.
   */
  readonly toolCalls?: readonly ToolCall[];
  /** The name of the agent that spoke, if it is another than the one of the path. */
  readonly agent?: string;
}

export interface ToolMessage {
  readonly role: 'tool';
  /** JSON text: the tool's result, or one of `UNFINISHED_RESULTS`. */
  readonly content: string;
  readonly turnId: string;
  readonly toolCallId: string;
  readonly state: ToolCallState;
  /**
   * The call's idempotency key. Absent where its arguments are not JSON: such a call matches no
   * other.
   */
  readonly key?: string;
  /** The name of the agent that speaks from here on. */
  readonly handOver?: string;
}

/** One entry of a conversation's history. Every entry carries the id of the turn it belongs to. */
export type Message = UserMessage | AssistantMessage | ToolMessage;

/** What a model is told about a call that has no result. JSON text. */
export const UNFINISHED_RESULTS = {
  running: '{"status":"still running"}',
  interrupted: '{"error":"interrupted"}',
  unknown: '{"error":"outcome unknown"}',
} as const satisfies Readonly<Record<Exclude<ToolCallState, 'completed'>, string>>;

/**
 * What a turn sent to the caller, in order: enough to send it again. `json` is the text of a JSON
 * value.
 */
export type SentEvent =
  | { readonly type: 'say'; readonly text: string; readonly isFiller?: true }
  | { readonly type: 'data'; readonly json: string }
  | { readonly type: 'hangup' };
