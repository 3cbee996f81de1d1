import type { Awaitable } from '../../../base/awaitable.ts';
import { BoundedMap } from '../../../base/bounded-map.ts';
import type { Conversation } from '../conversation.ts';
import { isSameCall, type OnceCall, type OnceCalls } from '../once-call.ts';
import { UnsafeClaim } from '../store.ts';
import { FAILED, type Outage } from './outage.ts';
import type { Epoch, PartsChange, PartStore, WriteAnswer } from './part-store.ts';

/**
 * How many conversations with claims of this process are remembered. The oldest is forgotten first.
 */
const MAX_CONVERSATIONS = 10_000;
/** For how many conversations claims are put back at a time: others wait, but not for long. */
const RESTORED_TOGETHER = 1_000;

interface Kept {
  readonly calls: OnceCalls;
  /** By `performance.now()`. An erasure that is not known here leaves its mark for longer. */
  readonly untilMs: number;
}

/**
 * The `once` calls that this process claims, and what becomes of them, in a store that may lose
 * them. Unlike conversations, they are not forgotten in favour of others that are used more. While
 * the store may lack claims, every process puts its own back, and no new one is safe.
 */
export class OwnClaims {
  readonly #parts: PartStore;
  readonly #outage: Outage;
  readonly #restore: (id: string, calls: OnceCalls) => Awaitable<void>;
  readonly #kept = new BoundedMap<string, Kept>(MAX_CONVERSATIONS);
  /** See `Epoch`. Undefined until the store has reported it. */
  #epoch: string | undefined;
  #isRestoring = false;
  /** Whether the store has not taken all claims back. */
  #isMissingSome = false;

  /**
   * `restore` puts calls back into their conversation. It rejects if the store does not confirm
   * that.
   */
  constructor(
    parts: PartStore,
    outage: Outage,
    restore: (id: string, calls: OnceCalls) => Awaitable<void>,
  ) {
    this.#parts = parts;
    this.#outage = outage;
    this.#restore = restore;
  }

  /**
   * Call it when the store has the conversation, and keeps it for `lifetimeMs`. The store may have
   * lost claims that are known here. `own`: the addresses of this process.
   */
  note(
    id: string,
    conversation: Conversation,
    own: ReadonlySet<string>,
    lifetimeMs: number,
  ): void {
    const stored = Object.entries(conversation.onceCalls ?? {});
    const kept = this.#kept.get(id);
    const known = Object.entries(kept !== undefined && isCurrent(kept) ? kept.calls : {});
    const calls = [
      ...stored.filter(([, { process }]) => process !== undefined && own.has(process)),
      ...known.filter((entry) => isLost(conversation, entry)),
    ];
    if (calls.length === 0) return this.#kept.delete(id);
    const untilMs = performance.now() + lifetimeMs;
    this.#kept.set(id, { calls: Object.fromEntries(calls), untilMs });
  }

  /**
   * Writes a change with claims. Resolves with an `UnsafeClaim` if it was made but is not safe. The
   * epoch is requested right after it: the store may just have lost another claim.
   */
  async write(
    id: string,
    change: PartsChange,
    onSent?: () => void,
  ): Promise<WriteAnswer | UnsafeClaim> {
    onSent?.();
    const [answer, epoch] = await Promise.allSettled([
      this.#parts.write(id, { ...change, isClaim: true }, onSent), this.#parts.epoch?.(true),
    ]);
    if (answer.status === 'rejected') {
      if (answer.reason instanceof UnsafeClaim) return answer.reason;
      throw answer.reason;
    }
    if (answer.value !== true) return answer.value;
    if (epoch.status === 'rejected') {
      const { reason: cause } = epoch as { readonly reason: unknown };
      return new UnsafeClaim('the store does not say what it may have lost', { cause });
    }
    if (epoch.value === undefined) return true;
    this.#noteEpoch(epoch.value);
    const { restMs: safeInMs } = epoch.value;
    if (safeInMs === 0) return true;
    return new UnsafeClaim('the store may have lost claims a moment ago', { safeInMs });
  }

  /** Finds out whether the store has lost claims, and puts them back. */
  async check(): Promise<void> {
    const epoch = await this.#outage.askAside(() => this.#parts.epoch?.());
    if (epoch !== undefined && epoch !== FAILED) this.#noteEpoch(epoch);
  }

  /** What others claim meanwhile is not safe, so they give it back. */
  #noteEpoch({ id, restMs }: Epoch): void {
    const isNew = this.#epoch !== undefined && this.#epoch !== id;
    this.#epoch = id;
    if (isNew || restMs > 0 || this.#isMissingSome) void this.#restoreAll();
  }

  /** Never rejects: what the store does not take now is sent again with the next beat. */
  async #restoreAll(): Promise<void> {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    this.#isMissingSome = false;
    const ids = [...this.#kept].map(([id]) => id);
    for (let first = 0; first < ids.length; first += RESTORED_TOGETHER) {
      const some = ids.slice(first, first + RESTORED_TOGETHER);
      const restored = await Promise.allSettled(some.map((id) => this.#restoreCurrent(id)));
      this.#isMissingSome ||= restored.some(({ status }) => status === 'rejected');
    }
    this.#isRestoring = false;
  }

  /** Restores claims as they are now: one that has been given back since must not run again. */
  #restoreCurrent(id: string): Awaitable<void> {
    const kept = this.#kept.get(id);
    if (kept !== undefined && isCurrent(kept)) return this.#restore(id, kept.calls);
  }
}

function isCurrent({ untilMs }: Kept): boolean {
  return performance.now() < untilMs;
}

/** Whether the store has lost the call, or another one has its key because of that. */
function isLost(
  { onceCalls, erasedAt = 0 }: Conversation,
  [key, call]: readonly [key: string, call: OnceCall],
): boolean {
  if (call.state === 'released') return false;
  const stored = onceCalls?.[key];
  if (stored !== undefined) return stored.state !== 'completed' && !isSameCall(call, stored);
  return call.state !== 'completed' || call.claimedAt > erasedAt;
}
