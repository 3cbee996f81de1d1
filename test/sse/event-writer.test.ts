import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { EventWriter, type SseDestination } from '../../src/sse/event-writer.ts';

/** What a response was told to do, in order. */
class Destination extends EventEmitter implements SseDestination {
  readonly calls: string[] = [];
  readonly writableLength = 0;
  destroyed = false;

  cork(): void {
    this.calls.push('cork');
  }

  uncork(): void {
    this.calls.push('uncork');
  }

  write(chunk: string, callback?: () => void): boolean {
    this.calls.push(`write ${chunk}`);
    callback?.();
    return true;
  }

  end(chunk = ''): void {
    this.calls.push(`end ${chunk}`);
  }

  destroy(): void {
    this.destroyed = true;
    this.calls.push('destroy');
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('EventWriter', () => {
  it('holds what is sent until its maker flushes it, once', async () => {
    const destination = new Destination();
    const writer = new EventWriter(destination);
    assert.equal(writer.send('data: a\n\n'), true);
    await tick();
    assert.deepEqual(destination.calls, []);
    writer.flush();
    writer.send('data: b\n\n');
    await tick();
    assert.deepEqual(destination.calls, ['write data: a\n\n', 'write data: b\n\n']);
  });

  it('sends by itself what comes after a flush of nothing', async () => {
    const destination = new Destination();
    const writer = new EventWriter(destination);
    writer.flush();
    writer.send('data: a\n\n');
    await tick();
    assert.deepEqual(destination.calls, ['write data: a\n\n']);
  });

  it('ends without a flush', () => {
    const destination = new Destination();
    const writer = new EventWriter(destination);
    writer.send('data: a\n\n');
    writer.finish('data: end\n\n');
    assert.deepEqual(destination.calls, ['end data: a\n\ndata: end\n\n']);
  });

  it('tells the head how long a body is that is complete, and hands that over in one piece', () => {
    const destination = new Destination();
    const lengths: (number | undefined)[] = [];
    const writer = new EventWriter(destination, { writeHead: (length) => lengths.push(length) });
    writer.send('data: é\n\n');
    writer.finish('data: end\n\n');
    assert.deepEqual(lengths, [Buffer.byteLength('data: é\n\ndata: end\n\n')]);
    assert.deepEqual(destination.calls, ['cork', 'write data: é\n\ndata: end\n\n', 'uncork', 'end ']);
  });

  it('does not tell how long a body is of which more is to come', () => {
    const lengths: (number | undefined)[] = [];
    const writer = new EventWriter(new Destination(), { writeHead: (length) => lengths.push(length) });
    writer.send('data: a\n\n');
    writer.flush();
    writer.finish('data: end\n\n');
    assert.deepEqual(lengths, [undefined]);
  });

  it('counts comments among no events', () => {
    const writer = new EventWriter(new Destination());
    writer.send('data: a\n\n');
    writer.sendComment(': \n\n');
    assert.equal(writer.unsentEvents, 1);
  });

  it('is destroyed once, and takes nothing from then on', () => {
    const destination = new Destination();
    let destroyed = 0;
    const writer = new EventWriter(destination, {}, { ended: () => undefined, destroyed: () => (destroyed += 1) });
    writer.destroy();
    writer.destroy();
    assert.equal(writer.send('data: a\n\n'), false);
    writer.finish();
    assert.deepEqual([destination.calls, destroyed], [['destroy'], 1]);
  });
});

describe('EventWriter on an HTTP response', () => {
  /** How a reply that is complete at once reaches the socket: by `_write`, or gathered by `_writev`. */
  async function writesOf(t: TestContext, headers: readonly string[]): Promise<{ writes: string[]; text: string }> {
    const writes: string[] = [];
    const server = createServer((_message, response) => {
      const { socket } = response;
      assert.ok(socket?._writev);
      const [write, writev] = [socket._write.bind(socket), socket._writev.bind(socket)];
      socket._write = (chunk, encoding, callback) => {
        writes.push('write');
        write(chunk, encoding, callback);
      };
      socket._writev = (chunks, callback) => {
        writes.push(`writev of ${chunks.length}`);
        writev(chunks, callback);
      };
      const writer = new EventWriter(response, {
        writeHead: (length) => response.writeHead(200, [...headers, 'content-length', String(length)]),
      });
      writer.send('data: a\n\n');
      writer.finish('data: end\n\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const sent = request({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return { writes, text };
  }

  // Two pieces, one of them empty, cost a turn 8 % more.
  it('writes head, body and end of a reply that is complete at once as one piece', async (t) => {
    const { writes, text } = await writesOf(t, ['content-type', 'text/event-stream']);
    assert.deepEqual(writes, ['write']);
    assert.equal(text, 'data: a\n\ndata: end\n\n');
  });
});
