// The callers' connections to the apps of a talk.

import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface WireEvent {
  readonly type: string;
  readonly content?: unknown;
}

/** One request on its own connection, and the answer. */
export class Caller {
  readonly events: WireEvent[] = [];
  status: number | undefined;
  readonly #socket: Socket;
  readonly #onNews: () => void;
  #text = '';

  constructor(socket: Socket, onNews: () => void) {
    this.#socket = socket;
    this.#onNews = onNews;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', onNews);
    socket.on('close', onNews);
  }

  /** Whether the connection is closed, at least at this end. */
  get hasLeft(): boolean {
    return this.#socket.destroyed;
  }

  /** Whether the stream ended properly. */
  get hasEnded(): boolean {
    return this.events.at(-1)?.type === 'response.end' || this.#text.includes('[DONE]');
  }

  drop(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#onNews();
    this.#text += text;
    this.status ??= Number(/^HTTP\/1\.1 (\d+)/.exec(this.#text)?.[1]);
    // Each event leaves in one piece, so the frames of a chunked body are between events.
    let end: number;
    while ((end = this.#text.indexOf('\n\n')) !== -1) {
      const start = this.#text.indexOf('data: {');
      if (this.#text.slice(0, end).includes('[DONE]')) return; // no more of this dialect is read
      if (start !== -1 && start < end)
        this.events.push(JSON.parse(this.#text.slice(start + 6, end)) as WireEvent);
      this.#text = this.#text.slice(end + 2);
    }
  }
}

export interface PostOptions {
  /** The first write of the reply fails. */
  readonly breaks?: boolean;
  /** Called when the app has the request, before it looks at it. */
  readonly onArrival?: () => void;
}

interface Arrival {
  readonly onArrival: (() => void) | undefined;
  readonly onTaken: () => void;
}

/** All connections of a talk, as seen from both ends. */
export class Connections {
  /** When set, called before each write of an app. True breaks the connection at that write. */
  breaksWrite: (() => boolean) | undefined;
  readonly #onNews: () => void;
  readonly #ports = new Set<number>();
  readonly #callers = new Set<Caller>();
  readonly #arrivals = new Map<number, Arrival>();
  /** Callers whose connections the app still has, by port. */
  readonly #connected = new Map<number, Caller>();
  /** Ports of callers whose connections break at the first write. */
  readonly #breaking = new Set<number>();

  /** `onNews` is called whenever something happens. */
  constructor(onNews: () => void) {
    this.#onNews = onNews;
    channel('http.server.request.start').subscribe(this.#arrived);
  }

  /** From now on connections to this port belong to the talk. */
  watch(port: number): void {
    this.#ports.add(port);
  }

  /** Posts a request to the app at the port. Resolves when the app has it. */
  async post(
    port: number, request: string, { breaks = false, onArrival }: PostOptions = {},
  ): Promise<Caller> {
    const socket = connect({ port, host: '127.0.0.1' });
    const caller = new Caller(socket, this.#onNews);
    this.#callers.add(caller);
    await once(socket, 'connect');
    const { localPort = 0 } = socket;
    this.#connected.set(localPort, caller);
    if (breaks) this.#breaking.add(localPort);
    const arrived = new Promise<void>((onTaken) =>
      this.#arrivals.set(localPort, { onArrival, onTaken }),
    );
    socket.write(request);
    await arrived;
    return caller;
  }

  /** Whether a caller has left and its app has not noticed yet. */
  get isLeaving(): boolean {
    return [...this.#connected.values()].some(({ hasLeft }) => hasLeft);
  }

  /** Closes connections whose answers are complete, as clients with one request do. */
  closeEnded(): void {
    for (const caller of this.#connected.values()) if (caller.hasEnded) caller.drop();
  }

  closeAll(): void {
    for (const caller of this.#callers) caller.drop();
  }

  dispose(): void {
    channel('http.server.request.start').unsubscribe(this.#arrived);
    this.closeAll();
  }

  readonly #arrived = (message: unknown): void => {
    const { request } = message as { readonly request: IncomingMessage };
    const { socket } = request;
    if (!this.#ports.has(socket.localPort ?? 0)) return;
    this.#onNews();
    this.#watch(socket);
    const { remotePort = 0 } = socket;
    const arrival = this.#arrivals.get(remotePort);
    arrival?.onArrival?.();
    // The body came with the headers, so the app has it in the next round.
    setImmediate(() => arrival?.onTaken());
  };

  #watch(socket: Socket): void {
    const { remotePort = 0 } = socket;
    socket.once('close', () => {
      this.#connected.delete(remotePort);
      this.#onNews();
    });
    const breaksAtOnce = this.#breaking.delete(remotePort);
    if (!breaksAtOnce && this.breaksWrite === undefined) return;
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    Object.defineProperty(socket, 'write', {
      value: (...args: unknown[]): boolean => {
        if (this.breaksWrite?.() === true || breaksAtOnce) socket.destroy();
        return write(...args);
      },
    });
  }
}
