// A platform's connection to an app, in memory: one request, and what has been read of its answer.

import type { App } from '../../../../src/server/app/app.ts';

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly role?: string; readonly content?: string };
    readonly finish_reason: string | null;
  }[];
}

export class Connection {
  status: number | undefined;
  /** What has been spoken so far. */
  text = '';
  roles = 0;
  readonly finishes: string[] = [];
  /** How often the stream said that it is complete. */
  dones = 0;
  /** Whether something followed the end. */
  goesOn = false;
  isDropped = false;
  /** Whether the answer is over, however it ended. */
  isOver = false;
  readonly #left = new AbortController();
  readonly #onNews: () => void;
  #rest = '';

  constructor(
    app: App, body: string, headers: Readonly<Record<string, string>>, onNews: () => void,
  ) {
    this.#onNews = onNews;
    const { signal } = this.#left;
    const request = new Request('http://localhost/api/agent', {
      method: 'POST', body, headers, signal,
    });
    const over = (): void => {
      this.isOver = true;
      onNews();
    };
    this.#read(app.fetch(request)).then(over, over);
  }

  /** Whether the app has not begun to answer, or has not noticed that the connection is dropped. */
  get isArriving(): boolean {
    return !this.isOver && (this.status === undefined || this.isDropped);
  }

  /** Whether the stream ended properly. */
  get hasEnded(): boolean {
    return this.dones > 0;
  }

  drop(): void {
    if (this.hasEnded) return;
    this.isDropped = true;
    this.#left.abort();
  }

  async #read(answer: Promise<Response>): Promise<void> {
    const { status, body } = await answer;
    this.status = status;
    this.#onNews();
    for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) this.#take(text);
  }

  #take(text: string): void {
    this.#onNews();
    if (this.isDropped) return;
    this.#rest += text;
    for (let end = this.#rest.indexOf('\n\n'); end !== -1; end = this.#rest.indexOf('\n\n')) {
      const block = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      if (block.startsWith('data: ')) this.#event(block.slice('data: '.length));
    }
  }

  #event(data: string): void {
    if (this.hasEnded) this.goesOn = true;
    if (data === '[DONE]') {
      this.dones += 1;
      return;
    }
    const { choices: [choice] } = JSON.parse(data) as Chunk;
    if (choice?.delta.role !== undefined) this.roles += 1;
    this.text += choice?.delta.content ?? '';
    if (choice !== undefined && choice.finish_reason !== null)
      this.finishes.push(choice.finish_reason);
  }
}
