// Node's own WebSocket client, which nobody here has written, against node:http and
// src/base/websocket.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import {
  WebSocketConnection,
  type WebSocketClose,
  type WebSocketOptions,
} from '../../../src/base/websocket/connection.ts';
import { acceptHeaders, checkHandshake } from '../../../src/base/websocket/handshake.ts';
import { listen } from '../../fixtures/listen.ts';
import { TYPESCRIPT } from '../../fixtures/typescript.ts';

/** As much of the global as is used; @types/node 20 does not know it. */
interface Client extends EventTarget {
  readonly protocol: string;
  readonly extensions: string;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
type ClientClass = new (url: string) => Client;
type ClientEvent = Event & {
  readonly data: string;
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
};

interface Served {
  readonly client: Client;
  readonly connection: WebSocketConnection;
  readonly closed: Promise<WebSocketClose>;
  /** The client's `close` event. */
  readonly over: Promise<ClientEvent>;
}

async function serve(
  t: TestContext,
  WebSocket: ClientClass,
  options: Partial<WebSocketOptions> = {},
): Promise<Served> {
  const server = createServer();
  const { port } = await listen(server, t);
  let tellClose!: (close: WebSocketClose) => void;
  const closed = new Promise<WebSocketClose>((resolve) => (tellClose = resolve));
  const accepted = new Promise<WebSocketConnection>((resolve, reject) => {
    server.on('upgrade', (request, socket: Socket, head) => {
      const refusal = checkHandshake(request);
      if (refusal !== undefined) {
        socket.destroy();
        reject(new Error(refusal.reason));
        return;
      }
      const headers = acceptHeaders(request);
      socket.write('HTTP/1.1 101 Switching Protocols\r\n');
      for (let index = 0; index < headers.length; index += 2) {
        socket.write(`${headers[index]}: ${headers[index + 1]}\r\n`);
      }
      socket.write('\r\n');
      if (head.length > 0) socket.unshift(head);
      const connection = new WebSocketConnection(socket, {
        onText: async (message) => void (await connection.send(message)),
        onClose: tellClose,
        ...options,
      });
      t.after(() => connection.destroy());
      resolve(connection);
    });
  });
  const client = new WebSocket(`ws://127.0.0.1:${port}/live`);
  const over = once(client, 'close').then(([event]) => event as ClientEvent);
  await once(client, 'open');
  return { client, connection: await accepted, closed, over };
}

/** The next `count` messages. */
function receive(client: Client, count: number): Promise<string[]> {
  const messages: string[] = [];
  return new Promise((resolve) => {
    client.addEventListener('message', (event) => {
      messages.push((event as ClientEvent).data);
      if (messages.length === count) resolve(messages);
    });
  });
}

function tests(WebSocket: ClientClass): void {
  it('opens without an extension, even if it offers one, and without a subprotocol', async (t) => {
    const { client } = await serve(t, WebSocket);
    assert.deepEqual([client.extensions, client.protocol], ['', '']);
  });

  it('sends texts of any kind and length, and gets them back in order', async (t) => {
    const { client } = await serve(t, WebSocket);
    const long = ['x'.repeat(125), 'x'.repeat(126), 'x'.repeat(65_536), '👋'.repeat(262_144)];
    const many = Array.from({ length: 1_000 }, (_, index) => `message ${index}`);
    const sent = ['Hello?', '', '👋🏽👩‍👩‍👧é語', ...long, ...many];
    const received = receive(client, sent.length);
    for (const message of sent) client.send(message);
    assert.deepEqual(await received, sent);
  });

  for (const [code, reason] of [
    [undefined, ''],
    [4001, 'adiós'],
  ] as const) {
    it(`closes with ${code ?? 'no code'} ${reason}`.trim(), async (t) => {
      const { client, closed, over } = await serve(t, WebSocket);
      client.close(code, reason);
      assert.deepEqual(await closed, { code: code ?? 1005, reason });
      const event = await over;
      assert.deepEqual([event.code, event.wasClean], [code ?? 1005, true]);
    });

    it(`is closed by the server with ${code ?? 'no code, which is 1000'} ${reason}`.trim(), async (t) => {
      const { connection, closed, over } = await serve(t, WebSocket);
      connection.close(code, reason);
      const event = await over;
      assert.deepEqual([event.code, event.reason, event.wasClean], [code ?? 1000, reason, true]);
      assert.equal((await closed).code, code ?? 1000);
    });
  }
}

describe("Node's WebSocket client", { timeout: 20_000 }, () => {
  const WebSocket = (globalThis as { WebSocket?: ClientClass }).WebSocket;
  if (WebSocket !== undefined) {
    tests(WebSocket);
    return;
  }
  it(
    'passes these tests if it is behind a flag (Node 20)',
    { skip: !process.allowedNodeEnvironmentFlags.has('--experimental-websocket') },
    async () => {
      // the variable of this test's runner, to which the process would report
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const flags = ['--experimental-websocket', '--no-warnings', ...TYPESCRIPT];
      const child = spawn(process.execPath, [...flags, fileURLToPath(import.meta.url)], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [output, errors, [code]] = await Promise.all([
        textOf(child.stdout),
        textOf(child.stderr),
        once(child, 'close'),
      ]);
      assert.equal(code, 0, output + errors);
      assert.match(output, /^# pass [1-9]/m);
    },
  );
});
