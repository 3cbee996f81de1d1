export interface PostCompletionOptions {
  /** Sent as a bearer token; null sends none. */
  readonly key: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Closes the connection when it fires. */
  readonly signal: AbortSignal;
}

/** Asks an agent for a completion, as platforms do. Rejects as `fetch` does. */
export function postCompletion(
  url: string,
  body: string | Uint8Array,
  { key, headers, signal }: PostCompletionOptions,
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : new Uint8Array(body),
    signal,
    redirect: 'error', // the key is meant for this address only
  });
}
