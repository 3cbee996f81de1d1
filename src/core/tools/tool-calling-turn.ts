// What tool calls need from the turn that makes them, and from what all turns share.

import type { Logger } from '../../base/log.ts';
import type { EarlierToolCall } from '../conversations/discarded-turns.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { Message, ToolCall, ToolCallState } from '../conversations/message.ts';
import type { LiveState } from '../state/live-state.ts';
import type { OtherToolCalls } from './tool-call-elsewhere.ts';
import type { RunningToolCalls } from './tool-calls-running.ts';
import type { ToolCallOutcome } from './tool-run.ts';

/** How a tool call ended. `unknown`: it may have acted. */
export type ToolEnd = ToolCallOutcome | 'unknown';

/** A tool call in the reply, and what is known about its result. */
export interface SpokenToolCall {
  readonly call: ToolCall;
  key: string | undefined;
  readonly runId: number;
  /** The address of the process that runs it, if several share the conversation. */
  process: string | undefined;
  /** Whether it waits for a call with the same key, instead of running itself. */
  joins?: boolean;
  /** See `ToolMessage.isRepeatable`. */
  isRepeatable?: true;
  state: ToolCallState;
  content: string;
  /** Name of the agent that it handed the conversation over to. */
  handOver?: string;
}

export interface ToolCallingTurn {
  readonly host: ToolHost;
  readonly conversationId: string;
  readonly turnId: string;
  /** What names the turn in the keys of its calls. */
  readonly place: string;
  readonly runId: number;
  /**
   * Whether the platform may ask for another reply instead, and discard this turn: such a platform
   * sends the whole call with each request.
   */
  readonly mayBeReplaced: boolean;
  /** When calls with effects may start, by `performance.now()`, if the turn may be replaced. */
  readonly settlesAtMs: number;
  /** Whether its tools may change anything: see `OpenedTurn.mayAct`. */
  readonly mayAct: boolean;
  /** See `OpenedTurn`. */
  readonly erasedAt: number;
  /** Fires when the turn is over, unless it completes. */
  readonly signal: AbortSignal;
  /** False for a turn that leaves nothing in history. */
  readonly isStored: boolean;
  readonly isOver: boolean;
  /** What the turn has said and called. */
  readonly spoken: {
    /** The agent that speaks. Undefined: the path's own agent. */
    readonly speaker: string | undefined;
    /** All fillers of the turn. Undefined if there was none. */
    readonly filler: string | undefined;
    /** Notes calls that a model made together. */
    noteCalls(calls: readonly SpokenToolCall[]): void;
    /** The reply as history holds it. */
    messages(turnId: string, state: 'open'): Message[];
  };
  readonly work: ToolWork;
  /** Undefined until `work` has been asked for. */
  readonly workSoFar: ToolWork | undefined;
  /** Undefined if the turn is not traced. */
  readonly trace: ToolTrace | undefined;
  /** The agent's state, which calls may change. Undefined for an agent without one. */
  readonly liveState: LiveState | undefined;
  readonly log: Logger;
  /** Calls of other runs of the turn that this one might not know of. */
  learn(calls: readonly EarlierToolCall[]): void;
  /** Ends the turn, if it is not over. */
  interrupt(reason: string): void;
  /** Ends the turn, because another process runs it from now on. */
  giveAway(): void;
}

/** What tools did for a turn. */
interface ToolWork {
  /** The turn has waited for the store since `fromMs`, by `performance.now()`. */
  noteStore(step: 'tool_calls', fromMs: number): void;
  /** The turn waits until calls may have effects. */
  settlingBegan(): void;
  settlingEnded(): void;
  toolBegan(tool: string, call: ToolCall): void;
  /** `content` is what the model is told, `error` why it failed. */
  toolEnded(id: string, outcome: ToolEnd, content: string, error: unknown): void;
}

interface ToolTrace {
  /** Runs a step of the call with this id. What the step sets off belongs to the call. */
  runTool<T>(toolCallId: string, step: () => T): T;
}

/** What the calls of all turns share. */
export interface ToolHost {
  readonly conversations: ConversationManager;
  readonly calls: RunningToolCalls;
  /** Undefined if no messages are exchanged with other processes. */
  readonly others: OtherToolCalls | undefined;
  /** The address of this process. Undefined if no other process shares the conversations. */
  readonly process: string | undefined;
  readonly observer: { unknownOutcome(tool: string): void } | undefined;
  /** Makes a shutdown wait for a write. */
  track(write: Promise<unknown>): void;
}

/** Reports a call whose outcome is unknown: someone has to look into it. */
export function noteUnknown(
  { observer }: Pick<ToolHost, 'observer'>,
  log: Logger,
  fields: Readonly<Record<string, unknown>> & { readonly tool: string },
): void {
  log.error('the outcome of a tool call is unknown', fields);
  observer?.unknownOutcome(fields.tool);
}
