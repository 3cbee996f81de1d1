import type { LiveStates } from '../agents/state/live-state.ts';
import type { Redaction } from '../redaction/redaction.ts';
import type { ToolHost } from '../tools/tool-calling-turn.ts';
import type { OtherProcesses } from './other-processes.ts';
import type { Speakers } from './speakers.ts';
import type { Tracing } from './turn-trace.ts';
import type { CostOf, WorkObserver } from './turn-work.ts';

/** What all turns of a path share. */
export interface TurnHost extends ToolHost {
  readonly speakers: Speakers;
  /**
   * Longest time of a turn, from the verified event. A turn that takes longer fails: its agent is
   * aborted, and the caller hears the apology.
   */
  readonly turnTimeoutMs: number;
  /** The same, for a turn that has not spoken a word. */
  readonly firstWordTimeoutMs: number;
  /** Undefined if no messages are exchanged with other processes. */
  readonly others: OtherProcesses | undefined;
  /**
   * How long a turn that the platform may replace must have stood before its tools change
   * anything, in milliseconds.
   */
  readonly settleMs: number;
  /** How long the end of a reply may wait for the store, in milliseconds. */
  readonly storeTimeoutMs: number;
  /** Undefined for an agent without a state. */
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  /** For the record of a call. Undefined: models have no price. */
  readonly costOf: CostOf | undefined;
  readonly tracing: Tracing;
  /** Undefined for an agent that redacts nothing. */
  readonly redaction: Redaction | undefined;
  /** Whether turns store figures for the record of their call. */
  readonly recordsCalls: boolean;
  /** Whether turns store what their models were sent and answered. */
  readonly capturesRequests: boolean;
}
