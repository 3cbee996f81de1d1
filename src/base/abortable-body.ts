// Bodies of `fetch` that end when a signal fires. `fetch` is given the signal too; but where the request has a body, Node 20.20 and 22
// forget it with the next garbage collection (nodejs/undici#3644): the read waits for ever, and
// the other side goes on for nobody.

/**
 * A reader whose reading is over when the signal fires, and the connection with it: what is read
 * then is the end.
 */
export function openReader(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): ReadableStreamDefaultReader<Uint8Array> {
  const reader = body.getReader();
  const cancel = (): void => {
    reader.cancel(signal.reason).catch(() => undefined); // a body that has failed meanwhile says so to whoever reads
  };
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
  return reader;
}

/**
 * A response's body. Throws the signal's reason when that fires; whoever stops iterating closes
 * the connection.
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
    await reader.cancel().catch(() => undefined); // nothing, where it was read to its end
  }
}

/** The text of a response's body, cut after `maxBytes`. Throws the signal's reason when that fires. */
export async function readText(
  response: Response,
  signal: AbortSignal,
  maxBytes: number,
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
