// The log of one conversation, as a script would keep it in a Redis hash: `@last`, `@erased`,
// `w:<writer>`, `b`, `k:<key>`, and one field for each entry. It decides nothing: it compares.

import {
  isErased, nameOf, placed, type Base, type ClaimStep, type Entry, type Known, type Off,
  type Stored,
} from './facts.ts';

/**
 * `appended`, or `known`: it was, before. Otherwise nothing was written. `conflict`: something came
 * in between. `look`: the writer does not know the last erasure, or the store has lost it. `gap`:
 * earlier entries of the writer are missing. `held`: another claim has the key.
 */
export type Outcome = 'appended' | 'known' | 'conflict' | 'look' | 'gap' | 'held' | 'read';

/** What a writer is told. `isAll`: not only what came after the entry that it named. */
export interface Answer extends Known {
  readonly outcome: Outcome;
  readonly isAll: boolean;
  /** The number of the writer's last entry. */
  readonly number: number;
  /** By the store's clock. */
  readonly now: number;
  /** Changes with a failover. `epochAt`: since when. */
  readonly epochAt: number;
}

/** What a failover brings back. */
type Fields = Omit<Known, 'claims'> & {
  readonly at: number;
  readonly writers: ReadonlyMap<string, number>;
  readonly claims: ReadonlyMap<string, ClaimStep>;
};

export class FactLog {
  #fields: Fields = {
    entries: [], base: undefined, claims: new Map(), mark: 0, last: '', at: 0, writers: new Map(),
  };
  epochAt = -Infinity;
  readonly #off: Off;

  constructor(off: Off) {
    this.#off = off;
  }

  /** For a failover, and for an oracle. */
  get fields(): Fields {
    return this.#fields;
  }

  /** The store loses what it was told since. */
  failOver(to: Fields, now: number): void {
    this.#fields = to;
    this.epochAt = now;
  }

  read(writer: string, known: string, now: number): Answer {
    return this.#answer('read', writer, known, now);
  }

  /** `known`: the last entry that the writer knows. `isConditional`: that must be the last one. */
  append(entry: Entry, known: string, isConditional: boolean, now: number): Answer {
    const { writer, number, mark, facts, step, base, erase } = entry;
    const fields = this.#fields;
    const answer = (outcome: Outcome): Answer => this.#answer(outcome, writer, known, now);
    const last = fields.writers.get(writer) ?? 0;
    if (number <= last) return answer('known');
    if (number > last + 1 && !this.#off.has('gap')) return answer('gap');
    if (mark !== fields.mark && erase === undefined && !this.#off.has('mark'))
      return answer('look');
    const isOn = isConditional && !this.#off.has('condition');
    if (isOn && known !== fields.last) return answer('conflict');
    const claims = withStep(fields.claims, step);
    if (claims === undefined) return answer('held');
    const at = Math.max(now, fields.at);
    const writers = new Map(fields.writers).set(writer, number);
    this.#fields = { ...fields, at, writers, claims };
    if (erase !== undefined) this.#erase(erase.at || at, erase.done);
    if (base !== undefined) this.#trim(base);
    if (facts.length + Number(step !== undefined || erase !== undefined || base !== undefined) > 0)
      this.#add({ ...entry, erase: undefined, base: undefined, at });
    return answer('appended');
  }

  #add(entry: Omit<Stored, 'seq'>): void {
    const { entries, last } = this.#fields;
    const seq = Number.parseInt(last || '0', 10) + 1;
    this.#fields = {
      ...this.#fields,
      entries: [...entries, { ...entry, seq }],
      last: `${seq} ${nameOf(entry)}`,
    };
  }

  #trim(base: Base): void {
    const { entries } = this.#fields;
    const kept = entries.filter(({ seq }) => seq >= base.from);
    this.#fields = { ...this.#fields, base, entries: kept };
  }

  /** One that is put back leaves what came after it. */
  #erase(at: number, done: readonly string[]): void {
    const { entries, claims, mark } = this.#fields;
    if (at <= mark) return;
    this.#fields = {
      ...this.#fields,
      mark: at,
      base: undefined,
      entries: entries.filter((entry) => !isErased(entry, at)),
      claims: new Map([...claims].filter(([, { claim }]) => !done.includes(claim))),
    };
  }

  #answer(outcome: Outcome, writer: string, known: string, now: number): Answer {
    const { entries, base, claims, mark, last, writers, at } = this.#fields;
    const from = entries.findIndex((entry) => placed(entry) === known);
    return {
      outcome, base, claims, mark, last,
      isAll: from === -1,
      entries: entries.slice(from + 1),
      number: writers.get(writer) ?? 0,
      now: Math.max(now, at),
      epochAt: this.epochAt,
    };
  }
}

/** Undefined if another claim has the key. A step of any other claim changes nothing. */
function withStep(
  claims: Known['claims'],
  step: ClaimStep | undefined,
): Known['claims'] | undefined {
  if (step === undefined) return claims;
  const { key, claim, to } = step;
  const holder = claims.get(key);
  const next = new Map(claims);
  if (to === 'running') {
    if (holder !== undefined && holder.claim !== claim) return undefined;
    return holder === undefined ? next.set(key, step) : claims;
  }
  if (holder?.claim !== claim || holder.to === 'completed') return claims;
  if (to === 'free') next.delete(key);
  else if (to === 'completed' || holder.to === 'running') next.set(key, step);
  return next;
}
