/** A map of at most so many entries. One more forgets the entry that was set longest ago. */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #maxSize: number;

  constructor(maxSize: number) {
    super();
    this.#maxSize = maxSize;
  }

  /** Sets a value, which makes its entry the latest. */
  override set(key: K, value: V): this {
    this.delete(key); // a Map keeps a known key at its old place
    super.set(key, value);
    if (this.size > this.#maxSize) {
      for (const oldest of this.keys()) {
        this.delete(oldest);
        break;
      }
    }
    return this;
  }
}
