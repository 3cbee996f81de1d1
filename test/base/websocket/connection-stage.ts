import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

import { parseClose } from '../../../src/base/websocket/close.ts';
import {
  WebSocketConnection,
  type WebSocketClose,
  type WebSocketOptions,
} from '../../../src/base/websocket/connection.ts';
import { OPCODES } from '../../../src/base/websocket/frame.ts';
import { Told } from '../../fixtures/app.ts';
import { listen } from '../../fixtures/listen.ts';
import { parseServerFrames, type ServerFrame } from './client-frames.ts';

/** Lets what is on its way arrive, to see that nothing more does. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The client's end of the TCP connection, frame by frame. */
class Peer {
  readonly socket: Socket;
  /** Frames, and `end` for the end of the server's side. */
  readonly #received = new Told<ServerFrame | 'end'>();
  readonly closed: Promise<unknown>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (chunk: Buffer) => {
      const { frames, rest } = parseServerFrames(Buffer.concat([this.#rest, chunk]));
      this.#rest = rest;
      for (const frame of frames) this.#received.tell(frame);
    });
    socket.on('end', () => this.#received.tell('end'));
    socket.on('error', () => undefined); // a connection that is reset is closed, too
  }

  send(...frames: readonly Buffer[]): this {
    this.socket.write(Buffer.concat(frames));
    return this;
  }

  /** The next frame in short: `text hello`, `close 1000 bye`, `ping`, `end`. */
  async next(): Promise<string> {
    const frame = await this.#received.next();
    if (frame === 'end') return frame;
    const name = Object.entries(OPCODES).find(([, opcode]) => opcode === frame.opcode)?.[0] ?? '';
    if (frame.opcode !== OPCODES.close) return `${name} ${frame.payload.toString()}`.trim();
    const { code, reason } = parseClose(frame.payload);
    return `${name} ${code} ${reason}`.trim();
  }

  async rest(): Promise<string[]> {
    const all: string[] = [];
    do all.push(await this.next());
    while (all.at(-1) !== 'end');
    return all;
  }
}

export interface Opened {
  readonly connection: WebSocketConnection;
  /** The server's end of the TCP connection. */
  readonly socket: Socket;
  readonly peer: Peer;
  readonly texts: Told<string>;
  readonly closes: Told<WebSocketClose>;
}

/**
 * Both ends of a TCP connection. The server keeps its side open when the other ends, as node:http
 * does.
 */
export async function socketPair(
  t: TestContext,
  allowHalfOpen = false,
): Promise<{ readonly socket: Socket; readonly client: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  const { port } = await listen(server, t);
  const client = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen });
  const [socket] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    socket.destroy();
  });
  return { socket, client };
}

/** A connection over real TCP. */
export async function open(
  t: TestContext,
  options: Partial<WebSocketOptions> = {},
  { allowHalfOpen = false } = {},
): Promise<Opened> {
  const { socket, client } = await socketPair(t, allowHalfOpen);
  const peer = new Peer(client);
  const texts = new Told<string>();
  const closes = new Told<WebSocketClose>();
  const connection = new WebSocketConnection(socket, {
    onText: texts.tell,
    onClose: closes.tell,
    ...options,
  });
  return { connection, socket, peer, texts, closes };
}

interface Pending extends Opened {
  readonly heard: Told<string>;
}

/** A connection whose `onText` returns the promise. */
export async function openPending(
  t: TestContext,
  promise: Promise<void>,
  options: Partial<WebSocketOptions> = {},
): Promise<Pending> {
  const heard = new Told<string>();
  const onText = (message: string): Promise<void> => {
    heard.tell(message);
    return promise;
  };
  return { ...(await open(t, { ...options, onText })), heard };
}

export const FAR_AWAY_MS = 60_000;
