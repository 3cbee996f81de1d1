// What checking may cost. A model's arguments come from a caller's words, and a schema may come
// from a stranger.

/** Thrown when checking exceeds its budget. */
export class TooCostly extends Error {
  override readonly name = 'TooCostly';
}

/** Processor time in which all the arguments of one round of tool calls must be checked. */
const MAX_CHECK_MS = 50;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 500;
/** Deepest nesting of schemas while one value is checked. */
const MAX_DEPTH = 1_000;

/**
 * The budget of several checks together. Processor time, because wall time also counts what other
 * processes do on a busy machine.
 */
export class CheckBudget {
  #leftMs = MAX_CHECK_MS;
  #steps = 0;
  #depth = 0;
  #begunMs = 0;
  #begun = process.cpuUsage();

  /** Runs a check, which uses up time. Throws `TooCostly` if it needs more than is left. */
  run<T>(check: () => T): T {
    this.#steps = STEPS_PER_LOOK; // the first step checks whether any time is left
    this.#depth = 0;
    this.#begunMs = performance.now();
    this.#begun = process.cpuUsage();
    try {
      return check();
    } finally {
      this.#leftMs = this.leftMs;
    }
  }

  /** The time left during a check, in milliseconds. */
  get leftMs(): number {
    const { user, system } = process.cpuUsage(this.#begun);
    // Other threads use processor time too. This one uses no more than the time that has passed.
    return this.#leftMs - Math.min((user + system) / 1_000, performance.now() - this.#begunMs);
  }

  /** Call it alongside work of this many steps, each well below a microsecond. */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps < STEPS_PER_LOOK) return;
    this.#steps = 0;
    if (this.leftMs <= 0) throw new TooCostly('checking takes too long');
  }

  /** Call it before each schema, and `leave` after it. */
  enter(): void {
    this.spend(1);
    if (++this.#depth > MAX_DEPTH) throw new TooCostly('schemas are nested too deeply');
  }

  leave(): void {
    this.#depth -= 1;
  }
}
