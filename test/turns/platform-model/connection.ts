// A platform's connection to an app, in memory: one request, and what was read of its answer. It
// has what an app uses of Node's own classes, and costs a part of what `app.fetch` does.

import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable, Writable } from 'node:stream';

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly role?: string; readonly content?: string };
    readonly finish_reason: string | null;
  }[];
}

/** Whatever answers a request of Node's. */
export interface Handler {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
}

class Socket extends EventEmitter {
  destroyed = false;
  readonly errored = null;
  readonly remoteAddress = '127.0.0.1';
}

class GivenRequest extends Readable {
  readonly method = 'POST';
  readonly url = '/api/agent';
  readonly httpVersion = '1.1';
  readonly httpVersionMajor = 1;
  readonly complete = true;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly socket: Socket;

  constructor(body: string, headers: Readonly<Record<string, string>>, socket: Socket) {
    super();
    this.headers = { host: 'localhost', ...headers };
    this.rawHeaders = Object.entries(this.headers).flat();
    this.socket = socket;
    this.push(body);
    this.push(null);
  }

  override _read(): void {
    // all of it is there
  }
}

class TakenResponse extends Writable {
  headersSent = false;
  statusCode = 200;
  readonly socket: Socket;
  readonly req: { readonly socket: Socket };
  readonly #onText: (text: string) => void;

  constructor(socket: Socket, onText: (text: string) => void) {
    super();
    this.socket = socket;
    this.req = { socket };
    this.#onText = onText;
  }

  writeHead(status: number): void {
    this.headersSent = true;
    this.statusCode = status;
    this.emit('head');
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, taken: () => void): void {
    this.#onText(piece.toString());
    taken();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    if (!this.writableFinished) this.socket.destroyed = true;
    done();
  }
}

export class Connection {
  status: number | undefined;
  /** What was spoken so far. */
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
  readonly #response: TakenResponse;
  readonly #onNews: () => void;
  #rest = '';

  constructor(
    app: Handler,
    body: string,
    headers: Readonly<Record<string, string>>,
    onNews: () => void,
  ) {
    this.#onNews = onNews;
    const socket = new Socket();
    const request = new GivenRequest(body, headers, socket);
    const response = new TakenResponse(socket, (text) => this.#take(text));
    this.#response = response;
    response.once('head', () => {
      this.status = response.statusCode;
      onNews();
    });
    response.once('close', () => {
      request.destroy();
      this.isOver = true;
      onNews();
    });
    app.handle(
      request as unknown as IncomingMessage, response as unknown as ServerResponse,
    );
  }

  /** Whether the app has not begun to answer, or has not noticed that the connection is dropped. */
  get isArriving(): boolean {
    return !this.isOver && (this.status === undefined || this.isDropped);
  }

  /** Whether the stream has its proper end. */
  get hasEnded(): boolean {
    return this.dones > 0;
  }

  drop(): void {
    if (this.hasEnded) return;
    this.isDropped = true;
    this.#response.destroy();
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
