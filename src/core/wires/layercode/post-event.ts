import { SIGNATURE_HEADER, signPayload } from './signature.ts';

interface PostEventOptions {
  /** The webhook secret to sign with. */
  readonly secret: string;
  /** Replaces the correct signature; null sends none. */
  readonly signature?: string | null;
  /** Added to the signature and the content type. The content type is JSON unless given here. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Closes the connection when it fires, as LayerCode does when the caller interrupts the reply.
   */
  readonly signal?: AbortSignal;
}

/**
 * Posts a signed event to a webhook, as LayerCode does. An object is sent as JSON, text and bytes
 * as they are. Rejects as `fetch` does.
 */
export function postEvent(
  url: string,
  event: object | string | Uint8Array,
  { secret, signature, headers, signal }: PostEventOptions,
): Promise<Response> {
  const body =
    typeof event === 'string' || event instanceof Uint8Array ? event : JSON.stringify(event);
  const signed = signature === undefined ? signPayload(body, secret) : signature;
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...headers,
      ...(signed === null ? {} : { [SIGNATURE_HEADER]: signed }),
    },
    body: typeof body === 'string' ? body : new Uint8Array(body),
    ...(signal === undefined ? {} : { signal }),
    redirect: 'error', // the signed event is meant for this address only
  });
}
