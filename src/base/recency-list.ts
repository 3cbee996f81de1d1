/** An entry of a `RecencyList`. The list writes both fields. */
export interface RecencyEntry<Entry> {
  /** Its neighbours. Undefined at the ends, and outside a list. */
  older: Entry | undefined;
  newer: Entry | undefined;
}

/**
 * Entries in the order of their last use. Moving one writes six references, and makes no garbage.
 * The order of a Map would cost more: docs/decisions/005-tuned-for-v8.md
 */
export class RecencyList<Entry extends RecencyEntry<Entry>> {
  #oldest: Entry | undefined;
  #newest: Entry | undefined;

  get oldest(): Entry | undefined {
    return this.#oldest;
  }

  get newest(): Entry | undefined {
    return this.#newest;
  }

  /** Adds an entry that is in no list, as the newest. */
  add(entry: Entry): void {
    entry.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  /** Makes an entry of this list the newest. */
  touch(entry: Entry): void {
    if (entry === this.#newest) return;
    this.remove(entry);
    this.add(entry);
  }

  /** Removes an entry of this list. */
  remove(entry: Entry): void {
    const { older, newer } = entry;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    entry.older = entry.newer = undefined;
  }

  clear(): void {
    this.#oldest = this.#newest = undefined;
  }
}
