export const BENCH_KEY = 'key_of_the_benches';

/** A call as a platform resends it. */
export class ResentCall {
  readonly #conversationId: string;
  readonly #most: number;
  /** As JSON text. */
  #messages: string[] = [];

  /** Resends at most the last `most` messages. */
  constructor(conversationId: string, most: number) {
    this.#conversationId = conversationId;
    this.#most = most;
  }

  /** The bytes of a request in which the caller says this text. All ASCII. */
  say(text: string): string {
    this.#add('user', text);
    const body = `{"model":"agent","stream":true,"messages":[${this.#messages.join(',')}]}`;
    return (
      'POST /api/agent/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\n' +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n` +
      `authorization: Bearer ${BENCH_KEY}\r\nx-conversation-id: ${this.#conversationId}\r\n\r\n` +
      body
    );
  }

  heard(reply: string): void {
    this.#add('assistant', reply);
  }

  #add(role: string, content: string): void {
    this.#messages.push(JSON.stringify({ role, content }));
    if (this.#messages.length > this.#most) this.#messages.shift();
  }
}
