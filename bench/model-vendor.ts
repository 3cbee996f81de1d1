import { settle, until } from './rounds.ts';

/** Node's own classes. Hono's server replaces the globals. */
const { ReadableStream, Response } = globalThis;

/** A reply that a model streams, as the bytes of `fetch`'s body. */
export interface ModelReply {
  send(bytes: Uint8Array): void;
  end(): void;
}

/**
 * A `fetch` without a network: it answers with headers at once, and with a body whose bytes come
 * when the bench sends them.
 */
export class ModelVendor {
  /** When a reader last asked for more of a body. */
  lastAskedAtMs = 0;
  #replies: ModelReply[] = [];
  #asked = 0;

  readonly fetch: typeof globalThis.fetch = async () => {
    let body: ReadableByteStreamController | undefined;
    const stream = new ReadableStream({
      type: 'bytes', // as the body of a real `fetch`: it pulls once for each read
      start: (controller) => void (body = controller),
      pull: () => {
        this.#asked += 1;
        this.lastAskedAtMs = performance.now();
      },
    });
    this.#replies.push({
      send: (bytes) => body?.enqueue(bytes),
      end: () => body?.close(),
    });
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  };

  /** The replies that were asked for, once there are `count` and all their readers are waiting. */
  async takeReplies(count: number): Promise<readonly ModelReply[]> {
    await until(
      () => this.#replies.length === count && this.#asked >= count,
      () => `${count} requests to the model, ${this.#replies.length} came`,
    );
    await settle();
    const replies = this.#replies;
    this.#replies = [];
    this.#asked = 0;
    return replies;
  }
}

const CHUNK = {
  id: 'chatcmpl-CfZ2nq0w1X3yUu5sVb7tKc9dLe4mR',
  object: 'chat.completion.chunk',
  created: 1_764_000_000,
  model: 'gpt-6-luna',
  service_tier: 'default',
  system_fingerprint: 'fp_7c233bf9d1',
};

/** Text on the wire. Without `content`, the event that begins a reply. */
export function textBlock(content?: string): string {
  const delta = content === undefined ? { role: 'assistant', content: '', refusal: null } : { content };
  const choice = { index: 0, delta, logprobs: null, finish_reason: null };
  return block({ ...CHUNK, choices: [choice], usage: null });
}

/** The events that end a reply of this many tokens. */
export function endBlocks(tokens: number): string {
  const choice = { index: 0, delta: {}, logprobs: null, finish_reason: 'stop' };
  const usage = {
    prompt_tokens: 1_000,
    completion_tokens: tokens,
    total_tokens: 1_000 + tokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
  return (
    block({ ...CHUNK, choices: [choice], usage: null }) +
    block({ ...CHUNK, choices: [], usage }) +
    'data: [DONE]\n\n'
  );
}

function block(chunk: object): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
