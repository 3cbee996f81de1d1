/**
 * Tells whether bytes are UTF-8 while they arrive, in any split. Node's `isUtf8` takes a half code point for a fault, and a
 * `TextDecoder` makes a string of each piece.
 */
export class Utf8Check {
  /** Bytes that the code point at hand still needs, and between which bounds the next one must be (Unicode, table 3-7). */
  #missing = 0;
  #low = 0x80;
  #high = 0xbf;

  /** False with the first byte that cannot stand where it stands; the check is of no use behind it. */
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
    if (byte === 0xe0) this.#low = 0xa0; // below: more bytes than needed
    else if (byte === 0xed) this.#high = 0x9f; // above: surrogates
    else if (byte === 0xf0) this.#low = 0x90;
    else if (byte === 0xf4) this.#high = 0x8f; // above: beyond U+10FFFF
    return true;
  }
}
