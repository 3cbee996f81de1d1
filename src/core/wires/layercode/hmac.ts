// HMAC-SHA256 built from two hashes, as https://www.rfc-editor.org/rfc/rfc2104#section-2 defines
// it.

import { hash } from 'node:crypto';

/** SHA-256 works on blocks of this size. The key is padded to one block. */
const BLOCK_BYTES = 64;
export const DIGEST_BYTES = 32;
/** Longer messages get a buffer of their own. Most of the platform's events are far shorter. */
const USUAL_MESSAGE_BYTES = 4_096;

/**
 * Computes digests with one key.
 *
 * Deliberately not `crypto.createHmac`, which creates a stream and several OpenSSL objects per
 * digest: docs/decisions/005-tuned-for-v8.md.
 */
export class HmacSha256 {
  /** The inner hash's key block, followed by room for the message. */
  readonly #inner = Buffer.alloc(BLOCK_BYTES + USUAL_MESSAGE_BYTES);
  /** The outer hash's key block, followed by the inner digest. */
  readonly #outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);

  /** The key is the UTF-8 bytes of `key`. */
  constructor(key: string) {
    const bytes = Buffer.from(key, 'utf8');
    const block = Buffer.alloc(BLOCK_BYTES);
    block.set(
      bytes.length > BLOCK_BYTES ? Buffer.from(hash('sha256', bytes, 'hex'), 'hex') : bytes,
    );
    for (const [index, byte] of block.entries()) {
      this.#inner[index] = byte ^ 0x36;
      this.#outer[index] = byte ^ 0x5c;
    }
  }

  /**
   * Writes the digest of `prefix` and `body` to the start of `target`, which must hold at least
   * `DIGEST_BYTES`. `prefix` must be ASCII.
   */
  digestInto(target: Buffer, prefix: string, body: Uint8Array): void {
    const length = BLOCK_BYTES + prefix.length + body.length;
    let message = this.#inner;
    if (length > message.length) {
      message = Buffer.alloc(length);
      message.set(this.#inner.subarray(0, BLOCK_BYTES));
    }
    writeBytes(message, BLOCK_BYTES, prefix);
    message.set(body, BLOCK_BYTES + prefix.length);
    // A digest as a binary string, one character per byte: allocating a buffer costs as much as
    // the hash itself.
    writeBytes(this.#outer, BLOCK_BYTES, hash('sha256', message.subarray(0, length), 'binary'));
    writeBytes(target, 0, hash('sha256', this.#outer, 'binary'));
  }
}

/**
 * Does what `Buffer.write` does with `latin1`. For so few characters that call is slower than a
 * loop.
 */
function writeBytes(target: Buffer, offset: number, text: string): void {
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
}
