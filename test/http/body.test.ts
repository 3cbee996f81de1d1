import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import * as body from '../../src/http/body.ts';
import { deferred, RawConnection } from '../fixtures/kernel.ts';

/** As a promise, whenever the body is there. */
async function readRawBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return body.readRawBody(request, maxBytes, new body.BodyBudget(1_048_576));
}

/** A request whose head has come over a socket. */
async function open(t: TestContext, head: string): Promise<{ request: IncomingMessage; client: RawConnection }> {
  const arrived = deferred<IncomingMessage>();
  const server = createServer((request) => arrived.resolve(request)).on('clientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = await RawConnection.open((server.address() as AddressInfo).port);
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  client.send(head);
  return { request: await arrived.promise, client };
}

describe('readRawBody', () => {
  it('returns the bytes unchanged', async (t) => {
    const bytes = Buffer.from([...Array(256).keys()]);
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 256\r\n\r\n');
    client.send(bytes);
    assert.deepEqual(await readRawBody(request, 256), bytes);
  });

  it('joins a body that comes byte by byte', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    const body = readRawBody(request, 100);
    for (const byte of '1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n0\r\n\r\n') {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await body).toString(), 'abcd');
  });

  it('returns nothing for a request without a body', async (t) => {
    const { request } = await open(t, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    assert.equal((await readRawBody(request, 10)).length, 0);
  });

  it('accepts a body of exactly the limit', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n');
    client.send('0123456789');
    assert.equal((await readRawBody(request, 10)).length, 10);
  });

  it('accepts a chunked body of exactly the limit', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    client.send('5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n');
    assert.equal((await readRawBody(request, 10)).length, 10);
  });

  it('refuses a declared length beyond the limit before a byte has come', async (t) => {
    const { request } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n');
    await assert.rejects(readRawBody(request, 10), { status: 413, message: /10 bytes/ });
  });

  it('refuses a chunked body at its first byte beyond the limit', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    client.send('b\r\n0123456789a\r\n'); // and no end
    await assert.rejects(readRawBody(request, 10), { status: 413, code: 'ERR_BODY_TOO_LARGE' });
  });

  it('refuses a body whose client leaves in the middle', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
    const body = readRawBody(request, 10);
    client.socket.resetAndDestroy();
    await assert.rejects(body, { status: 400, message: 'the request ended in mid-body' });
  });

  // A layer that asks a database before it reads the body must not wait for ever for a client that left meanwhile.
  it('refuses a body whose client left before it was asked for', async (t) => {
    const { request, client } = await open(t, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
    const left = new Promise((resolve) => request.on('close', resolve)); // not once(): it would listen for the error
    client.socket.resetAndDestroy();
    await left;
    const outcome = await Promise.race([
      readRawBody(request, 10).then(() => 'a body', (error: unknown) => (error as { status?: number }).status),
      new Promise((resolve) => setTimeout(resolve, 500, 'waits for ever')),
    ]);
    assert.equal(outcome, 400);
  });
});
