// A process that has a conversation: what it knows, what waits for the store, and the live state
// of its tools. It writes accounts of what happened, and asks `decide` for the rest.

import {
  differencesOf, mapIn, patch, type Difference,
} from '../../src/base/json-difference.ts';
import { decide, reportOn, trimmed, type Decision, type Message } from './decide.ts';
import {
  isErased, MARGIN_MS, nameOf, NOTHING, placed, type ClaimStep, type Entry, type Fact,
  type Heard, type Known, type Off, type Stored,
} from './facts.ts';
import { fold, type View } from './fold.ts';
import type { Answer } from './log.ts';

/** What a process has of the world. Answers may be lost, and may come late. */
export interface World {
  /** By the clock of this process, which may be apart from others. */
  now(): number;
  after(ms: number, act: () => void): void;
  read(writer: string, known: string, answered: (answer: Answer) => void): void;
  append(
    entry: Entry,
    known: string,
    isConditional: boolean,
    answered: (answer: Answer) => void,
  ): void;
  isGone(claim: string): boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** An entry on its way. `decide` makes its facts when it is sent, and again after a conflict. */
interface Draft extends Mutable<Omit<Entry, 'mark' | 'number' | 'writer'>> {
  number?: number;
  decide?: (view: View, isErased: boolean) => readonly Fact[];
  /** The key that it claims. */
  key?: string;
  isConditional: boolean;
  conflicts: number;
  copies: number;
  /** The last entry that was known when its facts were made. */
  seen?: string;
  sentAt?: number;
  /** Once: with false if it was decided without the store, or refused. */
  settled?: ((isStored: boolean, answer?: Answer) => void) | undefined;
}

const RETRY_MS = 250;
/** Without any answer for so long, the store is away, and the call goes on from memory. */
const AWAY_MS = 1_000;
const MOST_CONFLICTS = 5;
const LONGEST_CLAIM_MS = 2_000;
const GRACE_MS = 10_000;

export type JsonMap = Record<string, unknown>;

export class FactProcess {
  readonly name: string;
  readonly #world: World;
  readonly #off: Off;
  known: Known = NOTHING;
  /** Kept for 60 s where a process lives longer than a talk of the fuzz. */
  readonly #own: (Draft & { number: number })[] = [];
  readonly queue: Draft[] = [];
  #number = 0;
  /** The number of its last entry that the store has. */
  #stored = 0;
  #offset: { readonly ms: number; readonly trip: number } | undefined;
  /** The failover, the position and the own number that the last answer told of. */
  #learned: readonly [epochAt: number, seq: number, number: number] = [-Infinity, 0, 0];
  #waitsSince: number | undefined;
  #view: View | undefined;
  #folded: { readonly known: Known; readonly view: View } | undefined;
  #live: JsonMap | undefined;
  #given = '{}';

  constructor(name: string, world: World, off: Off) {
    this.name = name;
    this.#world = world;
    this.#off = off;
  }

  /** A time of this process by the store's clock. Nothing is sent before that is known. */
  #toStore(time: number): number {
    return time + (this.#offset?.ms ?? 0);
  }

