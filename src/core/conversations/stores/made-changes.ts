// Changes to the state that this process has made and the store has taken. The store may lose them:
// in a restart, or in a failover to a replica that lags behind.

import { MAX_VERSIONS } from './state-part.ts';

export interface MadeChange {
  /** The version that the change made, and the previous one that had changed the state. */
  readonly version: string;
  readonly behind: string | undefined;
  /** The state before and after it. */
  readonly from: string;
  readonly to: string;
  /** When the conversation had last been erased, according to the store; 0 for never. */
  readonly erasedAt: number;
  /** By `performance.now()`. */
  readonly atMs: number;
}

/** A store that loses writes loses the last ones. */
const REMEMBERED_MS = 300_000;
/**
 * How many changes are remembered, and their length in UTF-16 code units. The last one is always
 * kept.
 */
const MAX_CHANGES = 8;
const MAX_LENGTH = 8_192;

/** The changes and one more. Old ones are forgotten, and the oldest if there are too many. */
export function withChange(
  made: readonly MadeChange[],
  change: MadeChange,
): readonly MadeChange[] {
  const last = [...made.filter(isYoung), change].slice(-MAX_CHANGES);
  while (last.length > 1 && lengthOfChanges(last) > MAX_LENGTH) last.shift();
  return last;
}

/** UTF-16 code units of what is remembered. */
export function lengthOfChanges(made: readonly MadeChange[]): number {
  return made.reduce((length, { from, to }) => length + from.length + to.length, 0);
}

function isYoung({ atMs }: MadeChange): boolean {
  return performance.now() - atMs <= REMEMBERED_MS;
}

/**
 * Whether a store has lost the change, if these are the last versions that changed its state. The
 * store keeps only the last versions, so an older change may be there without its version.
 */
export function isLost(change: MadeChange, versions: readonly string[]): boolean {
  const { version, behind } = change;
  if (versions.includes(version) || !isYoung(change)) return false;
  return versions.length < MAX_VERSIONS || (behind !== undefined && versions.includes(behind));
}
