import type { Server } from 'node:http';
import type { Socket } from 'node:net';

import { bytesNotAccepted } from './node-internals.ts';

const LOOK_EVERY_MS = 5_000;
/** A connection is closed after this many looks without progress: 30 s. */
const MAX_LOOKS = 6;

/** What a connection had to send when it was looked at, and how many times it was the same. */
interface Unsent {
  readonly bytes: number;
  readonly looks: number;
}

/**
 * Closes each connection whose client reads nothing for 30 to 35 s while bytes wait for it: any
 * route's answer, a refusal, or a WebSocket. One timer looks at all connections, so that writes
 * cost nothing extra.
 */
export function closeStalledConnections(server: Server): void {
  const connections = new Map<Socket, Unsent | undefined>();
  server.on('connection', (socket) => {
    connections.set(socket, undefined);
    socket.once('close', () => connections.delete(socket));
  });
  server.on('listening', () => {
    const clock = setInterval(() => {
      for (const [socket, before] of connections) connections.set(socket, look(socket, before));
    }, LOOK_EVERY_MS).unref();
    server.once('close', () => clearInterval(clock));
  });
}

function look(socket: Socket, before: Unsent | undefined): Unsent | undefined {
  if (socket.writableLength === 0) return undefined;
  const bytes = bytesNotAccepted(socket) ?? socket.writableLength;
  const looks = before?.bytes === bytes ? before.looks + 1 : 0;
  if (looks === MAX_LOOKS) socket.destroy();
  return { bytes, looks };
}
