import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { BodyBudget, UncheckedBodies } from '../../../src/base/http/body-budgets.ts';
import * as body from '../../../src/base/http/body.ts';
import { lingerOverBody } from '../../../src/base/http/unread-body.ts';
import { deferred, within } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { RawConnection } from '../../fixtures/kernel.ts';

/** `readRawBody`, always with a promise. */
async function readRawBody(
  request: IncomingMessage,
  maxBytes: number,
  budget = new BodyBudget(1_048_576),
): Promise<Buffer> {
  return body.readRawBody(request, maxBytes, () => budget);
}

/** What is left of a budget. */
function left(budget: BodyBudget): number {
  let bytes = 0;
  while (budget.take(1)) bytes += 1;
  return bytes;
}

/** A request whose head has arrived over a socket. */
async function open(
  t: TestContext,
  head: string,
): Promise<{ request: IncomingMessage; client: RawConnection }> {
  const arrived = deferred<IncomingMessage>();
  const server = createServer((request) => arrived.resolve(request)).on(
    'clientError',
    (_error, socket) => socket.destroy(),
  );
  const client = await connectTo(t, server);
  client.send(head);
  return { request: await arrived.promise, client };
}

const CHUNKED = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';

function post(length: number): string {
  return `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;
}

describe('readRawBody', () => {
  it('returns the bytes unchanged', async (t) => {
    const bytes = Buffer.from([...Array(256).keys()]);
    const { request, client } = await open(t, post(256));
    client.send(bytes);
    assert.deepEqual(await readRawBody(request, 256), bytes);
  });

  for (const [what, head, body, length] of [
    ['a request without a body', 'GET / HTTP/1.1\r\nhost: x\r\n\r\n', '', 0],
    ['a body of exactly the limit', post(10), '0123456789', 10],
    ['chunks of exactly the limit', CHUNKED, '5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n', 10],
  ] as const)
    it(`accepts ${what}`, async (t) => {
      const { request, client } = await open(t, head);
      client.send(body);
      assert.equal((await readRawBody(request, 10)).length, length);
    });

  for (const [what, head, body] of [
    ['a declared length beyond the limit before a byte has come', post(11), ''],
    ['a chunked body at its first byte beyond the limit', CHUNKED, 'b\r\n0123456789a\r\n'],
  ] as const)
    it(`refuses ${what}`, async (t) => {
      const { request, client } = await open(t, head);
      client.send(body); // without ending it
      const expected = { status: 413, code: 'ERR_BODY_TOO_LARGE', message: /10 bytes/ };
      await assert.rejects(readRawBody(request, 10), expected);
    });

  it('refuses a body whose client leaves in the middle of it', async (t) => {
    const { request, client } = await open(t, `${post(10)}12345`);
    const body = readRawBody(request, 10);
    client.socket.resetAndDestroy();
    const message = 'the request ended before the end of its body';
    await assert.rejects(body, { status: 400, message });
  });

  // A layer that asks a database before it reads the body must not wait for ever for a client that
  // left meanwhile.
  it('refuses a body whose client left before the body was read', async (t) => {
    const { request, client } = await open(t, `${post(10)}12345`);
    // not `once()`: that would also listen for the error
    const left = new Promise((resolve) => request.on('close', resolve));
    client.socket.resetAndDestroy();
    await left;
    await assert.rejects(within(readRawBody(request, 10), 'a refusal'), { status: 400 });
  });
});

describe('a body of full chunks', () => {
  for (const [what, room, waits] of [
    ['without credentials yields to others after each chunk', new UncheckedBodies(1e6, 1e6), true],
    ['with credentials does not yield', new BodyBudget(1e6), false],
  ] as const) {
    it(what, async () => {
      const stream = Object.assign(new Readable({ read: () => undefined }), { headers: {} });
      const reading = body.readRawBody(stream as unknown as IncomingMessage, 200_000, () =>
        (room instanceof UncheckedBodies ? room.share('a') : room));
      const paused: boolean[] = [];
      stream.on('data', () => paused.push(stream.isPaused()));
      stream.push(Buffer.alloc(65_536));
      stream.push(Buffer.alloc(65_536));
      stream.push(null);
      assert.equal((await reading).length, 131_072);
      assert.deepEqual(paused, [waits, waits]);
    });
  }
});

describe('the budget for all bodies', () => {
  it('refuses a body that exceeds it with 503, and gets all its bytes back', async (t) => {
    const { request, client } = await open(t, CHUNKED);
    const budget = new BodyBudget(4);
    const reading = readRawBody(request, 10, budget);
    client.send('3\r\n012\r\n');
    client.send('2\r\n34\r\n');
    await assert.rejects(reading, { status: 503, headers: ['retry-after', '1'] });
    assert.equal(left(budget), 4);
  });

  for (const [what, end] of [
    [
      'is longer than its limit',
      (client: RawConnection) => void client.send('b\r\n0123456789a\r\n'),
    ],
    ['breaks off', (client: RawConnection) => void client.socket.resetAndDestroy()],
    [
      'is destroyed by a layer',
      (_client: RawConnection, request: IncomingMessage) => void request.destroy(),
    ],
  ] as const) {
    it(`gets all its bytes back when a body ${what}`, async (t) => {
      const { request, client } = await open(t, CHUNKED);
      const budget = new BodyBudget(100);
      const reading = readRawBody(request, 10, budget);
      client.send('3\r\n012\r\n');
      await once(request, 'data');
      end(client, request);
      await assert.rejects(reading);
      assert.equal(left(budget), 100);
    });
  }

  // A list of a thousand one-byte chunks takes a hundred times their bytes.
  it('counts what is really used: at most twice the bytes, however small the chunks', async (t) => {
    const { request, client } = await open(t, CHUNKED);
    const budget = new BodyBudget(2_000);
    client.send(`${'1\r\nx\r\n'.repeat(1_000)}0\r\n\r\n`);
    const bytes = await readRawBody(request, 2_000, budget);
    assert.deepEqual(
      [bytes.length, bytes.buffer.byteLength <= 2_000, left(budget)],
      [1_000, true, 2_000 - bytes.buffer.byteLength],
    );
  });

  for (const [what, chunks, maxBytes, budgeted] of [
    ['no more than the largest accepted body', ['012345', '6789'], 10, 10],
    ['nothing extra for a chunk that just fits', ['01', '2', '345'], 100, 6],
  ] as const) {
    it(`is charged ${what}`, async (t) => {
      const { request, client } = await open(t, CHUNKED);
      const reading = readRawBody(request, maxBytes, new BodyBudget(budgeted));
      const expected = chunks.join('');
      for (const chunk of chunks) {
        const read = once(request, 'data');
        client.send(`${chunk.length}\r\n${chunk}\r\n`);
        await read;
      }
      client.send('0\r\n\r\n');
      assert.equal((await reading).toString(), expected);
    });
  }
});

it('readRawBody rejects on a second call, instead of waiting forever', async (t) => {
  const { request, client } = await open(t, post(2));
  client.send('ab');
  await readRawBody(request, 10);
  await assert.rejects(readRawBody(request, 10), /already been read/);
});

/** A request whose stream another layer has read to its end. */
async function openRead(t: TestContext, body: string): Promise<IncomingMessage> {
  const { request } = await open(t, post(body.length) + body);
  request.resume();
  await once(request, 'end');
  return request;
}

describe('readRawBody for a request that another layer has touched', () => {
  it('rejects at once if the body has been read, and names the cause and the remedy', async (t) => {
    const request = await openRead(t, 'ab');
    await assert.rejects(within(readRawBody(request, 10), 'an error'), {
      name: 'Error', // not an HttpError: the client is not told
      message: /already been read.*mount the app before.*as a Buffer in request\.rawBody/,
    });
  });

  it('returns the bytes that the layer left in rawBody', async (t) => {
    const request = await openRead(t, 'ab');
    const rawBody = Buffer.from('ab');
    assert.equal(await readRawBody(Object.assign(request, { rawBody }), 10), rawBody);
  });

  it('rejects if rawBody is not a Buffer: a string may have lost bytes', async (t) => {
    const request = await openRead(t, 'ab');
    const reading = readRawBody(Object.assign(request, { rawBody: 'ab' }), 10);
    await assert.rejects(within(reading, 'an error'), /already been read/);
  });

  it('accepts a rawBody of exactly the limit and refuses one byte more', async (t) => {
    const request = await openRead(t, '');
    const read = (length: number): Promise<Buffer> =>
      readRawBody(Object.assign(request, { rawBody: Buffer.alloc(length) }), 10);
    assert.equal((await read(10)).length, 10);
    await assert.rejects(read(11), { status: 413, code: 'ERR_BODY_TOO_LARGE' });
  });

  it('returns no bytes if there were none to read', async (t) => {
    const request = await openRead(t, '');
    assert.equal((await within(readRawBody(request, 10), 'a body of no bytes')).length, 0);
  });

  it('reads what a layer has paused', async (t) => {
    const { request, client } = await open(t, post(2));
    request.pause();
    client.send('ab');
    assert.equal(String(await within(readRawBody(request, 10), 'a body')), 'ab');
  });

  it('rejects with 400 if a layer has destroyed the request', async (t) => {
    const { request } = await open(t, `${post(2)}ab`);
    request.on('error', () => undefined).destroy();
    await once(request, 'close');
    await assert.rejects(within(readRawBody(request, 10), 'an error'), { status: 400 });
  });
});

describe('lingerOverBody', () => {
  const MIB = 1_048_576;
  it('is done at the end of the body', async (t) => {
    const { request, client } = await open(t, post(3));
    const done = deferred();
    lingerOverBody(request, done.resolve);
    client.send('abc');
    await done.promise;
    assert.equal(request.complete, true);
  });

  it('is done when the client leaves, and leaves no timer behind', async (t) => {
    const clock = mockTimers(t, ['setTimeout']); // the client alone can end it
    const { request, client } = await open(t, `${post(3)}a`);
    let count = 0;
    const done = deferred();
    lingerOverBody(request, () => {
      count += 1;
      done.resolve();
    });
    client.socket.resetAndDestroy();
    await done.promise;
    clock.tick(10_000);
    assert.deepEqual([count, request.complete], [1, false]);
  });

  it('is done when a layer destroys the request', async (t) => {
    const { request } = await open(t, `${post(3)}a`);
    const done = deferred();
    lingerOverBody(request, done.resolve);
    request.destroy();
    await within(done.promise, 'it to be done', 500);
  });

  it('is done after 16 MiB, and only once, even if more is sent', async (t) => {
    const { request, client } = await open(t, post(64 * MIB));
    let read = 0;
    const [done, hasReadOn] = [deferred<number>(), deferred()];
    request.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (read === 20 * MIB) hasReadOn.resolve();
    });
    let count = 0;
    lingerOverBody(request, () => {
      count += 1;
      done.resolve(read);
    });
    client.socket.write(Buffer.alloc(20 * MIB, 'x'));
    const readBefore = await done.promise;
    assert.ok(readBefore > 16 * MIB && readBefore <= 16.1 * MIB, String(readBefore));
    await hasReadOn.promise;
    assert.equal(count, 1);
  });

  it('is done after 2 s', async (t) => {
    const { request } = await open(t, `${post(3)}a`);
    const clock = mockTimers(t, ['setTimeout']);
    let isDone = false;
    lingerOverBody(request, () => void (isDone = true));
    clock.tick(1_999);
    const before = isDone;
    clock.tick(1);
    assert.deepEqual([before, isDone], [false, true]);
  });
});
