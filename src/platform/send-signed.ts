import { postEvent } from '../wires/layercode/post-event.ts';
import { SIGNATURE_TOLERANCE_SECONDS, signPayload } from '../wires/layercode/signature.ts';
import type { DeliveryOptions } from './delivery.ts';
import type { SignatureKind } from './frames.ts';

export interface SendSignedOptions {
  readonly webhookUrl: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signature: SignatureKind;
}

/** Posts bodies to LayerCode's webhook, with a right or a forged signature. */
export function sendSigned(
  { webhookUrl, secret, headers, signature }: SendSignedOptions,
): DeliveryOptions['send'] {
  return (body, signal) => {
    const forged = forge(signature, body, secret);
    return postEvent(webhookUrl, body, {
      secret,
      headers,
      signal,
      ...(forged === undefined ? {} : { signature: forged }),
    });
  };
}

/** A signature header that a correct server refuses. Undefined for the right one. */
function forge(kind: SignatureKind, body: string, secret: string): string | undefined {
  if (kind === 'right') return undefined;
  if (kind === 'wrong') return signPayload(body, `${secret}-another`);
  return signPayload(body, secret, {
    time: Math.floor(Date.now() / 1_000) - SIGNATURE_TOLERANCE_SECONDS - 1,
  });
}
