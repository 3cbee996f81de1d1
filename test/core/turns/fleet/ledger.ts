// What can be seen of a talk with a fleet from outside: what was posted, what agents were asked and
// said, which tools acted, and what came over the wire.

import type { Caller } from '../talk-connections.ts';
import type { Acting } from '../talks.ts';
import type { Process } from './stage.ts';
import type { FleetOp, ToolName } from './talk.ts';

/** A turn: deliveries of the same id and words. */
export interface FleetTurn {
  readonly number: number;
  readonly words: string;
  readonly ops: readonly FleetOp[];
  readonly event: Readonly<Record<string, unknown>>;
  readonly deliveries: FleetDelivery[];
  readonly runs: FleetRun[];
  /** The platform's report of how much of it was heard. */
  report: FleetReport | undefined;
  /** Whether the database had its words at the last look. */
  isStored: boolean;
}

export interface FleetReport {
  readonly text: string;
  /** The turn whose message brings it. */
  readonly by: FleetTurn;
  /** Whether each process that got it could know the reported turn, or knew that it could not. */
  isKnown: boolean;
}

/** A request that delivers a turn, and its answer. */
export interface FleetDelivery {
  readonly turn: FleetTurn;
  readonly process: Process;
  /** The number of the step in which it was sent. */
  readonly step: number;
  readonly arrivedAtMs: number;
  /** Whether the database had its words already. */
  readonly isKnown: boolean;
  /** Whether its process had no store at some time before the stream ended. */
  wasAway: boolean;
  /** Whether the stream had ended at the last look. */
  isOver: boolean;
  caller: Caller | undefined;
  run: FleetRun | undefined;
}

/** One run of a turn, as its agents see it. */
export interface FleetRun {
  /** Counts all runs of a talk. */
  readonly n: number;
  readonly turn: FleetTurn;
  readonly delivery: FleetDelivery;
  readonly process: Process;
  readonly step: number;
  readonly startedAtMs: number;
  readonly turnId: string;
  /** What its models said, even if they said it when the run was over. */
  readonly pieces: string[];
  /** The calls that its models made, each as a tool's name and its arguments. */
  readonly calls: Set<string>;
  hasFailed: boolean;
  /** Why its signal fired. */
  abortReason: string | undefined;
  isOver(): boolean;
}

/** One occasion on which a tool began to act. */
export interface Act extends Acting {
  readonly tool: ToolName;
  readonly args: string;
  /** The agent whose tool it is. Undefined for tools that all agents share. */
  readonly agent: string | undefined;
  /** The idempotency key. */
  readonly key: string;
  readonly turnId: string;
  readonly delivery: FleetDelivery;
  readonly process: Process;
  readonly step: number;
  readonly beganAtMs: number;
  /** Whether the store has lost its claim and not got it back. */
  isLost: boolean;
  /** Whether the conversation has been cleared since its run began. */
  isCleared: boolean;
  /** Whether the conversation has been cleared since the call returned. */
  isForgotten: boolean;
}

export interface Clearing {
  readonly step: number;
  readonly atMs: number;
  readonly process: Process;
  /** The time that it is marked with. 0 until it has ended. */
  mark: number;
  /** Whether its process had no store when it ended. */
  wasAway: boolean;
  /**
   * The step after which the database was first seen to have it. Infinity while the database lacks
   * it.
   */
  storedBy: number;
  /** Whether the database ever had it. Before that, it dies with its process. */
  wasStored: boolean;
}

export interface FleetLedger {
  /** In order of arrival. */
  readonly turns: FleetTurn[];
  readonly deliveries: FleetDelivery[];
  readonly runs: FleetRun[];
  readonly acts: Act[];
  readonly clearings: Clearing[];
}

export const ONCE_TOOLS: readonly ToolName[] = ['pay', 'order'];

export function isOnce({ tool }: Act): boolean {
  return ONCE_TOOLS.includes(tool);
}

/** Whether the erasure has yet to reach the database, and will take what is there then. */
export function isPending({ storedBy, wasStored, process }: Clearing): boolean {
  return storedBy === Infinity && (wasStored || !process.isDead);
}

/** Everything that the run said. */
export function saidBy(run: FleetRun | undefined): string {
  return run?.pieces.join('') ?? '';
}

/** Everything that was spoken on the connection. */
export function heardOn({ caller }: FleetDelivery): string {
  return (caller?.events ?? [])
    .filter(({ type }) => type === 'response.tts')
    .map(({ content }) => String(content))
    .join('');
}

/** Whether the process has died, or the caller left before hearing the end. */
export function isCutOff({ caller, process }: FleetDelivery): boolean {
  return caller === undefined || process.isDead || (caller.hasLeft && !caller.hasEnded);
}
