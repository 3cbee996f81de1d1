import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const CIPHER = 'aes-256-gcm';
const [KEY_BYTES, KEY_ID_BYTES, IV_BYTES, TAG_BYTES] = [32, 6, 12, 16];

/**
 * Encrypts values for other processes with the same secrets. The first secret encrypts, so that a
 * new one can be put first; all of them decrypt. A value is bound to its place: anywhere else it is
 * refused.
 */
export class ValueCipher {
  /** By their ids, which reveal nothing about the keys. The first one encrypts. */
  readonly #keys: ReadonlyMap<string, Buffer>;

  /** `secrets`: random strings, at least one. A word that people can remember would be guessed. */
  constructor(secrets: readonly string[]) {
    this.#keys = new Map(
      secrets.map((secret) => [
        derived(secret, 'id of a key', KEY_ID_BYTES).toString('base64url'),
        derived(secret, 'key of values', KEY_BYTES),
      ]),
    );
  }

  encrypt(value: string, place: string): string {
    const [first] = this.#keys;
    if (first === undefined) throw new TypeError('a ValueCipher needs a secret');
    const [id, key] = first;
    // Random IVs are good for 2^32 values under one key: NIST SP 800-38D, 8.3.
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(place));
    const encrypted = [cipher.update(value, 'utf8'), cipher.final()];
    const sealed = Buffer.concat([iv, cipher.getAuthTag(), ...encrypted]);
    return `${id}.${sealed.toString('base64url')}`;
  }

  /** Throws if the text belongs to another place or key, or was changed. */
  decrypt(text: string, place: string): string {
    const [id = '', data = ''] = text.split('.');
    const key = this.#keys.get(id);
    if (key === undefined) throw new Error('it is encrypted with another key');
    const sealed = Buffer.from(data, 'base64url');
    const [ivEnd, tagEnd] = [IV_BYTES, IV_BYTES + TAG_BYTES];
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, ivEnd), options);
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(sealed.subarray(ivEnd, tagEnd));
    return decipher.update(sealed.subarray(tagEnd), undefined, 'utf8') + decipher.final('utf8');
  }
}

/** RFC 5869. */
function derived(secret: string, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'layercode-microserver', purpose, bytes));
}
