import type { Conversation } from '../conversation.ts';
import { placeOf } from '../merge-turns.ts';
import { isTurnRecord } from '../stored-turn.ts';
import type { TurnRecord } from '../turn-record.ts';
import { parsePart } from './part-store.ts';

const NAME = /^\d{1,15}$/;
/** New turns have lower numbers, however high those found are: longer names would not be read. */
const MAX_NUMBER = 1e12;

/**
 * The turns of one conversation, each a part whose name is a number. Numbers go up in the order in
 * which turns are first written, which is not always that of history.
 */
export class TurnParts {
  readonly #conversation: Conversation;
  /** Turns that were added, changed or removed since the last write. */
  touched = new Set<TurnRecord>();
  readonly #names = new Map<TurnRecord, string>();
  #nextNumber = 0;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  hasName(name: string): boolean {
    return NAME.test(name);
  }

  /** Takes over what another copy knows to be stored, except where there is news. */
  join(known: TurnParts, isNew: (name: string) => boolean): void {
    for (const [turn, name] of known.#names) if (!isNew(name)) this.#names.set(turn, name);
    this.#nextNumber = known.#nextNumber;
  }

  /**
   * Reads a stored part. False if it is not a turn, but its name stays taken. Call `allRead` after
   * the last one.
   */
  read(name: string, text: string): boolean {
    const part = parsePart(text);
    const number = Number(name);
    if (number < MAX_NUMBER) this.#nextNumber = Math.max(this.#nextNumber, number + 1);
    if (part === undefined || !isTurnRecord(part)) return false;
    this.#names.set(part, name);
    return true;
  }

  /** Gives the conversation the turns of all parts. */
  allRead(): void {
    const { turns } = this.#conversation;
    for (const [turn] of [...this.#names].sort(([, a], [, b]) => Number(a) - Number(b)))
      turns.splice(placeOf(turn, turns), 0, turn);
  }

  /** From now on changes are noted. Before that, counting what was read touches each turn, too. */
  noteChanges(): void {
    // A Set that is cleared leaves its old table behind: docs/decisions/005-tuned-for-v8.md
    this.touched = this.#conversation.touched = new Set();
  }

  /**
   * Notes when new turns arrived, which decides their place among other processes' turns, however
   * long they had to wait. Call it after each change.
   */
  noteAdded(): void {
    const { turns } = this.#conversation;
    const known = turns.findLastIndex(({ addedAt }) => addedAt !== undefined);
    if (known === turns.length - 1) return;
    let last = turns[known]?.addedAt ?? 0;
    for (const turn of turns.slice(known + 1)) {
      const { firstArrivedAt, arrivedAt = Date.now() } = turn;
      turn.addedAt = last = Math.max(firstArrivedAt ?? arrivedAt, last + 1);
    }
  }

  /** Drops turns that were added and trimmed before they could be written. */
  forgetUnsaved(): void {
    const turns = new Set(this.#conversation.turns);
    for (const turn of this.touched)
      if (!turns.has(turn) && !this.#names.has(turn)) this.touched.delete(turn);
  }

  /** Adds to a change what must be written. */
  addTo(set: Map<string, string>, remove: string[]): void {
    const { turns } = this.#conversation;
    for (const turn of this.touched) {
      if (turns.includes(turn)) set.set(this.#nameOf(turn), JSON.stringify(turn));
      else {
        const name = this.#names.get(turn);
        if (name !== undefined) remove.push(name);
      }
    }
  }

  #nameOf(turn: TurnRecord): string {
    let name = this.#names.get(turn);
    if (name === undefined) {
      name = String(this.#nextNumber);
      this.#nextNumber += 1;
      this.#names.set(turn, name);
    }
    return name;
  }

  /** Call it when the store has made the change. */
  written(): void {
    const { turns } = this.#conversation;
    for (const turn of this.touched) if (!turns.includes(turn)) this.#names.delete(turn);
    this.noteChanges();
  }

  /** Call it when the store has lost all of them. */
  putBack(): void {
    for (const turn of this.#conversation.turns) this.touched.add(turn);
  }
}
