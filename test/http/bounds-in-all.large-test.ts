// What the server bounds in all: connections, and the bytes of bodies. Many and much are sent here.

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import { defineAgent } from '../../src/index.ts';
import { signPayload } from '../../src/wires/layercode/signature.ts';
import { deferred, messageEvent, SECRET, serve, signed, type Served } from '../fixtures/kernel.ts';

const MIB = 1_048_576;

describe('connections', () => {
  it('are MAX_STREAMS and 1,024 at most; one more is closed before it is heard', async (t) => {
    const served = await serve(t, { settings: { maxStreams: 1 } });
    const sockets: Socket[] = [];
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    const open = (): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect(served.port, '127.0.0.1');
        sockets.push(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(false));
        socket.on('data', () => resolve(true));
        socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
      });
    for (let count = 0; count < 1_024; count += 128)
      await Promise.all(Array.from({ length: 128 }, open));
    assert.deepEqual([await open(), await open()], [true, false]);
    const left = new Promise((resolve) => sockets[0]?.on('close', resolve));
    sockets[0]?.destroy();
    await left;
    await until(open); // the server hears of it a little later
  });
});

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let count = 0; count < 1_000; count++) if (await isTrue()) return;
  assert.fail('it never came to be');
}

describe('bodies in flight', () => {
  // 64 MiB in all; two of 32 MiB, all but a byte of which has come, have taken them.
  const settings = { maxBodyBytes: 32 * MIB, authorizePerMinute: 100_000 };
  const part = Buffer.alloc(settings.maxBodyBytes - 1, 'x');

  async function begin(served: Served, path: string) {
    const client = await served.raw();
    client.send(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nlayercode-signature: ${signPayload('', SECRET)}\r\ncontent-length: ${settings.maxBodyBytes}\r\n\r\n`,
    );
    client.send(part);
    return client;
  }

  /** The answer to one more body, of which a part comes alone. */
  async function another(
    served: Served,
  ): Promise<{ status: number; retryAfter: string | undefined; body: string }> {
    const client = await served.raw();
    client.send(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\n',
    );
    await served.fetch('/health'); // by now the head has been read
    client.send('{}x');
    const { status, headers, body } = await client.lastAnswer();
    return { status, retryAfter: headers['retry-after'], body };
  }

  it('beyond 64 MiB in all are refused with 503, unsigned or not, until one of them is over', async (t) => {
    const served = await serve(t, { settings });
    const before = await another(served);
    const clients = [await begin(served, '/api/agent'), await begin(served, '/api/agent')];
    await untilRefused(served);
    const refused = await another(served);
    assert.deepEqual(
      [refused.status, refused.retryAfter, refused.body],
      [503, '1', '{"error":"too many request bodies are being read"}'],
    );
    for (const client of clients) client.destroy();
    await until(async () => (await another(served)).status === before.status);
  });

  it("do not keep a body out that comes with its head, as a webhook's mostly does", async (t) => {
    const served = await serve(t, { settings });
    await begin(served, '/api/agent');
    await begin(served, '/api/agent');
    await untilRefused(served);
    const body = messageEvent();
    const client = await served.raw();
    const head = [
      'POST /api/agent HTTP/1.1',
      'host: x',
      `content-length: ${body.length}`,
      'content-type: application/json',
      `layercode-signature: ${signPayload(body, SECRET)}`,
      'connection: close',
    ];
    client.send(`${head.join('\r\n')}\r\n\r\n${body}`);
    assert.equal((await client.lastAnswer()).status, 200);
  });

  it('are in flight until their request is answered; two of the largest always fit', async (t) => {
    const [kept, release] = [deferred(), deferred()];
    let count = 0;
    const maxBodyBytes = 33 * MIB;
    const served = await serve(t, {
      settings: { ...settings, maxBodyBytes },
      setUp: (app) =>
        app.post('/keep', async (context) => {
          await context.readRawBody();
          count += 1;
          if (count === 2) kept.resolve();
          await release.promise;
          context.empty(204);
        }),
    });
    const before = await another(served);
    const answers = [0, 1].map(async () =>
      served.fetch('/keep', { method: 'POST', body: Buffer.alloc(maxBodyBytes, 'x') }),
    );
    await kept.promise;
    const meanwhile = await another(served);
    release.resolve();
    await Promise.all(answers);
    assert.deepEqual([meanwhile.status, count], [503, 2]);
    await until(async () => (await another(served)).status === before.status);
  });

  it('are 2 × MAX_BODY_BYTES at the most where that is more than 64 MiB', async (t) => {
    const [first, release] = [deferred(), deferred()];
    let count = 0;
    const served = await serve(t, {
      settings: { maxBodyBytes: 40 * MIB },
      setUp: (app) =>
        app.post('/keep', async (context) => {
          await context.readRawBody();
          count += 1;
          if (count === 1) {
            first.resolve();
            await release.promise;
          }
          context.empty(204);
        }),
    });
    const keep = async (): Promise<number> =>
      (await served.fetch('/keep', { method: 'POST', body: Buffer.alloc(40 * MIB, 'x') })).status;
    const kept = keep();
    await first.promise;
    assert.equal(await keep(), 204);
    release.resolve();
    assert.equal(await kept, 204);
  });

  it('are no longer when a turn has begun', async (t) => {
    const release = deferred();
    const agent = defineAgent({
      name: 'holding',
      async *onMessage() {
        yield 'first';
        await release.promise;
      },
    });
    const served = await serve(t, { settings, agent });
    t.after(() => release.resolve());
    const before = await another(served);
    for (const id of ['1', '2']) {
      const body = messageEvent('x'.repeat(settings.maxBodyBytes - 200), {
        conversation_id: id,
        session_id: id,
      });
      const response = await served.fetch('/api/agent', signed(body));
      await response.body!.getReader().read();
    }
    assert.equal((await another(served)).status, before.status);
  });

  async function untilRefused(served: Served): Promise<void> {
    await until(async () => (await another(served)).status === 503);
  }
});
