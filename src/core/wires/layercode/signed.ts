import { andThen, type Awaitable } from '../../../base/awaitable.ts';
import type { Handler } from '../../../base/http/compose.ts';
import type { Context } from '../../../base/http/context.ts';
import { InvalidSignature } from '../../../base/http/errors.ts';
import { countHeaders } from '../../../base/http/well-formed.ts';
import { SIGNATURE_HEADER, SignatureVerifier, type SignatureFault } from './signature.ts';

/** Answers a signed request. `body` is exactly what the signature covers. */
export type SignedHandler = (context: Context, body: Buffer) => Awaitable<void>;

/**
 * A handler that only signed requests reach, signed with any of the secrets. Other requests get
 * 401: at once if the signature header is missing, malformed, stale or repeated; after the body if
 * the signature is wrong. The log says which.
 */
export function signed(secrets: readonly string[], handler: SignedHandler): Handler {
  const verify = createVerify(secrets);
  return (context) => andThen(verify(context), (body) => handler(context, body));
}

/** A handler that unsigned requests reach too. A wrong signature is still refused. */
export function signedIfAtAll(secrets: readonly string[], handler: Handler): Handler {
  const verify = createVerify(secrets);
  return (context) => {
    if (context.header(SIGNATURE_HEADER) === undefined) return handler(context);
    return andThen(verify(context), () => handler(context));
  };
}

/**
 * Returns a function that returns a request's body if its signature is valid, and otherwise throws
 * or rejects. Without a secret every request is refused.
 */
function createVerify(secrets: readonly string[]): (context: Context) => Awaitable<Buffer> {
  if (secrets.length === 0) return (context) => refuse(context, 'wrong');
  const verifier = new SignatureVerifier(secrets);
  return function verifySignature(context) {
    const header = context.header(SIGNATURE_HEADER);
    if (countHeaders(context.request.rawHeaders, SIGNATURE_HEADER) > 1) refuse(context, 'repeated');
    const claim = verifier.parse(header, Math.floor(Date.now() / 1_000));
    if (typeof claim === 'string') return refuse(context, claim);
    return andThen(context.takeRawBody(), (body) => {
      const fault = verifier.check(claim, body);
      if (fault !== undefined) refuse(context, fault);
      context.authenticated();
      return body;
    });
  };
}

function refuse(context: Context, signatureFault: SignatureFault | 'repeated'): never {
  Object.assign(context.logFields, { signatureFault, hint: HINTS[signatureFault] });
  throw new InvalidSignature();
}

/** Tells the reader of the log which of secret, clock and body is wrong. */
const HINTS: Readonly<Record<SignatureFault | 'repeated', string>> = {
  missing: `no ${SIGNATURE_HEADER} header: not from LayerCode, or a proxy removed it`,
  malformed: 'expected t=<unix seconds>,v1=<64 hex digits>',
  stale: 'its time differs by more than 300 s: check this clock, or it is a replay',
  wrong: 'signed with another secret, or a proxy changed the body',
  repeated: `more than one ${SIGNATURE_HEADER} header`,
};
