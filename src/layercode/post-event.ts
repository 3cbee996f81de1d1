import { signPayload, SIGNATURE_HEADER } from './signature.ts';

export interface PostEventOptions {
  /** The webhook secret to sign with. */
  readonly secret: string;
  /** Replaces the right signature; null sends none. */
  readonly signature?: string | null;
  /** Beside the signature and the content type, which is JSON unless it is given here. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Closes the connection when it fires: what LayerCode does when the caller speaks over the reply. */
  readonly signal?: AbortSignal;
}

/** Posts an event to a webhook as LayerCode does. An object goes as JSON; text and bytes go as they are. Rejects as `fetch` does. */
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
    redirect: 'error', // what was signed is for this address and no other
  });
}
