// The webhook signature. Specified by LayerCode's page "Webhook SSE API": `layercode-signature:
// t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">`.

import { timingSafeEqual } from 'node:crypto';

import { DIGEST_BYTES, HmacSha256 } from './hmac.ts';

/**
 * Largest accepted difference between a signature's time and ours, in seconds, either way,
 * inclusive.
 */
export const SIGNATURE_TOLERANCE_SECONDS = 300;

export const SIGNATURE_HEADER = 'layercode-signature';

/** Options of `signPayload`. */
export interface SignOptions {
  /** Unix seconds. Default: now. */
  readonly time?: number;
}

/**
 * The signature header for a body, as LayerCode sends it. For tests and tools. The body is signed
 * byte for byte.
 */
export function signPayload(
  body: string | Uint8Array,
  secret: string,
  { time = unixSeconds() }: SignOptions = {},
): string {
  const digest = Buffer.alloc(DIGEST_BYTES);
  signInto(digest, new HmacSha256(secret), String(time), toBytes(body));
  return `t=${time},v1=${digest.toString('hex')}`;
}

/** Why a signature was refused. For the log only: the client is not told. */
export type SignatureFault = 'missing' | 'malformed' | 'stale' | 'wrong';

/** Options of `verifySignature`. */
export interface VerifyOptions {
  /** Unix seconds. Default: now. */
  readonly now?: number;
}

/**
 * Whether the header signs these bytes with one of the secrets, and its time is within
 * `SIGNATURE_TOLERANCE_SECONDS` of now. Accepts several secrets so that one can be rotated.
 *
 * Takes the same time for every wrong digest. Throws a `TypeError` if there is no secret or an
 * empty one.
 */
export function verifySignature(
  body: string | Uint8Array,
  header: string | undefined,
  secrets: string | readonly string[],
  { now = unixSeconds() }: VerifyOptions = {},
): boolean {
  const verifier = new SignatureVerifier(typeof secrets === 'string' ? [secrets] : secrets);
  const parsed = verifier.parse(header, now);
  return typeof parsed === 'object' && verifier.check(parsed, body) === undefined;
}

/** A header with a valid form and time. Its digests are not checked yet. */
interface SignatureClaim {
  /** As written in the header: the digits are signed, not the number. */
  readonly time: string;
  /** In hex, as written in the header. */
  readonly digests: readonly string[];
}

/**
 * Verifies in two steps, so that a request with a bad header is refused before its body is read.
 * Prepares the keys once.
 */
export class SignatureVerifier {
  readonly #keys: readonly HmacSha256[];
  readonly #expected = Buffer.alloc(DIGEST_BYTES);
  readonly #claimed = Buffer.alloc(DIGEST_BYTES);

  /** Throws a `TypeError` if there is no secret or an empty one: anyone could sign with that. */
  constructor(secrets: readonly string[]) {
    if (secrets.length === 0 || secrets.includes('')) {
      throw new TypeError('a webhook secret must not be empty');
    }
    this.#keys = secrets.map((secret) => new HmacSha256(secret));
  }

  /** Step one: checks the header's form and its time. `now` is in unix seconds. */
  parse(header: string | undefined, now: number): SignatureClaim | SignatureFault {
    if (header === undefined || header === '') return 'missing';
    if (USUAL_HEADER.test(header)) {
      const time = header.slice('t='.length, header.indexOf(','));
      return inTime(time, [header.slice(-2 * DIGEST_BYTES)], now);
    }
    if (header.length > MAX_HEADER_LENGTH) return 'malformed';
    let time: string | undefined;
    const digests: string[] = [];
    for (const part of header.split(',')) {
      const equals = part.indexOf('=');
      if (equals === -1) return 'malformed';
      const key = part.slice(0, equals).trim();
      const value = part.slice(equals + 1).trim();
      if (key === 't') {
        if (time !== undefined || !/^\d{1,12}$/.test(value)) return 'malformed';
        time = value;
      } else if (key === 'v1' && HEX_DIGEST.test(value)) digests.push(value);
    }
    if (time === undefined || digests.length === 0) return 'malformed';
    return inTime(time, digests, now);
  }

  /** Step two: undefined if one of the claim's digests is right for these bytes. */
  check(claim: SignatureClaim, body: string | Uint8Array): SignatureFault | undefined {
    const bytes = toBytes(body);
    let isRight = false;
    for (const key of this.#keys) {
      signInto(this.#expected, key, claim.time, bytes);
      for (const digest of claim.digests) {
        // A short digest would leave bytes of the previous one in the buffer.
        const isWhole = this.#claimed.write(digest, 'hex') === DIGEST_BYTES;
        if (timingSafeEqual(this.#claimed, this.#expected) && isWhole) isRight = true;
      }
    }
    return isRight ? undefined : 'wrong';
  }
}

function inTime(time: string, digests: readonly string[], now: number): SignatureClaim | 'stale' {
  return Math.abs(now - Number(time)) <= SIGNATURE_TOLERANCE_SECONDS ? { time, digests } : 'stale';
}

/** The form that the platform sends. Testing for it costs a fraction of the general parser. */
const USUAL_HEADER = /^t=\d{1,12},v1=[0-9a-f]{64}$/;
const MAX_HEADER_LENGTH = 4_096;
const HEX_DIGEST = /^[0-9a-f]{64}$/i;

function signInto(digest: Buffer, key: HmacSha256, time: string, body: Uint8Array): void {
  key.digestInto(digest, `${time}.`, body);
}

function toBytes(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}
