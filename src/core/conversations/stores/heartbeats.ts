import { andThen, type Awaitable } from '../../../base/awaitable.ts';
import { mayLive } from '../../../base/process-address.ts';
import { FAILED, type Outage } from './outage.ts';
import { ERASED, type PartsChange, type PartStore, type WriteAnswer } from './part-store.ts';

/** How often a process says that it is alive. */
const BEAT_MS = 1_500;
/** How long others believe that. */
const GONE_MS = 5_000;
/** After this an idle process writes nothing: no turn or tool runs this long without a change. */
const IDLE_MS = 3_600_000;
/**
 * After this many of its own beats in a row, a process knows that another's missing beat was not
 * lost by the store.
 */
const MIN_STEADY = Math.ceil(GONE_MS / BEAT_MS);

/**
 * Which processes are alive. Each one writes its address every 1.5 s, under a key of its own that
 * the store drops after 5 s. A process that cannot write, or whose key was lost, considers no other
 * dead until its own key has been there for 5 s. One that has changed nothing for an hour is
 * running nothing that others could consider lost, and leaves the store alone.
 */
export class Heartbeats {
  readonly #parts: PartStore;
  readonly #outage: Outage;
  readonly #onBeat: () => void;
  /** The version of each key of this process, by address. */
  readonly #versions = new Map<string, string | undefined>();
  /** How many of its beats in a row the store has taken in time. */
  #steady = 0;
  /** The beat on its way, if any. */
  #beating: Promise<void> | undefined;
  #count = 0;
  #usedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: PartStore, outage: Outage, onBeat: () => void) {
    this.#parts = parts;
    this.#outage = outage;
    this.#onBeat = onBeat;
  }

  /** From now on this process lives at that address, too. */
  begin(address: string): void {
    this.#versions.set(address, undefined);
    this.#begin();
  }

  /** Call it when the store works again, before others can read what is written there. */
  async again(): Promise<void> {
    if (this.#timer === undefined) return;
    await this.#beating; // the store may have taken it, or lost it
    await this.#beat();
  }

  /** Call it before each change. The store gets the address first. */
  noteUse(): void {
    this.#usedAtMs = performance.now();
    if (this.#timer === undefined && this.#versions.size > 0) this.#begin();
  }

  mayLive(address: string): Awaitable<boolean> {
    if (!mayLive(address)) return false;
    if (!this.#isSteady) return true;
    return andThen(this.#mayBeThere(address), (mayBe) => mayBe || this.#mayHaveLost());
  }

  get #isSteady(): boolean {
    return this.#steady >= MIN_STEADY;
  }

  /** Whether the store has the key of that address. If it does not answer, it may. */
  #mayBeThere(address: string): Awaitable<boolean> {
    const found = this.#outage.askAside(() => this.#parts.read(idOf(address)));
    return andThen(found, (key) => key !== undefined);
  }

  /**
   * Whether the store may have lost keys since the last beat: that of this process, for example.
   */
  #mayHaveLost(): Awaitable<boolean> {
    const [own] = this.#versions.keys();
    if (own === undefined) return true;
    return andThen(this.#outage.askAside(() => this.#parts.read(idOf(own))), (key) =>
      key === undefined || key === FAILED || this.#beating !== undefined || !this.#isSteady);
  }

  /** Tells the others that this process is gone. Never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#steady = 0;
    const gone = [...this.#versions].map(([address, from]) =>
      this.#outage.askAside(() => this.#parts.write(idOf(address), changeOf(from, undefined))));
    this.#versions.clear();
    await Promise.all(gone);
  }

  #begin(): void {
    this.#usedAtMs = performance.now();
    this.#timer ??= setInterval(() => void this.#beat(), BEAT_MS).unref();
    void this.#beat();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#steady = 0;
    for (const address of this.#versions.keys()) this.#versions.set(address, undefined);
  }

  async #beat(): Promise<void> {
    if (performance.now() - this.#usedAtMs > IDLE_MS) return this.#rest();
    this.#onBeat();
    if (this.#beating !== undefined) {
      this.#steady = 0;
      return;
    }
    this.#beating = this.#beatAll();
    await this.#beating;
    this.#beating = undefined;
  }

  async #beatAll(): Promise<void> {
    const beats = [...this.#versions.keys()].map((address) => this.#beatAt(address));
    const areInTime = (await Promise.all(beats)).every(Boolean);
    this.#steady = areInTime ? this.#steady + 1 : 0;
  }

  /** Whether the store had the key of the last beat, and now has that of this one. */
  async #beatAt(address: string): Promise<boolean> {
    const from = this.#versions.get(address);
    const answer = await this.#write(address, from);
    if (answer === true) return from !== undefined;
    // After an outage the store has the key of a beat that it answered late, or none any more.
    if (answer !== FAILED && this.#versions.has(address))
      await this.#write(address, answer?.version);
    return false;
  }

  async #write(
    address: string,
    from: string | undefined,
  ): Promise<WriteAnswer | typeof FAILED> {
    this.#count += 1;
    const to = `${ERASED}${this.#count}`; // not counted as a conversation
    const change = changeOf(from, to);
    const answer = await this.#outage.askAside(() => this.#parts.write(idOf(address), change));
    if (answer !== FAILED && this.#versions.has(address))
      this.#versions.set(address, answer === true ? to : answer?.version);
    return answer;
  }
}

function idOf(address: string): string {
  return `\theartbeat\t${address}`;
}

function changeOf(from: string | undefined, to: string | undefined): PartsChange {
  return { from, to, set: new Map(), remove: [], ttlMs: GONE_MS };
}
