import { after } from '../base/awaitable.ts';
import { InvalidSignature } from '../http/errors.ts';
import type { Context } from '../http/context.ts';
import type { Middleware } from '../http/compose.ts';
import { SIGNATURE_HEADER, SignatureVerifier, type SignatureFault } from '../layercode/signature.ts';
import { countHeaders } from './well-formed.ts';

export interface SignatureOptions {
  /** Any of them may have signed. */
  readonly secrets: readonly string[];
  /** Lets a request without a signature header pass; one with a wrong signature is refused all the same. Default false. */
  readonly isOptional?: boolean;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Lets a request pass whose body, byte for byte, is signed with a secret. 401 otherwise: at once for a header that is missing,
 * malformed, stale or repeated, after the body for one that is wrong. Which of these it was goes to the log only.
 */
export function signature({ secrets, isOptional = false, now = Date.now }: SignatureOptions): Middleware {
  const verifier = new SignatureVerifier(secrets);
  return function signature(context, next) {
    const header = context.header(SIGNATURE_HEADER);
    if (header === undefined && isOptional) return next();
    if (countHeaders(context.request.rawHeaders, SIGNATURE_HEADER) > 1) refuse(context, 'repeated');
    const claim = verifier.parse(header, Math.floor(now() / 1_000));
    if (typeof claim === 'string') return refuse(context, claim);
    return after(context.readRawBody(), (body) => {
      const fault = verifier.check(claim, body);
      if (fault !== undefined) refuse(context, fault);
      return next();
    });
  };
}

function refuse(context: Context, signatureFault: SignatureFault | 'repeated'): never {
  Object.assign(context.logFields, { signatureFault, hint: HINTS[signatureFault] });
  throw new InvalidSignature();
}

/** For whoever reads the log and wonders which of secret, clock and body is wrong. */
const HINTS: Readonly<Record<SignatureFault | 'repeated', string>> = {
  missing: `no ${SIGNATURE_HEADER} header: not LayerCode, or a proxy removes it`,
  malformed: 'expected t=<unix seconds>,v1=<64 hex digits>',
  stale: 'its time is more than 300 s from this clock: check the clock, or it is a replay',
  wrong: 'another secret signed it, or a proxy changed the body',
  repeated: `more than one ${SIGNATURE_HEADER} header`,
};
