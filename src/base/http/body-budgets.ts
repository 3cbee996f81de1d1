// Memory for the bodies of all requests.

/**
 * Memory for all bodies from clients with credentials, while they are read or kept. Other clients
 * share a quarter of this, and each may take half of that. More if a single body may be very large.
 */
const MIN_BODIES_BYTES = 64 * 1_048_576;

export interface BodyBudgets {
  /** For clients with credentials. */
  readonly bodies: BodyBudget;
  /** For all other clients. */
  readonly uncheckedBodies: UncheckedBodies;
}

/** The budgets of one of several processes, for bodies of at most `maxBodyBytes`. */
export function bodyBudgets(maxBodyBytes: number, processes: number): BodyBudgets {
  const bytes = Math.max(Math.ceil(MIN_BODIES_BYTES / processes), 2 * maxBodyBytes);
  const uncheckedBytes = Math.max(bytes / 4, 2 * maxBodyBytes);
  return {
    bodies: new BodyBudget(bytes),
    uncheckedBodies: new UncheckedBodies(uncheckedBytes, uncheckedBytes / 2),
  };
}

/** The memory that one body counts against. */
export interface BodyShare {
  /** The body is being read. Calling `evict` gives it up. */
  arriving?(evict: () => void): void;
  /** Takes the bytes, or returns false if there is no room for them. */
  take(bytes: number): boolean;
  /** The body is whole: it can no longer be given up. */
  arrived?(): void;
  /** Gives back bytes that were taken. The body is no longer needed. */
  give(bytes: number): void;
}

/** Memory for the bodies of clients with credentials, until their requests have been answered. */
export class BodyBudget implements BodyShare {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** A body that is being read. */
interface Arriving {
  readonly client: string;
  readonly evict: () => void;
  readonly beganAtMs: number;
  bytes: number;
}

/**
 * Memory for the bodies of clients that have not shown credentials yet. Each client has a share of
 * it. When the share, or all of it, is used up, the slowest body is given up: the one that has held
 * the most memory for the longest time. An honest body is small, or takes only milliseconds.
 */
export class UncheckedBodies {
  readonly #maxBytes: number;
  readonly #maxClientBytes: number;
  #bytes = 0;
  readonly #bytesOfClients = new Map<string, number>();
  readonly #arriving = new Map<BodyShare, Arriving>();

  /** Limits are inclusive. */
  constructor(maxBytes: number, maxClientBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxClientBytes = maxClientBytes;
  }

  /** What a body of this client counts towards. */
  share(client: string): BodyShare {
    const share: BodyShare = {
      arriving: (evict) =>
        void this.#arriving.set(share, { client, evict, beganAtMs: performance.now(), bytes: 0 }),
      take: (bytes) => {
        if (!this.#makeRoom(share, client, bytes)) return false;
        this.#add(client, bytes);
        const arriving = this.#arriving.get(share);
        if (arriving !== undefined) arriving.bytes += bytes;
        return true;
      },
      arrived: () => void this.#arriving.delete(share),
      give: (bytes) => {
        this.#arriving.delete(share);
        this.#add(client, -bytes);
      },
    };
    return share;
  }

  #add(client: string, bytes: number): void {
    this.#bytes += bytes;
    const sum = this.#bytesOf(client) + bytes;
    if (sum === 0) this.#bytesOfClients.delete(client);
    else this.#bytesOfClients.set(client, sum);
  }

  #bytesOf(client: string): number {
    return this.#bytesOfClients.get(client) ?? 0;
  }

  #makeRoom(share: BodyShare, client: string, bytes: number): boolean {
    while (this.#bytesOf(client) + bytes > this.#maxClientBytes) {
      if (!this.#evictSlowest(share, client)) return false;
    }
    while (this.#bytes + bytes > this.#maxBytes) if (!this.#evictSlowest(share)) return false;
    return true;
  }

  /**
   * Looks among one client's bodies, or all. Returns false if there is none, or if it is `asking`.
   */
  #evictSlowest(asking: BodyShare, client?: string): boolean {
    const nowMs = performance.now();
    let slowest: readonly [BodyShare, Arriving] | undefined;
    let most = -1;
    for (const [share, arriving] of this.#arriving) {
      if (client !== undefined && arriving.client !== client) continue;
      const held = arriving.bytes * (nowMs - arriving.beganAtMs + 1);
      if (held <= most) continue;
      most = held;
      slowest = [share, arriving];
    }
    if (slowest === undefined || slowest[0] === asking) return false;
    slowest[1].evict();
    return true;
  }
}
