// Many requests in one packet: the third attack made the server keep every answer for clients that
// read none.

import assert from 'node:assert/strict';
import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { createHttpServer } from '../../../src/base/http/server.ts';
import { deferred, until, within } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { serve, type RawConnection } from '../../fixtures/kernel.ts';

const get = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;

interface Stage {
  readonly client: RawConnection;
  /** The paths of the requests that Node has read. */
  readonly read: string[];
  /** The paths of the requests that were passed on, with their responses. */
  readonly served: (readonly [path: string, response: ServerResponse])[];
  /** The server's side of the connection. */
  readonly socket: () => Socket;
}

/** A server that leaves its answers to the test. */
async function open(t: TestContext): Promise<Stage> {
  const read: string[] = [];
  const served: [string, ServerResponse][] = [];
  const listener: RequestListener = ({ url }, response) => {
    served.push([String(url), response]);
  };
  const server = createHttpServer({ listener, maxConnections: 1, takesUpgrades: false });
  const connected = deferred<Socket>();
  server.on('connection', connected.resolve);
  server.on('request', ({ url }) => void read.push(String(url)));
  const client = await connectTo(t, server);
  const socket = await connected.promise;
  return { client, read, served, socket: () => socket };
}

describe('a connection with several requests', () => {
  it('serves one at a time, in order', async (t) => {
    const { client, served } = await open(t);
    client.send(get('/1') + get('/2') + get('/3', 'connection: close\r\n'));
    for (let count = 1; count <= 3; count++) {
      await until(() => served.length === count, `request ${count}`);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(served.length, count);
      served[count - 1]?.[1].end(`[${count}]`);
    }
    await client.closed;
    assert.match(client.received, /\[1\][^]*\[2\][^]*\[3\]$/);
  });

  it('answers all requests in a packet of 64 KiB, bodies included', async (t) => {
    const { app, raw } = await serve(t);
    app.post('/echo', async (context) =>
      context.text(200, `[${(await context.readRawBody()).toString()}]`));
    const client = await raw();
    const post = (index: number): string => {
      const body = `body ${index}`;
      const head = `POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`;
      return head + body;
    };
    const indices = [...Array(1_500).keys()];
    client.send(indices.map(post).join(''));
    client.send(get('/health', 'connection: close\r\n'));
    await client.closed;
    const bodies = client.received.matchAll(/\[body (\d+)\]/g);
    assert.deepEqual([...bodies].map(([, index]) => Number(index)), indices);
    assert.match(client.received, /"healthy"/);
  });

  for (const [what, request] of [
    ['ordinary requests', get('/x')],
    ['requests without a host, which Node would answer itself', 'GET /x HTTP/1.1\r\n\r\n'],
    ['requests with an expectation, which Node would answer itself', get('/x', 'expect: x\r\n')],
    ['requests with bodies', 'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx'],
  ] as const) {
    it(`keeps 16 waiting and reads no more of a full packet: ${what}`, async (t) => {
      const { client, read, served, socket } = await open(t);
      client.send(get('/first') + request.repeat(64 * 1_024 / request.length));
      await until(() => socket().isPaused(), 'the connection to be paused');
      for (let count = 0; count < 10; count++)
        await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual([served.length, read.length + Number(request.includes('expect'))],
        [1, request.includes('expect') ? 2 : 17]);
    });
  }

  // With 60 connections, each with a packet of requests answered at once, `/health` took 4 s.
  for (const [what, request] of [
    ['without a body', get('/x')],
    ['with a body that is not read', 'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx'],
  ] as const) {
    it(`leaves the event loop to others after a few requests: ${what}`, async (t) => {
      let inRound = 0;
      let most = 0;
      let served = 0;
      const client = await connectTo(t, createHttpServer({
        listener: (_request, response) => {
          if (inRound === 0) setImmediate(() => (inRound = 0));
          served += 1;
          most = Math.max(most, ++inRound);
          response.end();
        },
        maxConnections: 1,
        takesUpgrades: false,
      }));
      client.send(request.repeat(1_000));
      await until(() => served === 1_000, 'all requests');
      assert.ok(most <= 16, `${most} requests in one round`);
    });
  }

  it('keeps only one answer ready if its client reads none', async (t) => {
    const { client, served, socket } = await open(t);
    client.socket.pause();
    client.send(get('/x').repeat(1_000));
    const answer = Buffer.alloc(1_048_576);
    let answered = 0;
    // The kernel takes some of the answers.
    while (socket().writableLength === 0) {
      await until(() => served.length > answered || socket().writableLength > 0, 'a request');
      for (; answered < served.length; answered++) served[answered]?.[1].end(answer);
    }
    for (let count = 0; count < 10; count++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(served.length, answered);
    assert.ok(socket().writableLength < 2 * answer.length);
  });

  it('serves none of the waiting requests once it has closed', async (t) => {
    const { client, read, served, socket } = await open(t);
    client.send(get('/1') + get('/2'));
    await until(() => read.length === 2, 'both requests');
    client.destroy();
    await until(() => socket().closed, 'the end of the connection');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(served.length, 1);
  });

  it('serves none of the waiting requests if it is destroyed after an answer', async (t) => {
    const { client, served, socket } = await open(t);
    client.send(get('/1') + get('/2'));
    await until(() => served.length === 1, 'the first request');
    const response = served[0]?.[1];
    response?.once('close', () => socket().destroy());
    response?.end('[1]');
    await until(() => socket().closed, 'the end of the connection');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(served.length, 1);
  });

  it('serves none after a request that closes it', async (t) => {
    const { client, served } = await open(t);
    client.send(get('/1', 'connection: close\r\n') + get('/2'));
    await until(() => served.length === 1, 'the first request');
    served[0]?.[1].end('[1]');
    await within(client.closed, 'the end of the connection');
    assert.equal(served.length, 1);
  });
});
