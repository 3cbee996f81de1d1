/** What became of something that a run wrote. */
export interface RunWrite {
  /** Whether the turn or the call took it. */
  readonly isKept: boolean;
  /** False if the agent's state was dropped, as another process has it by now. */
  readonly isStateKept: boolean;
}

// Shared: a turn creates none.
export const ALL_KEPT: RunWrite = { isKept: true, isStateKept: true };
export const STATE_DROPPED: RunWrite = { isKept: true, isStateKept: false };
export const ONLY_STATE_KEPT: RunWrite = { isKept: false, isStateKept: true };
export const NOTHING_KEPT: RunWrite = { isKept: false, isStateKept: false };
