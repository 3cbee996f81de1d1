import type { Agent } from '../agents/agent.ts';
import type { Speakers } from '../agents/speakers.ts';
import type { Caller, TurnEvent } from '../calls/call-event.ts';
import type { Message } from '../conversations/message.ts';
import type { OpenedTurn } from '../conversations/opened-turn.ts';
import type { TurnSettlement } from '../conversations/turn-settlement.ts';
import type { LiveState, LiveStates } from '../state/live-state.ts';
import type { ToolCallingTurn, ToolHost } from '../tools/tool-calling-turn.ts';
import type { ToolCalls } from '../tools/tool-calls.ts';
import type { Delivery } from './delivery.ts';
import type { OtherProcesses } from './other-processes.ts';
import type { SpeakingTurn } from './reply.ts';
import type { FigureTaker } from './report/figures.ts';
import type { Tracing, TurnTrace } from './report/turn-trace.ts';
import type { CostOf, TurnWork, WorkObserver } from './report/turn-work.ts';
import type { SpokenReply } from './spoken-reply.ts';
import type { AgentValues, Values } from './values.ts';

/**
 * One run of a turn, as its parts see it: its record, its clock, its agents and what they are told.
 * `RunningTurn` is made of these parts. Imports must not form a circle, so the parts cannot import
 * it.
 */
export interface TurnRun extends ToolCallingTurn, SpeakingTurn {
  readonly host: TurnHost;
  /** Its event, as the wire has understood it. */
  readonly event: TurnEvent;
  /** The event as the agent is told it: values have their numbers, once the record is open. */
  readonly told: TurnEvent;
  /** Replaced when the same turn is delivered again. */
  readonly delivery: Delivery;
  /** The turn of this conversation that was still running here when this one arrived. */
  readonly older: TurnRun | undefined;
  /** Undefined until the record is open, and for a turn that leaves nothing in history. */
  readonly opened: OpenedTurn | undefined;
  /** On the clock of `performance.now()`. */
  readonly startedAtMs: number;
  /** From the start to the first spoken event, in milliseconds. */
  readonly firstSpeechMs: number | undefined;
  /** The same without fillers. */
  readonly firstWordMs: number | undefined;
  /** The one timer of the turn. It is cleared when the turn ends. */
  timer: NodeJS.Timeout | undefined;
  readonly spoken: SpokenReply;
  /** The agent that speaks. */
  readonly agent: Agent;
  readonly history: readonly Message[];
  readonly caller: Caller | undefined;
  /** Whether the agent has a state. */
  readonly hasState: boolean;
  readonly state: unknown;
  /** Whether the platform passes data on to a browser. */
  readonly hasBrowser: boolean;
  /** Created on first use. */
  readonly calls: ToolCalls;
  /** The same, without creating it. */
  readonly callsSoFar: ToolCalls | undefined;
  readonly liveState: LiveState | undefined;
  /** Created on first use. */
  readonly work: TurnWork;
  /** The same, without creating it. */
  readonly workSoFar: TurnWork | undefined;
  /** Undefined if the turn is not traced. */
  readonly trace: TurnTrace | undefined;
  /** Undefined for an agent that redacts nothing. */
  readonly values: Values | undefined;
  /** Why it failed. */
  readonly error: unknown;
  /** What history would hold if the turn were interrupted now. */
  soFar(): TurnSettlement;
  /** The agent has ended, and has handed the conversation over. */
  handOver(): void;
  fail(error: unknown): void;
}

/** What turns read of a server's settings: server/settings/table.ts says what they mean. */
export interface TurnSettings {
  readonly turnTimeoutSeconds: number;
  readonly firstWordTimeoutSeconds: number;
  readonly settleMs: number;
  readonly storeTimeoutMs: number;
  /** Undefined: no limit. */
  readonly maxReplyWords: number | undefined;
}

/** How the turns of a path run. */
export interface RunOptions {
  readonly settings: TurnSettings;
  /** For the record of a call. Default: models have no price. */
  readonly costOf?: CostOf | undefined;
  readonly tracing: Tracing;
  /** Undefined for an agent that redacts nothing. */
  readonly values?: AgentValues | undefined;
  /** Undefined if no agent does anything besides speaking, and turns wait for no store. */
  readonly agentWork: typeof import('./agent-work.ts') | undefined;
  /** Undefined if turns store no figures for the record of their call. */
  readonly figures?: FigureTaker | undefined;
}

/** What all turns of a path share. It is told when one of them has nothing left to do. */
export interface TurnHost extends ToolHost {
  readonly options: RunOptions;
  readonly speakers: Speakers;
  /** Undefined if no messages are exchanged with other processes. */
  readonly others: OtherProcesses | undefined;
  /** Undefined for an agent without a state. */
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  /**
   * Calls `listener` when a turn of the conversation has ended here. Returns a function that stops
   * it.
   */
  awaitEnd(conversationId: string, listener: () => void): () => void;
  /** The turn is settled. */
  ended(turn: TurnRun): void;
  /** The turn's complete reply should have departed, but the client has no room for it yet. */
  delayed(turn: TurnRun): void;
}
