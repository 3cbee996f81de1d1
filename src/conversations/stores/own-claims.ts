import type { Awaitable } from '../../base/awaitable.ts';
import type { Conversation } from '../conversation.ts';
import type { OnceCalls } from '../once-call.ts';
import { UnsafeClaim } from '../store.ts';
import { FAILED } from './outage.ts';
import type { Epoch, PartsChange, PartStore, StoredConversation } from './part-store.ts';

/** Conversations with claims of this process that are remembered. The oldest is forgotten first. */
const MAX_CONVERSATIONS = 10_000;

/**
 * The `once` calls that this process claims, and what becomes of them, in a store that may lose
 * them. Unlike conversations they are not forgotten for others that are used more. While the store
 * may lack claims, every process puts its own back, and no new one is safe.
 */
export class OwnClaims {
  readonly #parts: PartStore;
  readonly #restore: (id: string, calls: OnceCalls) => Awaitable<void>;
  readonly #calls = new Map<string, OnceCalls>();
  /** See `Epoch`. Undefined until the store has said it. */
  #epoch: string | undefined;
  #isRestoring = false;

  /** `restore` puts calls back into their conversation. */
  constructor(parts: PartStore, restore: (id: string, calls: OnceCalls) => Awaitable<void>) {
    this.#parts = parts;
    this.#restore = restore;
  }

  /** Call it when the store has the conversation. `own`: the addresses of this process. */
  note(id: string, { onceCalls }: Conversation, own: ReadonlySet<string>): void {
    if (onceCalls === undefined) return void this.#calls.delete(id);
    const claimed = Object.entries(onceCalls).filter(
      ([, { process }]) => process !== undefined && own.has(process),
    );
    this.#calls.delete(id);
    if (claimed.length === 0) return;
    this.#calls.set(id, Object.fromEntries(claimed));
    const [oldest] = this.#calls.keys();
    if (oldest !== undefined && this.#calls.size > MAX_CONVERSATIONS) this.#calls.delete(oldest);
  }

  /**
   * Writes a change with claims. Resolves with an `UnsafeClaim` if it was made, and is not safe.
   * The epoch is asked for right behind it: the store may just have lost another claim.
   */
  async write(
    id: string,
    change: PartsChange,
  ): Promise<true | UnsafeClaim | StoredConversation | undefined> {
    const [answer, epoch] = await Promise.allSettled([
      this.#parts.write(id, { ...change, isClaim: true }), this.#parts.epoch?.(),
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
  async check(
    ask: <T>(command: () => Awaitable<T>) => Awaitable<T | typeof FAILED>,
  ): Promise<void> {
    const epoch = await ask(() => this.#parts.epoch?.());
    if (epoch !== undefined && epoch !== FAILED) this.#noteEpoch(epoch);
  }

  /** What others claim meanwhile is not safe, so they give it back. */
  #noteEpoch({ id, restMs }: Epoch): void {
    const isNew = this.#epoch !== undefined && this.#epoch !== id;
    this.#epoch = id;
    if (isNew || restMs > 0) void this.#restoreAll();
  }

  /** Never rejects: without the store the calls wait for it. */
  async #restoreAll(): Promise<void> {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    for (const [id, calls] of [...this.#calls]) await this.#restore(id, calls);
    this.#isRestoring = false;
  }
}
