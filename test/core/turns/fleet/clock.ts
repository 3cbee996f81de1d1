// The clocks of a fleet. Time passes when the talk says so, and each process reads its own clock.

import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';

const START_MS = Date.UTC(2026, 0, 1);

/** As much of a `NodeJS.Timeout` as the program uses. */
class VirtualTimer {
  atMs: number;
  readonly everyMs: number | undefined;
  readonly fire: () => void;

  constructor(atMs: number, everyMs: number | undefined, fire: () => void) {
    this.atMs = atMs;
    this.everyMs = everyMs;
    this.fire = AsyncResource.bind(fire);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

const REAL = {
  setTimeout: globalThis.setTimeout, setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout, clearInterval: globalThis.clearInterval, dateNow: Date.now,
  performanceNow: performance.now, cpuUsage: process.cpuUsage,
};

/** No work takes time here, and asking the system for its usage is slow. */
const NO_USAGE = (): NodeJS.CpuUsage => ({ user: 0, system: 0 });

/**
 * The place of the process that runs the code. All talks share this storage: in Node 24 and later
 * each change of context copies an entry for every storage ever created.
 */
const placeOfCode = new AsyncLocalStorage<number>();

/**
 * Replaces the timers and the two clocks of the whole process. What runs in `as` reads the time of
 * the process at that place, and so does all that it starts. The monotonic clock is the same for
 * all.
 */
export class FleetClock {
  #nowMs = 0;
  #timers: VirtualTimer[] = [];
  readonly #aheadMs: readonly number[];

  /** `aheadMs`: how far ahead of the true time the clock of each process is. */
  constructor(aheadMs: readonly number[]) {
    this.#aheadMs = aheadMs;
  }

  install(): void {
    const { performanceNow } = REAL;
    const startMs = performanceNow.call(performance);
    const begin = (fire: () => void, ms: number, isRepeated: boolean): VirtualTimer => {
      const timer = new VirtualTimer(this.#nowMs + ms, isRepeated ? ms : undefined, fire);
      this.#timers.push(timer);
      return timer;
    };
    const end = (timer: unknown, clear: typeof clearTimeout): void => {
      if (!(timer instanceof VirtualTimer)) return clear(timer as NodeJS.Timeout);
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
    type Fire = (...args: unknown[]) => void;
    Object.assign(globalThis, {
      setTimeout: (fire: Fire, ms = 0, ...args: unknown[]) => begin(() => fire(...args), ms, false),
      setInterval: (fire: Fire, ms = 0, ...args: unknown[]) => begin(() => fire(...args), ms, true),
      clearTimeout: (timer: unknown) => end(timer, REAL.clearTimeout),
      clearInterval: (timer: unknown) => end(timer, REAL.clearInterval),
    });
    performance.now = () => startMs + this.#nowMs;
    process.cpuUsage = NO_USAGE;
    Date.now = () => START_MS + this.#nowMs + (this.#aheadMs[placeOfCode.getStore() ?? 0] ?? 0);
  }

  restore(): void {
    const { dateNow, performanceNow, cpuUsage, ...timers } = REAL;
    Object.assign(globalThis, timers);
    process.cpuUsage = cpuUsage;
    performance.now = performanceNow;
    Date.now = dateNow;
  }

  /** The time on the monotonic clock since the start of the talk. */
  get nowMs(): number {
    return this.#nowMs;
  }

  as<T>(place: number, run: () => T): T {
    return placeOfCode.run(place, run);
  }

  /** Timers that fall due meanwhile fire in order. `between` is awaited after each. */
  async pass(ms: number, between: () => Promise<void>): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= end);
      const [next] = due.sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers = this.#timers.filter((timer) => timer !== next);
      if (next.everyMs !== undefined) {
        next.atMs = this.#nowMs + next.everyMs;
        this.#timers.push(next);
      }
      next.fire();
      await between();
    }
    this.#nowMs = end;
  }

  /** Lets time pass until `isDone`. False if that takes longer than `mostSeconds`. */
  async passUntil(
    isDone: () => boolean, between: () => Promise<void>, mostSeconds: number,
  ): Promise<boolean> {
    await between();
    for (let seconds = 0; !isDone(); seconds++) {
      if (seconds === mostSeconds) return false;
      await this.pass(1_000, between);
      await between(); // even if no timer was due
    }
    return true;
  }
}
