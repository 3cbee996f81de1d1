import type { Turn } from './turn.ts';

/**
 * Where the newest turn of a conversation is found. It refers to no turn that has left: V8 keeps
 * old tables of a Map for a long time, and with them all that they refer to.
 * docs/decisions/005-no-map-of-turns.md
 */
interface Place {
  newest: Turn | undefined;
}

/**
 * The turns that run in this process. A conversation has one, beside turns that leave nothing in
 * its history. The older one keeps speaking only while a slow store opens a newer one, which has it
 * as `older`.
 */
export class RunningTurns {
  /** By conversation. */
  readonly #places = new Map<string, Place>();
  /**
   * Turns that ended while they began, and whose replies wait to depart with others. In that order.
   * They wait for less than a round of the event loop, so they are few.
   */
  readonly #departing: Turn[] = [];
  /** Turns that run beside their conversation: see `isBeside`. */
  readonly #beside = new Set<Turn>();

  /** A complete reply of the conversation leaves first, so that its turn no longer runs. */
  newestOf(conversationId: string): Turn | undefined {
    for (const turn of this.#departing) {
      if (turn.conversationId !== conversationId) continue;
      this.keepDelayed(turn);
      break; // there is no other: it would have made this one leave
    }
    this.#newestOf(conversationId)?.leave();
    return this.#newestOf(conversationId);
  }

  /** The turns of a conversation, the newest first. */
  of(conversationId: string): readonly Turn[] {
    return [...chainFrom(this.newestOf(conversationId))];
  }

  *all(): Generator<Turn, void, undefined> {
    for (const { newest } of this.#places.values()) yield* chainFrom(newest);
    yield* this.#beside;
    yield* this.#departing;
  }

  /** How many turns are not over. */
  get count(): number {
    let count = 0;
    for (const turn of this.all()) if (!turn.isOver) count += 1;
    return count;
  }

  begin(turn: Turn): void {
    turn.begin();
    if (turn.isAnswered) return;
    if (turn.isOver) this.#departing.push(turn);
    else this.#keep(turn);
  }

  /** Its reply should have departed, but the client has no room for it yet. */
  keepDelayed(turn: Turn): void {
    if (this.#removeDeparting(turn)) this.#keep(turn);
  }

  #keep(turn: Turn): void {
    if (!turn.isStored) return void this.#beside.add(turn);
    const place = this.#places.get(turn.conversationId);
    if (place !== undefined) place.newest = turn;
    else this.#places.set(turn.conversationId, { newest: turn });
  }

  #newestOf(conversationId: string): Turn | undefined {
    return this.#places.get(conversationId)?.newest;
  }

  /** Usually it is the first. `shift` is cheaper than `splice`. */
  #removeDeparting(turn: Turn): boolean {
    const index = this.#departing.indexOf(turn);
    if (index === 0) this.#departing.shift();
    else if (index > 0) this.#departing.splice(index, 1);
    return index !== -1;
  }

  remove(turn: Turn): void {
    if (this.#removeDeparting(turn) || this.#beside.delete(turn)) return;
    const { conversationId, older } = turn;
    const place = this.#places.get(conversationId);
    if (place === undefined) return;
    if (place.newest !== turn) {
      for (const newer of chainFrom(place.newest)) if (newer.older === turn) newer.older = older;
      return;
    }
    place.newest = older;
    if (older === undefined) this.#places.delete(conversationId);
  }
}

function* chainFrom(newest: Turn | undefined): Generator<Turn, void, undefined> {
  for (let turn = newest; turn !== undefined; turn = turn.older) yield turn;
}
