// What the server limits in total: connections, and the bytes of bodies. These tests send a lot.

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { deferred } from '../../fixtures/app.ts';
import {
  holding, messageEvent, SECRET, serve, signed, type Served,
} from '../../fixtures/kernel.ts';

const MIB = 1_048_576;

describe('connections', () => {
  it('number at most MAX_STREAMS plus 1,024; one more is closed unread', async (t) => {
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
    await until(open); // the server notices a little later
  });
});

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let count = 0; count < 1_000; count++) if (await isTrue()) return;
  assert.fail('it never came to be');
}

const KEY = 'key-of-the-large-tests';

describe('bodies in flight', () => {
  // The limit is 64 MiB in total: two bodies of 32 MiB, each short of one byte, use it up.
  const settings = { maxBodyBytes: 32 * MIB, chatCompletionsKeys: [KEY] };
  const part = Buffer.alloc(settings.maxBodyBytes - 1, 'x');
  const head = (length: number): string =>
    ['POST /api/agent/chat/completions HTTP/1.1', 'host: x', 'content-type: application/json',
      `authorization: Bearer ${KEY}`, `content-length: ${length}`, '\r\n'].join('\r\n');

  async function begin(served: Served) {
    const client = await served.raw();
    client.socket.setTimeout(0);
    return client.send(head(settings.maxBodyBytes)).send(part);
  }

  /** The status of one more body, which comes after its head. */
  async function another(served: Served): Promise<number> {
    const client = await served.raw();
    client.send(head(3).replace('host: x', 'host: x\r\nconnection: close'));
    await served.fetch('/health'); // by now the head has been read
    const { status, headers, body } = await client.send('{}x').lastAnswer();
    if (status === 503) {
      assert.equal(headers['retry-after'], '1');
      assert.match(body, /too many request bodies are being read/);
    }
    return status;
  }

  /** The status of one more body, sent the same way but without a key. */
  async function unsigned(served: Served): Promise<number> {
    const client = await served.raw();
    client.send(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\n',
    );
    await served.fetch('/health');
    return (await client.send('{}x').lastAnswer()).status;
  }

  const untilRefused = (served: Served): Promise<void> =>
    until(async () => (await another(served)) === 503);

  it('with a key are refused with 503 beyond 64 MiB in all, until earlier ones end', async (t) => {
    const served = await serve(t, { settings });
    const clients = [await begin(served), await begin(served)];
    await untilRefused(served);
    assert.equal(await unsigned(served), 400);
    for (const client of clients) client.destroy();
    await until(async () => (await another(served)) === 400);
  });

  it("let in a body that comes with its head, as a webhook's usually does", async (t) => {
    const served = await serve(t, { settings });
    await begin(served);
    await begin(served);
    await untilRefused(served);
    assert.equal((await served.fetch('/api/agent', signed(messageEvent()))).status, 200);
  });

  it('with a key lose no room to forged ones, of which one client may hold 32 MiB', async (t) => {
    const served = await serve(t, { settings });
    const forged = async () => {
      const client = await served.raw();
      const signature = `layercode-signature: ${signPayload('', SECRET)}`;
      const withoutKey = head(settings.maxBodyBytes)
        .replace('/chat/completions', '')
        .replace(`authorization: Bearer ${KEY}`, signature);
      return client.send(withoutKey).send(part);
    };
    const first = await forged();
    await forged();
    await first.until(/^HTTP\/1\.1 503/); // the older one makes room
    assert.equal(await another(served), 400);
  });

  for (const [what, path, init] of [
    ['signed', '/api/keep', signed],
    ['without a key', '/keep', (body: string) => ({ method: 'POST', body })],
  ] as const) {
    it(`count until their request is answered: ${what}`, async (t) => {
      const kept = [deferred(), deferred()];
      const release = deferred();
      let count = 0;
      const served = await serve(t, { settings });
      served.app.post(path, async (context) => {
        await context.readRawBody();
        kept[count++]?.resolve();
        await release.promise;
        context.empty(204);
      });
      const isSigned = what === 'signed';
      const answers: Promise<Response>[] = [];
      for (const { promise } of kept) {
        answers.push(served.fetch(path, init('x'.repeat(isSigned ? 32 * MIB : 7 * MIB))));
        await Promise.race([promise, ...answers]);
      }
      assert.equal(count, 2);
      const statuses = [await another(served), await unsigned(served)];
      assert.deepEqual(statuses, [isSigned ? 503 : 400, 400]);
      release.resolve();
      await Promise.all(answers);
      await until(async () => (await another(served)) === 400);
    });
  }

  it('may total 2 × MAX_BODY_BYTES if that is more than 64 MiB', async (t) => {
    const [first, release] = [deferred(), deferred()];
    let count = 0;
    const served = await serve(t, { settings: { maxBodyBytes: 40 * MIB } });
    served.app.post('/api/keep', async (context) => {
      await context.readRawBody();
      count += 1;
      if (count === 1) {
        first.resolve();
        await release.promise;
      }
      context.empty(204);
    });
    const body = 'x'.repeat(40 * MIB);
    const keep = async (): Promise<number> =>
      (await served.fetch('/api/keep', signed(body))).status;
    const kept = keep();
    await first.promise;
    assert.equal(await keep(), 204);
    release.resolve();
    assert.equal(await kept, 204);
  });

  it('no longer count once a turn has begun', async (t) => {
    const { agent, release } = holding();
    const served = await serve(t, { settings, agent });
    t.after(release);
    for (const id of ['1', '2']) {
      const body = messageEvent('x'.repeat(settings.maxBodyBytes - 200), {
        conversation_id: id,
        session_id: id,
      });
      const response = await served.fetch('/api/agent', signed(body));
      await response.body!.getReader().read();
    }
    assert.equal(await another(served), 400);
  });
});
