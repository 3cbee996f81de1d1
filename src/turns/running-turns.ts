import type { Delivery } from './delivery.ts';
import type { Turn } from './turn.ts';

/**
 * The turns that run in this process. A conversation runs one of them. Only while a slow store
 * opens a newer turn the older one still speaks, and the newer one has it as `older`.
 */
export class RunningTurns {
  /** The newest turn of each conversation. */
  readonly #newest = new Map<string, Turn>();
  /** Turns that run beside their conversation: see `isBeside`. */
  readonly #beside = new Set<Turn>();
  /** The turn that is just beginning. It is not among the others yet. */
  #beginning: Turn | undefined;

  newestOf(conversationId: string): Turn | undefined {
    return this.#newest.get(conversationId);
  }

  /** The turns of a conversation, the newest first. */
  of(conversationId: string): readonly Turn[] {
    const turns: Turn[] = [];
    for (let turn = this.newestOf(conversationId); turn !== undefined; turn = turn.older)
      turns.push(turn);
    return turns;
  }

  /** The turn whose stream is the delivery's. */
  answeredOn(delivery: Delivery): Turn | undefined {
    // A connection may break while its turn begins.
    if (this.#beginning?.delivery === delivery) return this.#beginning;
    const isIts = (turn: Turn): boolean => turn.delivery === delivery;
    return this.of(delivery.conversationId).find(isIts) ?? [...this.#beside].find(isIts);
  }

  *all(): Generator<Turn, void, undefined> {
    for (const newest of this.#newest.values())
      for (let turn: Turn | undefined = newest; turn !== undefined; turn = turn.older) yield turn;
    yield* this.#beside;
  }

  /** How many turns are not over. */
  get count(): number {
    let count = 0;
    for (const turn of this.all()) if (!turn.isOver) count += 1;
    return count;
  }

  begin(turn: Turn): void {
    this.#beginning = turn;
    turn.begin();
    this.#beginning = undefined;
    // A turn that is already settled is not added. A Map that is filled and emptied all the time
    // leaves old tables behind, and they hold its turns until the next full garbage collection.
    if (turn.isSettled) return;
    if (turn.isStored) this.#newest.set(turn.conversationId, turn);
    else this.#beside.add(turn);
  }

  remove(turn: Turn): void {
    if (this.#beside.delete(turn)) return;
    const { conversationId, older } = turn;
    const newest = this.#newest.get(conversationId);
    if (newest !== turn) {
      for (let newer = newest; newer !== undefined; newer = newer.older)
        if (newer.older === turn) newer.older = older;
    } else if (older === undefined) this.#newest.delete(conversationId);
    else this.#newest.set(conversationId, older);
  }
}
