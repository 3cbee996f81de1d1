// Response bodies that end when a signal fires. `fetch` gets the signal too. But if the request
// has a body, Node 20.20 and 22 forget the signal at the next garbage collection
// (nodejs/undici#3644). Then the read would never end, and the other side would keep sending to
// nobody.

/**
 * A reader that ends when the signal fires, and closes the connection. The read in progress reports
 * the end of the body.
 */
export function openReader(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): ReadableStreamDefaultReader<Uint8Array> {
  const reader = body.getReader();
  const cancel = (): void => {
    // If the body has failed by then, `read()` reports the failure.
    reader.cancel(signal.reason).catch(() => undefined);
  };
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
  return reader;
}

/**
 * A response's body. Throws the signal's reason when the signal fires. Stopping the iteration
 * closes the connection.
 */
export async function* readBody(
  { body }: Response,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === null) return;
  const reader = openReader(body, signal);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) throw signal.reason;
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // does nothing after the end
  }
}

/**
 * The text of a response's body, cut off after `maxBytes` (default 1 MiB). Throws the signal's
 * reason when the signal fires.
 */
export async function readText(
  response: Response,
  signal: AbortSignal,
  maxBytes = 1_048_576,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let left = maxBytes;
  for await (const chunk of readBody(response, signal)) {
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Whether a response says that its body is an event stream. */
export function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.split(';', 1)[0]?.trim() === 'text/event-stream';
}
