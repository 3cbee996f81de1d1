// What can be seen of a talk with a platform from outside: what was asked, what the agent was told
// and said, which tools acted, and what came over the wire.

import type { Acting } from '../talks.ts';
import type { Utterance } from './call.ts';
import type { Connection } from './connection.ts';
import type { ModelOp, ToolName } from './talk.ts';

/** What a request says was said before the caller's words. */
export interface ToldHistory {
  /** The words of all earlier utterances, and what was heard after each. */
  readonly all: readonly ToldUtterance[];
  /** How many of the last utterances are in the request. */
  readonly sent: number;
  /** Whether a reply of the agent's is in the request. */
  readonly hasReply: boolean;
}

export interface ToldUtterance {
  readonly words: string;
  /** How many lines are told after the words. */
  readonly lines: number;
  readonly heard: string;
  /** Whether only lines of the platform are told, which say nothing about the reply. */
  readonly isUntold: boolean;
}

/** A request whose bytes are new. */
export interface Attempt {
  readonly n: number;
  readonly kind: 'words' | 'silence' | 'late' | 'after a tool';
  readonly utterance: Utterance;
  readonly words: string;
  readonly ops: readonly ModelOp[];
  readonly body: string;
  /** Requests for which this is the same are for the same turn. */
  readonly identity: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly told: ToldHistory;
  /** How many messages come before its words. */
  readonly lines: number;
  /** The attempt whose words it corrects. */
  readonly corrects: Attempt | undefined;
  readonly deliveries: Delivery[];
  readonly runs: Run[];
}

/** One occasion on which its bytes are sent. */
export interface Delivery {
  readonly attempt: Attempt;
  readonly connection: Connection;
  /** The place of the process that got it. */
  readonly process: number;
  readonly arrivedAtMs: number;
  /** The runs that were not over when it was sent. */
  readonly openRuns: readonly Run[];
}

/** One run of a turn, as the agent sees it. */
export interface Run {
  /** Counts all runs of a talk. */
  readonly n: number;
  readonly attempt: Attempt;
  readonly turnId: string;
  readonly pieces: string[];
  /** Keys of the tool calls that its history shows. */
  readonly knownKeys: ReadonlySet<string>;
  hasFailed: boolean;
  abortReason: string | undefined;
  isOver(): boolean;
}

/** One occasion on which a tool began to act. */
export interface Act extends Acting {
  readonly tool: ToolName;
  readonly args: string;
  readonly key: string;
  readonly run: Run;
  readonly beganAtMs: number;
  /** Undefined while it runs. */
  endedAtMs: number | undefined;
}

export interface PlatformLedger {
  readonly attempts: Attempt[];
  readonly runs: Run[];
  readonly acts: Act[];
}

/**
 * Whether a reply to utterance `n` was still running in another process when the request was sent:
 * the process that got the request does not know yet what was said.
 */
export function wasOpenElsewhere(n: number, { deliveries }: Attempt): boolean {
  const { process: here, openRuns = [] } = deliveries.at(-1) ?? {};
  return openRuns.some(
    ({ attempt }) =>
      attempt.utterance.n === n && attempt.deliveries.some(({ process }) => process !== here),
  );
}

/**
 * Whether a later utterance cannot be told from utterance `n`: older messages were left out of both
 * requests, and the rest is the same.
 */
export function isSaidAgain(n: number, { attempts }: PlatformLedger): boolean {
  return attempts.some(({ utterance, identity }) =>
    utterance.n === n
    && attempts.some((other) => other.utterance.n > n && other.identity === identity));
}

/** Whether the request is for a reply that the caller may hear. */
export function wantsReply({ kind }: Attempt): boolean {
  return kind === 'words' || kind === 'silence';
}

/**
 * Whether nobody can say for certain what a request is about: older messages are left out, and
 * words repeat, or none are left.
 */
export function isUnclear(attempt: Attempt): boolean {
  const { told: { all, sent }, words } = attempt;
  const said = [...all.map((told) => told.words), words];
  return sent < all.length && (new Set(said).size < said.length || isCutToLines(attempt));
}

/**
 * Whether all that is left is what may be said any number of times: fillers, the platform's lines.
 */
function isCutToLines({ told: { all, sent, hasReply } }: Attempt): boolean {
  return all.length > 0 && sent === 0 && !hasReply;
}

/**
 * Whether nobody can say for certain if a request corrects words or follows them: older messages
 * are left out, and the rest is only such lines, or the same words without a reply.
 */
export function mayComeAfter(attempt: Attempt): boolean {
  const { told: { all, sent }, lines, corrects } = attempt;
  if (corrects === undefined || sent === all.length) return false;
  if (isCutToLines(attempt)) return true;
  if (lines > sent) return false;
  return all.slice(-sent).every((told) => told.words === corrects.words && told.lines === 0);
}

export function hasEffects({ tool }: Pick<Act, 'tool'>): boolean {
  return tool !== 'look';
}
