// Time, a network and a store that fail on purpose, the same for the same seed.

import type { Off } from './facts.ts';
import { FactLog, type Answer } from './log.ts';
import type { World } from './process.ts';

interface Due {
  readonly at: number;
  readonly act: () => void;
}

/** From when to when: `stalls` answer late, and nothing reaches a store that is `away`. */
export interface Faults {
  readonly stalls: [number, number][];
  readonly away: [number, number][];
  /** Processes whose link is cut. */
  readonly cuts: [number, number, host: number][];
  /** The share of messages that are lost. */
  loss: number;
}

export class Simulation {
  now = 0;
  /** For ids. */
  count = 0;
  readonly faults: Faults = { stalls: [], away: [], cuts: [], loss: 0 };
  readonly log: FactLog;
  readonly random: () => number;
  readonly #due: Due[] = [];
  readonly #snapshots: { readonly at: number; readonly fields: FactLog['fields'] }[] = [];
  /** Called before and after each write. */
  written: (write: () => Answer) => Answer = (write) => write();

  constructor(random: () => number, off: Off) {
    this.random = random;
    this.log = new FactLog(off);
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1));
  }

  happens(share: number): boolean {
    return this.random() < share;
  }

  after(ms: number, act: () => void): void {
    const at = this.now + ms;
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.at ?? 0) > at) index -= 1;
    this.#due.splice(index, 0, { at, act });
  }

  run(until: number): void {
    for (let due = this.#due[0]; due !== undefined && due.at <= until; due = this.#due[0]) {
      this.#due.shift();
      this.now = due.at;
      due.act();
    }
    this.now = until;
  }

  /** A replica takes over that lacks up to the last second. */
  failOver(): void {
    const to = this.now - this.random() * 1_000;
    const fields = this.#snapshots.findLast(({ at }) => at <= to)?.fields;
    if (fields !== undefined) this.log.failOver(fields, this.now);
  }

  /** What a process has of the world. `isAlive`: whether anybody still waits for an answer. */
  worldOf(
    host: number,
    skew: number,
    isAlive: () => boolean,
    isGone: (writer: string) => boolean,
    learned: () => void,
  ): World {
    const ask = (op: () => Answer, answered: (answer: Answer) => void): void => {
      if (this.#isCut(host) || this.happens(this.faults.loss)) return;
      const reached = (): void => {
        const stall = this.faults.stalls.find(([from, to]) => from <= this.now && this.now < to);
        if (stall !== undefined) return this.after(stall[1] - this.now, reached);
        const isAway = this.faults.away.some(([from, to]) => from <= this.now && this.now < to);
        if (isAway || this.#isCut(host)) return;
        const answer = op();
        this.#snapshots.push({ at: this.now, fields: this.log.fields });
        if (this.happens(this.faults.loss)) return;
        this.after(this.between(1, 4), () => {
          if (!isAlive() || this.#isCut(host)) return;
          answered(answer);
          learned();
        });
      };
      this.after(this.between(1, 4), reached);
    };
    return {
      isGone,
      now: () => this.now + skew,
      after: (ms, act) => this.after(ms, () => isAlive() && act()),
      read: (writer, known, answered) =>
        ask(() => this.log.read(writer, known, this.now), answered),
      append: (entry, known, isConditional, answered) =>
        ask(
          () => this.written(() => this.log.append(entry, known, isConditional, this.now)),
          answered,
        ),
    };
  }

  #isCut(host: number): boolean {
    return this.faults.cuts.some(([from, to, cut]) =>
      cut === host && from <= this.now && this.now < to);
  }
}
