/**
 * Checks whether bytes are UTF-8 while they arrive, in chunks of any size. Node's `isUtf8` rejects
 * half a code point, and a `TextDecoder` creates a string for each chunk.
 */
export class Utf8Check {
  /**
   * Bytes that the current code point still needs, and the bounds for the next one (Unicode, table
   * 3-7).
   */
  #missing = 0;
  #low = 0x80;
  #high = 0xbf;

  /** False at the first byte that is not valid in its place. Do not use the check after that. */
  accepts(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (this.#missing > 0) {
        if (byte < this.#low || byte > this.#high) return false;
        this.#low = 0x80;
        this.#high = 0xbf;
        this.#missing -= 1;
      } else if (byte >= 0x80 && !this.#begin(byte)) return false;
    }
    return true;
  }

  /** True between two code points. */
  get isComplete(): boolean {
    return this.#missing === 0;
  }

  #begin(byte: number): boolean {
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte === 0xe0) this.#low = 0xa0; // below this: more bytes than needed
    else if (byte === 0xed) this.#high = 0x9f; // above this: surrogates
    else if (byte === 0xf0) this.#low = 0x90;
    else if (byte === 0xf4) this.#high = 0x8f; // above this: beyond U+10FFFF
    return true;
  }
}
