// Changes of the state that this process has made and the store has taken. The store may lose them:
// in a restart, or in a failover to a replica that is behind.

import { MAX_VERSIONS } from './state-part.ts';

export interface MadeChange {
  /** The version that it made, and the one before that had changed the state. */
  readonly version: string;
  readonly behind: string | undefined;
  /** The state before and after it. */
  readonly from: string;
  readonly to: string;
  readonly erasedAt: number;
  /** By `performance.now()`. */
  readonly atMs: number;
}

/** A store that loses writes loses the last ones. */
const REMEMBERED_MS = 300_000;
/** Maximum length of what is remembered, in UTF-16 code units. The last change always is. */
const MAX_LENGTH = 16_384;

/** With one more change. The oldest ones are forgotten. */
export function withChange(
  made: readonly MadeChange[],
  change: MadeChange,
): readonly MadeChange[] {
  const last = [...made, change].slice(-MAX_VERSIONS);
  let length = 0;
  const first = last.findLastIndex(
    ({ from, to }) => (length += from.length + to.length) > MAX_LENGTH,
  );
  return first === -1 ? last : last.slice(Math.min(first + 1, last.length - 1));
}

/**
 * Whether a store has lost the change, if these were the last versions that have changed its state.
 * Of 16 versions or more it does not know the oldest.
 */
export function isLost(
  { version, behind, atMs }: MadeChange,
  versions: readonly string[],
): boolean {
  if (versions.includes(version) || performance.now() - atMs > REMEMBERED_MS) return false;
  return versions.length < MAX_VERSIONS || (behind !== undefined && versions.includes(behind));
}
