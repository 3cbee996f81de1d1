// Each test fails on a version of Node where the field is gone, or no longer means the same.

import assert from 'node:assert/strict';
import { createServer, IncomingMessage, ServerResponse, type Server } from 'node:http';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import {
  bytesNotAccepted, flattenHead, isUpgraded, requestsUpgradedIf, responseUnderWay, resumeParser,
  stopParserIf,
} from '../../../src/base/http/node-internals.ts';
import { deferred } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { collectGarbage } from '../../fixtures/garbage.ts';

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

describe('responseUnderWay', () => {
  it('is the response being written, and undefined before and after it', async (t) => {
    const seen: boolean[] = [];
    const server = createServer((request, response) => {
      seen.push(responseUnderWay(request.socket) === response);
      response.on('close', () => seen.push(responseUnderWay(request.socket) === undefined));
      response.end('[answered]');
    });
    server.on('connection', (socket) => seen.push(responseUnderWay(socket) === undefined));
    const client = await connectTo(t, server);
    await client.send(GET).until(/\[answered\]/);
    await client.send(GET).until(/\[answered\][^]*\[answered\]/);
    assert.deepEqual(seen.slice(0, 4), [true, true, true, true]);
  });

  it('is undefined for what is not an HTTP connection', () => {
    assert.equal(responseUnderWay({}), undefined);
  });
});

describe('bytesNotAccepted', () => {
  it('falls while a client reads a chunk that has not drained', async (t) => {
    const begun = deferred<ServerResponse>();
    const server = createServer((_request, response) => {
      response.write(Buffer.alloc(32 * 1_048_576));
      begun.resolve(response);
    });
    const client = await connectTo(t, server);
    client.socket.pause();
    client.send(GET);
    const response = await begun.promise;
    const { socket } = response;
    assert.ok(socket);
    const before = bytesNotAccepted(socket) ?? 0;
    const writable = response.writableLength;
    assert.ok(before > 0);
    client.socket.resume();
    while (bytesNotAccepted(socket) === before) await new Promise((next) => setImmediate(next));
    const after = bytesNotAccepted(socket) ?? 0;
    assert.ok(after > 0 && after < before, `${before} → ${after}`);
    assert.equal(response.writableLength, writable, 'a public figure would do');
  });

  it('is undefined for a socket that is not open, and for other objects', () => {
    assert.equal(bytesNotAccepted(new Socket()), undefined);
    assert.equal(bytesNotAccepted({}), undefined);
  });
});

describe('requestsUpgradedIf', () => {
  /** Answers requests with their body, and upgrades with 101. */
  function createUpgradeServer(mayUpgrade: (request: IncomingMessage) => boolean): Server {
    const options = { IncomingMessage: requestsUpgradedIf(mayUpgrade) };
    const server = createServer(options, async (request, response) => {
      const chunks = (await request.toArray()) as Buffer[];
      response.end(`[${isUpgraded(request)}: ${Buffer.concat(chunks).toString()}]`);
    });
    for (const event of ['upgrade', 'connect']) {
      server.on(event, (request: IncomingMessage, socket: Socket) =>
        socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\n[${event}: ${isUpgraded(request)}]`),
      );
    }
    return server;
  }

  const OFFER = 'POST / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n'
    + 'content-length: 5\r\n\r\nhello';

  it('serves a request that must not upgrade, with its body, and the next request', async (t) => {
    const client = await connectTo(t, createUpgradeServer(() => false));
    await client.send(OFFER).until(/\[false: hello\]/);
    await client.send(GET).until(/\[false: \]/);
  });

  it('hands over the connection of a request that may upgrade', async (t) => {
    const server = createUpgradeServer(({ headers }) => headers.upgrade === 'h2c');
    const client = await connectTo(t, server);
    await client.send(OFFER).until(/\[upgrade: true\]/);
  });

  it('hands over the connection of a CONNECT request in any case', async (t) => {
    const client = await connectTo(t, createUpgradeServer(() => false));
    await client.send('CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n').until(/\[connect: true\]/);
  });

  it('does not upgrade a request without an offer', async (t) => {
    const client = await connectTo(t, createUpgradeServer(() => true));
    await client.send(GET).until(/\[false: \]/);
  });
});

describe('stopParserIf and resumeParser', () => {
  it('stop after the headers of a request, then let it end', async (t) => {
    const requests: IncomingMessage[] = [];
    const server = createServer((request) => {
      requests.push(request);
      if (requests.length === 1) stopParserIf(request.socket, () => requests.length === 3);
    });
    const stopped = deferred<readonly unknown[]>();
    server.on('clientError', (error: Error, socket) => {
      const { code, bytesParsed } = error as Error & { code?: string; bytesParsed?: number };
      const wasComplete = requests[2]?.complete;
      resumeParser(socket);
      stopped.resolve([code, bytesParsed, wasComplete, requests[2]?.complete, requests.length]);
    });
    const client = await connectTo(t, server);
    client.send(GET.repeat(5));
    const seen = await stopped.promise;
    assert.deepEqual(seen, ['HPE_PAUSED', 3 * GET.length, false, true, 3]);
  });
});

describe('flattenHead', () => {
  const COUNT = 2_000;

  /** Bytes of heap per response, after its head has been written and `after` called. */
  async function bytesOf(after: (response: ServerResponse) => void): Promise<number> {
    await collectGarbage();
    const before = process.memoryUsage().heapUsed;
    const responses = Array.from({ length: COUNT }, (_, index) => {
      const response = new ServerResponse(new IncomingMessage(new Socket()));
      response.writeHead(200, ['content-type', 'text/event-stream', 'x-request-id', `id-${index}`]);
      after(response);
      return response;
    });
    await collectGarbage();
    return (process.memoryUsage().heapUsed - before) / responses.length;
  }

  it('makes an open response smaller', async () => {
    await bytesOf(flattenHead); // whatever is compiled and cached the first time
    let saved = 0;
    // The saving that is measured varies: about 300 bytes, and at times fewer than 100.
    for (let tries = 0; tries < 5 && saved <= 100; tries++)
      saved = (await bytesOf(() => undefined)) - (await bytesOf(flattenHead));
    assert.ok(saved > 100, `${saved} bytes`);
  });
});
