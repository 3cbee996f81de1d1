// The facts of a conversation: what happened, each written once, by the one who knows it. See
// docs/decisions/018-a-log-of-facts.md.

import type { Difference } from '../../src/base/json-difference.ts';

/** What the platform says was heard of a turn. */
export interface Heard {
  readonly turn: string;
  readonly text: string;
}

/** An exchange that only the platform's transcript has. `place`: how many are before it. */
export interface Told {
  readonly place: number;
  readonly words: string;
  readonly reply?: string | undefined;
}

/** A delivery has opened a run of a turn. With a transcript it says all that follows from it. */
export interface Opened {
  readonly is: 'opened';
  readonly turn: string;
  readonly run: string;
  readonly words: string;
  readonly place?: number | undefined;
  readonly initial: Record<string, unknown>;
  /** The run that this one knowingly replaces. */
  readonly replaces?: string | undefined;
  readonly heard: readonly Heard[];
  readonly told: readonly Told[];
  /** The runs that the platform has discarded. */
  readonly discards: readonly string[];
}

export type Fact =
  | Opened
  | { readonly is: 'heard'; readonly heard: Heard }
  | {
      readonly is: 'said';
      readonly run: string;
      readonly text: string;
      readonly how: 'completed' | 'interrupted';
      readonly changes: readonly Difference[];
    }
  | { readonly is: 'changed'; readonly run: string; readonly changes: readonly Difference[] }
  | {
      readonly is: 'called';
      readonly run: string;
      readonly call: string;
    }
  | {
      readonly is: 'returned';
      readonly run: string;
      readonly call: string;
      readonly how: 'completed' | 'interrupted';
      readonly result: string;
      readonly isRepeatable: boolean;
      readonly changes: readonly Difference[];
    };

/** What becomes of a key that acts once. `claim`: the entry that has claimed it. */
export interface ClaimStep {
  readonly key: string;
  readonly claim: string;
  readonly to: 'running' | 'completed' | 'lost' | 'free';
}

/** Who has a key. */
export type Claims = ReadonlyMap<string, ClaimStep>;

/** What is left of facts that were trimmed. */
export interface Base {
  /** The position of the first fact that is not in it. */
  readonly from: number;
  /** When the newest of its turns was opened. */
  readonly trimmedTo: number;
  readonly cut: readonly string[];
  /** Discarded runs of these turns: tools of theirs may still return. */
  readonly discarded: readonly string[];
  readonly state: Record<string, unknown> | undefined;
  readonly names: Readonly<Record<string, string>>;
  readonly floor: number;
}

/** What a writer appends at once. Facts of an entry are about one run. */
export interface Entry {
  readonly writer: string;
  /** 1 for the first of its writer, and one more for each that follows. */
  readonly number: number;
  /** The last erasure that the writer knows: its time by the store's clock, 0 for none. */
  readonly mark: number;
  /** When the delivery of its run arrived, and when it was made, as the store's clock has it. */
  readonly arrived: number;
  readonly stamp: number;
  readonly facts: readonly Fact[];
  readonly step?: ClaimStep | undefined;
  readonly base?: Base | undefined;
  /** Forgets what arrived until then (0: until now), and claims known to be completed. */
  readonly erase?: { readonly at: number; readonly done: readonly string[] } | undefined;
}

/** `seq` 0: it still waits for the store. */
export type Stored = Entry & { readonly seq: number; readonly at: number };

/** All that the store has of a conversation, or a process knows of it. */
export interface Known {
  readonly entries: readonly Stored[];
  readonly base: Base | undefined;
  readonly claims: Claims;
  readonly mark: number;
  /** Names the newest entry. Empty for none. */
  readonly last: string;
}

export const NOTHING: Known = {
  entries: [], base: undefined, claims: new Map(), mark: 0, last: '',
};

/** As clocks are estimated, what arrived so little after an erasure may be from before it. */
export const MARGIN_MS = 50;

export function isErased({ arrived }: Pick<Entry, 'arrived'>, mark: number): boolean {
  return mark > 0 && arrived <= mark + MARGIN_MS;
}

export function nameOf({ writer, number }: Pick<Entry, 'writer' | 'number'>): string {
  return `${writer}:${number}`;
}

/** The name of an entry in its place: after a failover another one may have the place. */
export function placed(entry: Stored): string {
  return `${entry.seq} ${nameOf(entry)}`;
}

/** The rules that a judge may switch off, to see whether the fuzz notices. */
export const RULES = {
  condition: 'a decision is appended only if nothing came in between',
  gap: 'the numbers of a writer have no gap',
  mark: 'a writer must know the last erasure',
  arrival: 'a late word is erased by the arrival of its delivery',
  floor: 'after an erasure the first request takes no words from its transcript',
  closing: 'the fold closes what stands open before an opened turn',
  stamps: 'what is appended late is placed by its stamp',
  prefix: 'a base ends in front of all that is kept',
  cut: 'a base remembers the turns that it has cut',
  takeBack: 'a discarded turn takes its changes back',
  stays: 'a call whose result stays keeps its changes',
  late: 'a base remembers the discarded runs of turns that it has cut',
  behind: 'a request discards what was opened before it at its place or behind',
  place: 'told words are identified by their place and text',
  numbers: 'a value gets its number when its words are in the store',
  putBack: 'a process puts back what the store has lost',
  grace: 'no claims for ten seconds after a failover',
  release: 'a claim that was confirmed too late is released',
  hold: 'the last event of a turn waits for the store',
} as const;
export type Rule = keyof typeof RULES;
export type Off = ReadonlySet<Rule>;
