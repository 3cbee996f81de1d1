import type { Conversation } from '../conversation.ts';
import type { OnceCalls } from '../once-call.ts';

/** Conversations with claims of this process that are remembered. The oldest is forgotten first. */
const MAX_CONVERSATIONS = 10_000;

/**
 * The `once` calls that this process has claimed, and what became of them, for a store that may
 * lose them. Unlike conversations they are not forgotten for others that are used more.
 */
export class OwnClaims {
  readonly #calls = new Map<string, OnceCalls>();

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

  /** By the ids of their conversations. A copy. */
  all(): readonly (readonly [id: string, calls: OnceCalls])[] {
    return [...this.#calls];
  }
}
