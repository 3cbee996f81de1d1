// A front end on its WebSocket, for tests on any Node: the global client came with Node 22.

import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';

import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { close, parseServerFrames, text } from '../../base/websocket/client-frames.ts';
import { Told, within } from '../../fixtures/app.ts';

const CLOSE = 8;

export interface Grant {
  readonly client_session_key: string;
  readonly conversation_id: string;
  readonly config: unknown;
}

/** Asks the authorize route as a page on this machine does. */
export async function authorize(
  origin: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Grant> {
  const response = await fetch(`${origin}/api/authorize`, {
    method: 'POST',
    body: JSON.stringify({ agent_id: 'ag-1', ...fields }),
    headers: { 'content-type': 'application/json', origin: 'http://localhost:5173' },
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Grant;
}

export interface Refusal {
  readonly status: number;
  readonly body: string;
}

export interface ConnectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** Opens a socket, or reports how it was refused. */
export async function connect(
  origin: string,
  query: string,
  { headers = {}, path = '/v1/agents/web/websocket' }: ConnectOptions = {},
): Promise<Browser | Refusal> {
  const asked = request(`${origin}${path}?${query}`, {
    headers: { ...HANDSHAKE, ...headers },
  }).end();
  return within(
    new Promise<Browser | Refusal>((resolve, reject) => {
      asked.on('error', reject);
      asked.on('upgrade', (_response, socket, head) =>
        resolve(new Browser(socket as Socket, head)),
      );
      asked.on('response', (response) => {
        void response
          .setEncoding('utf8')
          .toArray()
          .then(
            (chunks) => resolve({ status: response.statusCode ?? 0, body: chunks.join('') }),
            reject,
          );
      });
    }),
    'the handshake',
  );
}

export class Browser {
  readonly frames = new Told<ServerFrame>();
  /** The code of the server's close frame; 1006 if the connection ended without one. */
  readonly closed: Promise<number>;
  readonly #socket: Socket;
  #rest: Buffer;
  #code = 1006;

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    this.#rest = head;
    this.closed = once(socket, 'close').then(() => this.#code);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#parse();
    });
    this.#parse();
  }

  send(frame: object | string): void {
    this.#socket.write(text(typeof frame === 'string' ? frame : JSON.stringify(frame)));
  }

  /** The next frame of this type. */
  async next<T extends ServerFrame['type']>(type: T): Promise<ServerFrame & { readonly type: T }> {
    for (;;) {
      const frame = await this.frames.next(`a frame ${type}`);
      if (frame.type === type) return frame as ServerFrame & { readonly type: T };
    }
  }

  /** Closes without a code, as the official client's `disconnect()` does. */
  close(): void {
    this.#socket.write(close());
  }

  /** Drops the connection without a close frame. */
  destroy(): void {
    this.#socket.destroy();
  }

  #parse(): void {
    const { frames, rest } = parseServerFrames(this.#rest);
    this.#rest = rest;
    for (const { opcode, payload } of frames) {
      if (opcode !== CLOSE) this.frames.tell(JSON.parse(payload.toString()) as ServerFrame);
      else {
        this.#code = payload.length < 2 ? 1005 : payload.readUInt16BE();
        this.#socket.end(close(this.#code === 1005 ? undefined : this.#code));
      }
    }
  }
}
