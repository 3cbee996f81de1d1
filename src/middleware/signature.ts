import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { Handler } from '../http/compose.ts';
import type { Context } from '../http/context.ts';
import { InvalidSignature } from '../http/errors.ts';
import { SIGNATURE_HEADER, SignatureVerifier } from '../layercode/signature.ts';
import type { SignatureFault } from '../layercode/signature.ts';
import { countHeaders } from './well-formed.ts';

export interface SignatureOptions {
  /** Any of them may have signed. */
  readonly secrets: readonly string[];
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Answers a request whose body is signed. `body` is what the signature covers, byte for byte. */
export type SignedHandler = (context: Context, body: Buffer) => Awaitable<void>;

/**
 * A handler that only signed requests reach. 401 otherwise: at once for a signature header that is
 * missing, malformed, stale or repeated; after the body for one that is wrong. The log says which.
 */
export function signed(options: SignatureOptions, handler: SignedHandler): Handler {
  const verify = createVerify(options);
  return (context) => andThen(verify(context), (body) => handler(context, body));
}

/** A handler that unsigned requests reach too. A wrong signature is refused all the same. */
export function signedIfAtAll(options: SignatureOptions, handler: Handler): Handler {
  const verify = createVerify(options);
  return (context) => {
    if (context.header(SIGNATURE_HEADER) === undefined) return handler(context);
    return andThen(verify(context), () => handler(context));
  };
}

/** Gives the body of a request once its signature was found right; throws or rejects otherwise. */
function createVerify({
  secrets,
  now = Date.now,
}: SignatureOptions): (context: Context) => Awaitable<Buffer> {
  const verifier = new SignatureVerifier(secrets);
  return function verifySignature(context) {
    const header = context.header(SIGNATURE_HEADER);
    if (countHeaders(context.request.rawHeaders, SIGNATURE_HEADER) > 1) refuse(context, 'repeated');
    const claim = verifier.parse(header, Math.floor(now() / 1_000));
    if (typeof claim === 'string') return refuse(context, claim);
    return andThen(context.takeRawBody(), (body) => {
      const fault = verifier.check(claim, body);
      if (fault !== undefined) refuse(context, fault);
      return body;
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
