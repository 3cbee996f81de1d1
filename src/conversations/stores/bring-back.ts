import { beforeChange, mergeAltered, mergeTurns, turnsLostBy } from '../merge-turns.ts';
import { takeNames } from '../numbering.ts';
import type { TurnRecord } from '../turn-record.ts';
import type { Memory, PartedConversation } from './parted-conversation.ts';

/**
 * Brings back what a store has lost and this process remembers, such as its last writes in a
 * failover. `latest` is what the store has now, and `kept` the remembered conversation. `memory` is
 * what it was before a change that the store did not take. `own` are the addresses of this process.
 *
 * An erasure is not a loss. The mark it leaves shows which of the two is older than it.
 */
export function bringBack(
  latest: PartedConversation,
  kept: PartedConversation,
  memory: Memory,
  own: ReadonlySet<string>,
): void {
  const { erasedAt: theirs = 0 } = latest.conversation;
  if (memory.erasedAt < theirs) return latest.takeErasedCallsOf(memory);
  // If the store has the older mark, it has lost an erasure, or has not been told of it.
  const isErased = memory.erasedAt > theirs;
  if (isErased) latest.erase(memory);
  const { conversation } = latest;
  const { copies, unstored } = memory;
  takeNames(conversation, kept.conversation, [...kept.conversation.turns, ...copies.values()]);
  const turns = memory.turns();
  const before = (turn: TurnRecord): TurnRecord => beforeChange(turn, copies);
  // What was put back before the change, and is not stored yet, is still lost.
  const altered = new Set([...kept.touched].filter((turn) => !unstored.has(turn)));
  mergeTurns(conversation, turnsLostBy(conversation, turns, altered).map(before), own);
  // For an open turn, which may have gone on elsewhere, only what tools returned is certain.
  const isUncertain = (turn: TurnRecord): boolean => turn.state === 'open' || altered.has(turn);
  mergeAltered(conversation, turns.filter(isUncertain).map(before), own);
  latest.takeOnceCallsOf(memory);
  latest.takeLostHead(memory, isErased);
}