  /** Whether what arrived then was erased. */
  isErased(arrived: number): boolean {
    const isOff = this.#off.has('arrival');
    return !isOff && isErased({ arrived: this.#toStore(arrived) }, this.known.mark);
  }

  /** For a delivery. Who knows of an erasure when it arrives, knows that it is later. */
  get arrival(): number {
    const { mark } = this.known;
    const later = mark - (this.#offset?.ms ?? 0) + MARGIN_MS + 1;
    return mark === 0 ? this.#world.now() : Math.max(this.#world.now(), later);
  }

  get isAway(): boolean {
    return this.#waitsSince !== undefined && this.#world.now() - this.#waitsSince >= AWAY_MS;
  }

  /** Whether the process that made a claim is known to be gone. */
  isGone(claim: string): boolean {
    return this.#world.isGone(claim);
  }

  get hasStoredAll(): boolean {
    return this.queue.length === 0;
  }

  /** What the store lacks, if that is the number of the last entry that it has. */
  unstored(number: number): readonly Pick<Draft, 'facts' | 'key'>[] {
    return [...this.queue, ...this.#own].filter((one) => (one.number ?? Infinity) > number);
  }

  view(): View {
    if (this.#view !== undefined) return this.#view;
    const isWaiting = ({ number = Infinity }: Draft): boolean => number > this.#stored;
    const waiting = this.queue.filter(isWaiting).map((draft): Stored => ({
      ...draft, writer: this.name, number: draft.number ?? 0, mark: 0, seq: 0, at: draft.stamp,
      stamp: this.#toStore(draft.stamp),
    }));
    const has = waiting.some(({ facts }) => facts.length > 0);
    const entries = [...this.known.entries, ...waiting];
    this.#view = has ? fold({ ...this.known, entries }, this.#off) : this.#storeView;
    return this.#view;
  }

  /** Without what waits. */
  get #storeView(): View {
    if (this.#folded?.known !== this.known)
      this.#folded = { known: this.known, view: fold(this.known, this.#off) };
    return this.#folded.view;
  }

  /** The object that all tools and hooks of this process change. */
  get state(): JsonMap {
    this.#live ??= mapIn((this.#given = JSON.stringify(this.view().state ?? {}))) ?? {};
    return this.#live;
  }

  /** What was changed since the last call. An erased run takes no changes of others with it. */
  takeChanges(arrived: number): readonly Difference[] {
    if (this.#live === undefined || this.isErased(arrived)) return [];
    const changes = differencesOf(mapIn(this.#given) ?? {}, this.#live);
    this.#given = JSON.stringify(this.#live);
    return JSON.parse(JSON.stringify(changes)) as Difference[];
  }

  /** Others have changed the state: so does the live one, also under a running tool. */
  #follow(): void {
    this.#view = undefined;
    if (this.#live === undefined) return;
    const text = JSON.stringify(this.view().state ?? {});
    if (text === this.#given) return;
    const [before, next] = [mapIn(this.#given) ?? {}, mapIn(text) ?? {}];
    patch(this.#live, before, next); // nothing is on its way: tools change it as they return
    this.#given = text;
  }

  /** An account of what happened here. Without condition. */
  write(
    arrived: number,
    facts: readonly Fact[],
    settled?: (isStored: boolean) => void,
    step?: ClaimStep,
  ): void {
    this.#add({ arrived, facts, step, settled, isConditional: false });
  }

  /** A delivery. Without a store it is decided from memory after a second. */
  deliver(message: Message, decided: (decision: Decision, isStored: boolean) => void): void {
    const { arrived } = message;
    let decision: Decision = { to: 'stale', facts: [] };
    this.#addDecision(
      arrived,
      (view, isErased) => {
        const delivery = { ...message, arrived: this.#toStore(arrived) };
        decision = decide(view, delivery, isErased);
        return decision.facts;
      },
      (isStored) => decided(decision, isStored),
    );
  }

  /** What the platform says was heard, without a delivery. */
  hear(heard: Heard): void {
    this.#addDecision(this.arrival, (view, isErased) =>
      reportOn(view, heard, isErased).map((one) => ({ is: 'heard', heard: one })));
  }

  #addDecision(
    arrived: number,
    facts: (view: View, isErased: boolean) => readonly Fact[],
    settled?: (isStored: boolean) => void,
  ): void {
    const draft = this.#add({ arrived, facts: [], decide: facts, isConditional: true, settled });
    if (this.isAway) this.#decideAlone(draft);
    else this.#world.after(AWAY_MS, () => this.#decideAlone(draft));
  }

  /** From now on it must not change: the store may have it. */
  #decideAlone(draft: Draft): void {
    if (!draft.isConditional || !this.queue.includes(draft)) return;
    const earlier = this.queue.slice(0, this.queue.indexOf(draft));
    const open = earlier.find(({ isConditional, base }) => isConditional && base === undefined);
    if (open !== undefined) this.#decideAlone(open); // it would not see what that decides
    if (draft.sentAt === undefined)
      this.#decide(draft, this.view());
    draft.isConditional = false;
    this.#follow();
    this.#settle(draft, false);
    this.#send();
  }

  /** Claims a key. `claimed`: it may act now. Otherwise the claim that has the key, if known. */
  claim(
    key: string,
    arrived: number,
    answered: (claimed: string | undefined, holder?: ClaimStep) => void,
  ): void {
    const draft = this.#add({ arrived, facts: [], isConditional: false });
    draft.key = key;
    let isLate = false;
    draft.settled = (isStored, answer) => {
      if (!isStored || answer === undefined) return answered(undefined, answer?.claims.get(key));
      const claim = this.#nameOf(draft);
      const took = this.#world.now() - (draft.sentAt ?? 0);
      const isUnsafe = answer.now - answer.epochAt < GRACE_MS && !this.#off.has('grace');
      const isTooLate = (isLate || took > LONGEST_CLAIM_MS) && !this.#off.has('release');
      if (isTooLate || isUnsafe) this.write(arrived, [], undefined, { key, claim, to: 'free' });
      if (!isLate) answered(isTooLate || isUnsafe ? undefined : claim);
    };
    this.#world.after(AWAY_MS, () => {
      if (!this.queue.includes(draft)) return;
      isLate = true;
      if (draft.number === undefined) this.queue.splice(this.queue.indexOf(draft), 1);
      answered(undefined);
    });
  }

  #nameOf({ number = 0 }: Draft): string {
    return nameOf({ writer: this.name, number });
  }

  /** Forgets the conversation. Payments are forgotten as far as this process knows them as done. */
  erase(): void {
    const done = [...this.known.claims].filter(([, { to }]) => to === 'completed');
    const draft = this.#add({ arrived: Infinity, facts: [], isConditional: false });
    draft.erase = { at: 0, done: done.map(([, { claim }]) => claim) };
  }

  #trim(): void {
    if (this.queue.length > 0 || trimmed(this.known, this.#storeView, this.#off) === undefined)
      return;
    const draft = this.#add({ arrived: Infinity, facts: [], isConditional: true });
    draft.decide = () => {
      const base = trimmed(this.known, this.#storeView, this.#off);
      draft.base = draft.conflicts > 0 ? undefined : base;
      return [];
    };
  }

  look(): void {
    this.#waitsSince ??= this.#world.now();
    const sentAt = this.#world.now();
    const { last } = this.known;
    this.#world.read(this.name, last, (answer) => this.#learn(answer, sentAt, last));
  }

  #add(draft: Omit<Draft, 'copies' | 'conflicts' | 'stamp'>): Draft {
    const { arrived } = draft;
    const added: Draft = { ...draft, stamp: this.#world.now(), copies: 0, conflicts: 0 };
    if (this.isErased(arrived)) added.facts = [];
    this.queue.push(added);
    this.#follow();
    this.#world.after(0, () => this.#send());
    return added;
  }

  #send(isAgain = false): void {
    const [draft] = this.queue;
    if (draft === undefined || (draft.copies > 0 && !isAgain)) return;
    if (this.#offset === undefined) return this.look();
    draft.number ??= ++this.#number;
    if (draft.key !== undefined)
      draft.step ??= { key: draft.key, claim: this.#nameOf(draft), to: 'running' };
    if (draft.decide !== undefined && draft.isConditional && draft.copies === 0) {
      this.#decide(draft, this.#storeView);
      this.#follow();
    }
    const copy = ++draft.copies;
    const sentAt = this.#world.now();
    draft.sentAt ??= sentAt;
    this.#waitsSince ??= sentAt;
    const { step, base, erase, number, facts } = draft;
    const [arrived, stamp] = [this.#toStore(draft.arrived), this.#toStore(draft.stamp)];
    const entry: Entry = {
      writer: this.name, number, mark: this.known.mark, arrived, stamp, facts, step, base, erase,
    };
    if (draft.copies === 1) draft.seen = this.known.last;
    const { seen: last = '' } = draft;
    this.#world.append(entry, last, draft.isConditional, (answer) => {
      this.#learn(answer, sentAt, last);
      this.#answered(draft, copy, answer);
    });
    this.#world.after(RETRY_MS, () => {
      if (this.queue[0] === draft && draft.copies === copy) this.#send(true);
    });
  }

  #decide(draft: Draft, view: View): void {
    const { mark } = this.known;
    const facts = draft.decide?.(view, mark > 0) ?? [];
    draft.facts = this.isErased(draft.arrived) ? [] : facts;
  }

  #answered(draft: Draft, copy: number, answer: Answer): void {
    const { outcome } = answer;
    if (!this.queue.includes(draft)) return;
    if (outcome === 'appended' || outcome === 'known') {
      this.queue.splice(this.queue.indexOf(draft), 1);
      if (draft.erase !== undefined) draft.erase = { ...draft.erase, at: answer.mark };
      this.#own.push({ ...draft, number: draft.number ?? 0 });
      this.#stored = Math.max(this.#stored, draft.number ?? 0);
      this.#follow();
      this.#settle(draft, true, answer);
      this.#send();
      this.#trim();
      return;
    }
    if (this.queue[0] !== draft || draft.copies !== copy) return; // of an earlier copy
    if (outcome === 'gap') return; // what is missing was put in front of it, or it tries again
    draft.copies = 0;
    if (outcome === 'held') {
      delete draft.step;
      delete draft.key;
      this.#settle(draft, false, answer);
    } else if (outcome === 'look' && answer.mark < this.known.mark)
      draft.erase ??= { at: this.known.mark, done: [] }; // the store has lost the erasure
    else if (outcome === 'conflict' && ++draft.conflicts >= MOST_CONFLICTS)
      draft.isConditional = false;
    this.#send();
  }

  #settle(draft: Draft, isStored: boolean, answer?: Answer): void {
    const { settled } = draft;
    draft.settled = undefined;
    settled?.(isStored, answer);
  }

  /** `asked`: the last entry that was known when it was asked for what came after it. */
  #learn(answer: Answer, sentAt: number, asked: string): void {
    const now = this.#world.now();
    this.#waitsSince = undefined;
    const trip = now - sentAt;
    if (trip <= (this.#offset?.trip ?? Infinity))
      this.#offset = { ms: answer.now - (now + sentAt) / 2, trip };
    const order = [answer.epochAt, Number.parseInt(answer.last || '0', 10), answer.number] as const;
    const place = order.findIndex((value, index) => value !== this.#learned[index]);
    if ((order[place] ?? 0) < (this.#learned[place] ?? 0)) return; // an older one that came later
    const { entries: known } = this.known;
    const before = answer.isAll ? 0 : known.findIndex((one) => placed(one) === asked) + 1;
    if (before === 0 && !answer.isAll) return; // it was erased here meanwhile
    this.#learned = order;
    const mark = Math.max(this.known.mark, answer.mark);
    const { base, claims, last } = answer;
    const entries = [...known.slice(0, before), ...answer.entries]
      .filter(({ seq }) => seq >= (base?.from ?? 0))
      .map((entry) => (isErased(entry, mark) ? { ...entry, facts: [] } : entry));
    const isNew = mark > this.known.mark;
    const isSame = answer.entries.length === 0 && !isNew && last === this.known.last;
    if (!isSame || claims !== this.known.claims) this.known = {
      entries, claims, last, mark, base: answer.mark < mark ? undefined : base,
    };
    if (isNew) this.#forget();
    if (answer.number < this.#stored && !this.#off.has('putBack')) this.#putBack(answer.number);
    this.#stored = answer.number;
    this.#follow();
    this.#send();
  }

  /** Words that arrived before an erasure are never sent. Their numbers and claims still are. */
  #forget(): void {
    for (const draft of [...this.queue, ...this.#own]) {
      if (this.isErased(draft.arrived)) draft.facts = [];
      else draft.facts = draft.facts.map((fact) =>
        fact.is === 'opened' ? { ...fact, told: [], heard: [] } : fact);
      delete draft.base;
    }
    this.#live = undefined; // tools that still run keep the object that they had
  }

  #putBack(number: number): void {
    const waits = new Set(this.queue.map((draft) => draft.number));
    const lost = this.#own.filter((one) => one.number > number && !waits.has(one.number));
    lost.sort((a, b) => a.number - b.number);
    for (const draft of lost) {
      this.#own.splice(this.#own.indexOf(draft), 1);
      Object.assign(draft, { isConditional: false, copies: 0, settled: undefined });
      delete draft.base;
    }
    this.queue.unshift(...lost);
    const head = this.queue[lost.length];
    if (lost.length > 0 && head !== undefined) head.copies = 0; // it is sent again behind them
    this.#send();
  }
}
