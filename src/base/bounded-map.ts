import { RecencyList, type RecencyEntry } from './recency-list.ts';

interface Entry<K, V> extends RecencyEntry<Entry<K, V>> {
  readonly key: K;
  value: V;
}

/**
 * A Map of at most `maxEntries`. Beyond that, the entry that was set longest ago is evicted.
 * Reading an entry does not renew it; set it again to keep it.
 *
 * The order is that of a list: to find the first key of a Map, V8 has to pass all the deleted ones.
 */
export class BoundedMap<K, V> {
  readonly #maxEntries: number;
  readonly #entries = new Map<K, Entry<K, V>>();
  readonly #list = new RecencyList<Entry<K, V>>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: K, value: V): void {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.value = value;
      return this.#list.touch(known);
    }
    const entry = { key, value, older: undefined, newer: undefined };
    this.#entries.set(key, entry);
    this.#list.add(entry);
    const { oldest } = this.#list;
    if (this.#entries.size > this.#maxEntries && oldest !== undefined) this.delete(oldest.key);
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The entry that was set longest ago comes first. An entry may be deleted while it is visited.
   */
  *[Symbol.iterator](): Generator<readonly [key: K, value: V], void, undefined> {
    let next = this.#list.oldest;
    while (next !== undefined) {
      const { key, value, newer } = next;
      yield [key, value];
      next = newer;
    }
  }

  delete(key: K): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#list.remove(entry);
  }
}
