// What requests to models have used in the sessions of a conversation. Each process counts in an
// entry of its own, so that two copies of a conversation can be merged without counting twice.

import { arrayOf, count, number, objectOf, string, type Field } from '../../base/fields.ts';

export interface Spent {
  /** Input and output together. */
  readonly tokens: number;
  /** In the currency of the prices. */
  readonly cost: number;
}

/** What one process has used in one session. Never changed in place. */
export interface SpentEntry extends Spent {
  readonly sessionId: string;
  readonly process: string;
  /** Grows with each change. */
  readonly revision: number;
}

/** A conversation, as far as it is known here. */
interface SpendingConversation {
  spent?: readonly SpentEntry[];
}

/** Something that a process uses in a session. May be negative, to take back an estimate. */
export interface Spending extends Spent {
  readonly sessionId: string;
  /** Undefined if no other process shares the conversation. */
  readonly process: string | undefined;
}

/** A session that has used this much may use no more. Undefined: no limit. */
export interface SpendingLimits {
  readonly tokens: number | undefined;
  readonly cost: number | undefined;
}

export const NOTHING_SPENT: Spent = { tokens: 0, cost: 0 };

/** How many entries of other sessions are kept. The oldest are removed first. */
const MAX_OTHER_ENTRIES = 32;

/**
 * Adds to what a session has used, unless it has reached one of the limits: then nothing changes.
 * Returns what it had used before.
 */
export function spend(
  conversation: SpendingConversation,
  { sessionId, process = '', tokens, cost }: Spending,
  limits?: SpendingLimits,
): Spent {
  const before = spentIn(conversation, sessionId);
  if (limits !== undefined && isReached(before, limits)) return before;
  const entries = conversation.spent ?? [];
  const own = entries.find((entry) => isOf(entry, sessionId, process));
  const { revision = 0, tokens: sumOfTokens = 0, cost: sumOfCost = 0 } = own ?? {};
  const entry: SpentEntry = {
    sessionId,
    process,
    revision: revision + 1,
    tokens: Math.max(0, sumOfTokens + tokens),
    cost: Math.max(0, rounded(sumOfCost + cost)),
  };
  conversation.spent = bounded([...entries.filter((other) => other !== own), entry], sessionId);
  return before;
}

/** What a session has used, in all processes. */
export function spentIn({ spent = [] }: SpendingConversation, sessionId: string): Spent {
  let [tokens, cost] = [0, 0];
  for (const entry of spent) {
    if (entry.sessionId !== sessionId) continue;
    tokens += entry.tokens;
    cost += entry.cost;
  }
  return { tokens, cost: rounded(cost) };
}

export function isReached({ tokens, cost }: Spent, limits: SpendingLimits): boolean {
  return tokens >= (limits.tokens ?? Infinity) || cost >= (limits.cost ?? Infinity);
}

/** Adds what another copy of the conversation knew. Of two entries, the later revision counts. */
export function mergeSpent(
  conversation: SpendingConversation,
  remembered: readonly SpentEntry[] | undefined,
): void {
  if (remembered === undefined) return;
  const entries = [...(conversation.spent ?? [])];
  for (const ours of remembered) {
    const index = entries.findIndex((entry) => isOf(entry, ours.sessionId, ours.process));
    const theirs = entries[index];
    if (theirs === undefined) entries.push(ours);
    else if (theirs.revision < ours.revision) entries[index] = ours;
  }
  if (entries.length > 0) conversation.spent = entries;
}

const spending: Field = {
  ...number,
  check: (value) => number.check(value) ?? number.check(Number(value) >= 0 ? 0 : undefined),
};

/** What a store may hold as `spent`. Anything else must not break the conversation. */
export const spentEntries: Field = arrayOf(objectOf({
  sessionId: string, process: string, revision: count, tokens: spending, cost: spending,
}));

function isOf(entry: SpentEntry, sessionId: string, process: string): boolean {
  return entry.sessionId === sessionId && entry.process === process;
}

/** The newest come last. A session has one entry for each process that has served it. */
function bounded(entries: readonly SpentEntry[], sessionId: string): readonly SpentEntry[] {
  const others = entries.filter((entry) => entry.sessionId !== sessionId);
  const own = entries.filter((entry) => entry.sessionId === sessionId);
  return [...others.slice(-MAX_OTHER_ENTRIES), ...own];
}

/** Sums of fractions get long tails, which would be stored. */
function rounded(cost: number): number {
  return Math.round(cost * 1e12) / 1e12;
}
