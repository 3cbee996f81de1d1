import { clearTurns, unfinishedCalls } from '../conversation.ts';
import { mergeTurns, turnsLostBy } from '../merge-turns.ts';
import type { OnceCalls } from '../once-call.ts';
import type { TurnRecord } from '../turn-record.ts';
import type { PartedConversation } from './parted-conversation.ts';

/** What this process knew of a conversation, without what an attempt in vain has added. */
export interface Memory {
  readonly turns: readonly TurnRecord[];
  readonly onceCalls?: OnceCalls | undefined;
  readonly erasedAt?: number | undefined;
}

/**
 * Brings back what a store has lost and this process remembers, such as its last writes in a
 * failover. `kept` is the remembered conversation, and `latest` what the store has now.
 *
 * An erasure is not a loss: the mark it leaves tells which of the two is from before it.
 */
export function bringBack(
  latest: PartedConversation,
  kept: PartedConversation,
  { turns, onceCalls, erasedAt = 0 }: Memory,
): void {
  const { erasedAt: theirs = 0 } = latest.conversation;
  if (erasedAt < theirs) {
    latest.takeOnceCallsOf(kept, unfinishedCalls(onceCalls));
    return;
  }
  // Else the store has lost the erasure, or has not been told.
  if (erasedAt > theirs) clearTurns(latest.conversation, erasedAt);
  mergeTurns(latest.conversation, turnsLostBy(latest.conversation, turns, kept.touched));
  latest.takeOnceCallsOf(kept, onceCalls);
  latest.takeLostHeadOf(kept, erasedAt > theirs || undefined);
}
