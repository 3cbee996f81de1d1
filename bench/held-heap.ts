import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { pickFreePort, startServer, type RunningServer, type ServerOptions } from './servers.ts';

const DOOR = fileURLToPath(new URL('heap-door.mjs', import.meta.url));

export interface HeapServer extends RunningServer {
  /** Bytes of the heap in use after a full garbage collection. */
  heldBytes(): Promise<number>;
}

/** A server that also reports how much of its heap is in use. */
export async function startHeapServer(options: ServerOptions): Promise<HeapServer> {
  const heapPort = await pickFreePort();
  const server = await startServer({
    ...options,
    nodeFlags: [...(options.nodeFlags ?? []), '--expose-gc', '--import', DOOR],
    settings: { ...options.settings, HEAP_PORT: String(heapPort) },
  });
  return {
    ...server,
    heldBytes: async () => Number(await text(connect({ port: heapPort, host: '127.0.0.1' }))),
  };
}
