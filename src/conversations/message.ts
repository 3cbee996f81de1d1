/** How far the turn of an assistant's message has come. `open` is the placeholder of a turn that still runs. */
export type TurnState = 'open' | 'completed' | 'interrupted' | 'failed';

/** A call of a tool, as the model asked for it. `args` is the JSON text the model wrote, unchecked. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly args: string;
}

export interface UserMessage {
  readonly role: 'user';
  readonly content: string;
  readonly turnId: string;
}

export interface AssistantMessage {
  readonly role: 'assistant';
  /** What the caller was sent, or, after an interruption the platform told of, what the caller heard. */
  readonly content: string;
  readonly turnId: string;
  readonly state: TurnState;
  /** The tools the model called after this text, each answered by one `ToolMessage` of the same turn. */
  readonly toolCalls?: readonly ToolCall[];
}

export interface ToolMessage {
  readonly role: 'tool';
  readonly content: string;
  readonly turnId: string;
  readonly toolCallId: string;
}

/** One entry of a conversation's history. Every entry carries the id of the turn it belongs to. */
export type Message = UserMessage | AssistantMessage | ToolMessage;

/** What a turn sent to the caller, in order: enough to send it again. `json` is the text of a JSON value. */
export type SentEvent =
  | { readonly type: 'say'; readonly text: string; readonly isFiller?: true }
  | { readonly type: 'data'; readonly json: string }
  | { readonly type: 'hangup' };
