import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, describe, it, type TestContext } from 'node:test';

import { SseEncoder } from '../../src/sse/event-stream.ts';
import type { SseDestination } from '../../src/sse/event-writer.ts';

/** A response that notes what is done to it, and has room or has not as the test says. */
class Destination extends EventEmitter implements SseDestination {
  readonly calls: (readonly [method: 'write' | 'end', text: string | undefined])[] = [];
  writableLength = 0;
  destroyed = false;
  hasRoom = true;

  readonly #waiting: (() => void)[] = [];

  cork(): void {}

  uncork(): void {}

  write(chunk: string, callback: () => void = () => undefined): boolean {
    this.calls.push(['write', chunk]);
    if (this.hasRoom) callback();
    else this.#waiting.push(callback);
    return this.hasRoom;
  }

  end(chunk?: string): void {
    this.calls.push(['end', chunk]);
  }

  destroy(): void {
    this.destroyed = true;
  }

  drain(): void {
    this.hasRoom = true;
    for (const callback of this.#waiting.splice(0)) callback();
    this.emit('drain');
  }

  /** As a response does when its connection is gone. */
  close(): void {
    this.destroyed = true;
    this.emit('close');
  }

  get listeners_(): number {
    return this.listenerCount('drain') + this.listenerCount('close') + this.listenerCount('error');
  }
}

/** Time-outs by hand. Node 20.12's own mock stumbles over a time-out that is cleared while it fires. */
class Clock {
  #now = 0;
  readonly #timers = new Map<object, { readonly at: number; readonly fire: () => void }>();

  constructor({ mock }: TestContext) {
    mock.method(globalThis, 'setTimeout', (fire: () => void, delayMs: number) => {
      const timer = {};
      this.#timers.set(timer, { at: this.#now + delayMs, fire });
      return timer;
    });
    mock.method(globalThis, 'clearTimeout', (timer: object) => this.#timers.delete(timer));
  }

  tick(ms: number): void {
    this.#now += ms;
    for (const [timer, { at, fire }] of [...this.#timers]) if (at <= this.#now && this.#timers.delete(timer)) fire();
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('SseEncoder', () => {
  it('is a Writable in object mode', () => {
    const encoder = new SseEncoder(new Destination());
    assert.ok(encoder instanceof Writable);
    assert.equal(encoder.writableObjectMode, true);
  });

  it('writes the events of one tick as one chunk', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    assert.equal(encoder.send({ data: 'a' }), true);
    assert.equal(encoder.send({ event: 'e', data: 'b' }), true);
    assert.equal(encoder.send({ comment: 'c' }), true);
    assert.deepEqual(destination.calls, []);
    await tick();
    assert.deepEqual(destination.calls, [['write', 'data: a\n\nevent: e\ndata: b\n\n: c\n\n']]);
  });

  it('writes a single event before the next turn of the event loop', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    await new Promise((resolve) => process.nextTick(resolve));
    assert.deepEqual(destination.calls, [['write', 'data: a\n\n']]);
  });

  it('writes events of different ticks apart: none waits for another', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    await tick();
    encoder.send({ data: 'b' });
    await tick();
    assert.deepEqual(destination.calls, [['write', 'data: a\n\n'], ['write', 'data: b\n\n']]);
  });

  it('writes the last events and the end as one call', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    encoder.send({ data: 'b' });
    encoder.finish();
    await tick();
    assert.deepEqual(destination.calls, [['end', 'data: a\n\ndata: b\n\n']]);
  });

  it('takes nothing after the end, and looks at nothing', () => {
    const encoder = new SseEncoder(new Destination());
    encoder.finish();
    assert.equal(encoder.send({ event: 'two\nlines', data: '' }), false);
    encoder.finish({ event: 'two\nlines', data: '' });
  });

  it('finishes as a stream though finish() was called before end()', async () => {
    // Was: the callback of end() waited for an end that had been written already.
    const encoder = new SseEncoder(new Destination());
    encoder.send({ data: 'a' });
    encoder.finish();
    await new Promise<void>((resolve) => encoder.end(resolve));
    assert.equal(encoder.writableFinished, true);
  });

  it('writes what a stream pipes into it, and ends with it', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    await pipeline(Readable.from([{ data: 'a' }, { comment: 'b' }, { event: 'c', data: 'd' }]), encoder);
    assert.equal(destination.calls.map(([, text]) => text).join(''), 'data: a\n\n: b\n\nevent: c\ndata: d\n\n');
    assert.equal(destination.calls.at(-1)?.[0], 'end');
    assert.equal(destination.destroyed, false);
  });

  it('asks for the head before the first chunk, once, and tells the length of a reply that is one chunk', async () => {
    for (const [isOneChunk, lengths] of [[true, [13]], [false, [undefined]]] as const) {
      const destination = new Destination();
      const asked: (number | undefined)[] = [];
      const encoder = new SseEncoder(destination, {
        writeHead(contentLength) {
          assert.equal(destination.calls.length, 0);
          asked.push(contentLength);
        },
      });
      assert.deepEqual(asked, []);
      encoder.send({ data: 'é語' }); // 5 bytes of 13
      if (!isOneChunk) await tick();
      encoder.finish();
      await tick();
      assert.deepEqual(asked, lengths);
    }
  });

  it('ends without another event when nothing is left to write', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    await tick();
    encoder.finish();
    await tick();
    assert.deepEqual(destination.calls, [['write', 'data: a\n\n'], ['end', '']]);
  });

  it('ends a stream that had no event', async () => {
    const destination = new Destination();
    new SseEncoder(destination).finish();
    await tick();
    assert.deepEqual(destination.calls, [['end', '']]);
  });

  it('ends once, however often it is told to', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    encoder.finish();
    encoder.finish();
    await tick();
    encoder.finish();
    assert.deepEqual(destination.calls, [['end', 'data: a\n\n']]);
  });

  it('answers false after the end, writes nothing, and never throws', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.finish();
    assert.equal(encoder.isOpen, false);
    assert.equal(encoder.send({ data: 'a' }), false);
    await tick();
    assert.equal(encoder.send({ data: 'b' }), false);
    assert.deepEqual(destination.calls, [['end', '']]);
  });

  it('answers false after destroy, which destroys the response', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.destroy();
    assert.equal(encoder.send({ data: 'a' }), false);
    await tick();
    assert.equal(destination.destroyed, true);
    assert.deepEqual(destination.calls, []);
  });

  it('answers false for a reader that left', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    destination.close();
    assert.equal(encoder.isOpen, false);
    assert.equal(encoder.send({ data: 'a' }), false);
    await tick();
    assert.deepEqual(destination.calls, []);
  });

  it('drops what was sent in the tick in which the reader leaves', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    assert.equal(encoder.send({ data: 'a' }), true);
    destination.close();
    await tick();
    assert.deepEqual(destination.calls, []);
  });

  it('counts events as unsent until the response took them', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    encoder.send({ data: 'b' });
    assert.equal(encoder.unsentEvents, 2);
    await tick();
    assert.equal(encoder.unsentEvents, 0);
  });
});

describe('SseEncoder against a reader that is slow', () => {
  const encoders: SseEncoder[] = [];
  afterEach(() => {
    for (const encoder of encoders.splice(0)) encoder.destroy(); // its clock would hold the process
  });

  async function full(options?: ConstructorParameters<typeof SseEncoder>[1]): Promise<{ destination: Destination; encoder: SseEncoder }> {
    const destination = new Destination();
    destination.hasRoom = false;
    const encoder = new SseEncoder(destination, options);
    encoders.push(encoder);
    assert.equal(encoder.send({ data: 'a' }), true); // nobody can know yet
    await tick();
    return { destination, encoder };
  }

  it('finishes as a stream when its end was handed over, and not while that waits for room', async () => {
    const { destination, encoder } = await full();
    let isFinished = false;
    encoder.end(() => (isFinished = true));
    await tick();
    assert.equal(isFinished, false);
    destination.drain();
    await tick();
    assert.equal(isFinished, true);
  });

  it('answers with a promise while there is no room, and true when there is again', async () => {
    const { destination, encoder } = await full();
    const sent = encoder.send({ data: 'b' });
    assert.ok(sent instanceof Promise);
    let isSettled = false;
    void sent.then(() => (isSettled = true));
    await tick();
    assert.equal(isSettled, false);
    assert.deepEqual(destination.calls, [['write', 'data: a\n\n']]);
    destination.drain();
    assert.equal(await sent, true);
    await tick();
    assert.deepEqual(destination.calls.slice(1), [['write', 'data: b\n\n']]);
    assert.equal(encoder.send({ data: 'c' }), true);
  });

  it('writes all that waited as one chunk, in order', async () => {
    const { destination, encoder } = await full();
    for (const data of ['b', 'c', 'd']) {
      void encoder.send({ data });
      await tick();
    }
    assert.equal(destination.calls.length, 1);
    destination.drain();
    await tick();
    assert.deepEqual(destination.calls.slice(1), [['write', 'data: b\n\ndata: c\n\ndata: d\n\n']]);
  });

  it('answers all that wait, each once', async () => {
    const { destination, encoder } = await full();
    const sent = [encoder.send({ data: 'b' }), encoder.send({ data: 'c' })];
    destination.drain();
    assert.deepEqual(await Promise.all(sent), [true, true]);
  });

  it('answers false to those that wait when the reader leaves', async () => {
    const { destination, encoder } = await full();
    const sent = encoder.send({ data: 'b' });
    destination.close();
    assert.equal(await sent, false);
    await tick();
    assert.equal(destination.calls.length, 1);
  });

  it('answers false to those that wait when it is destroyed', async () => {
    const { destination, encoder } = await full();
    const sent = encoder.send({ data: 'b' });
    encoder.destroy();
    assert.equal(await sent, false);
    assert.equal(destination.destroyed, true);
  });

  it('takes its listeners off again: at drain, at close, and when it is destroyed', async () => {
    for (const release of [(d: Destination) => d.drain(), (d: Destination) => d.close(), (_: Destination, e: SseEncoder) => e.destroy()]) {
      const { destination, encoder } = await full();
      assert.equal(destination.listenerCount('drain'), 1);
      assert.equal(destination.listenerCount('close'), 1);
      release(destination, encoder);
      await tick();
      assert.equal(destination.listeners_, 0);
    }
  });

  it('adds one listener of a kind however many events wait', async () => {
    const { destination, encoder } = await full();
    for (let count = 0; count < 30; count++) void encoder.send({ data: 'b' });
    await tick();
    assert.equal(destination.listeners_, 2);
  });

  it('adds no listener while there is room', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    for (let count = 0; count < 30; count++) {
      encoder.send({ data: 'a' });
      await tick();
    }
    assert.equal(destination.listeners_, 0);
  });

  it('writes what waited and the end as one call when it was ended meanwhile', async () => {
    const { destination, encoder } = await full();
    void encoder.send({ data: 'b' });
    encoder.finish();
    await tick();
    assert.equal(destination.calls.length, 1);
    destination.drain();
    await tick();
    assert.deepEqual(destination.calls.slice(1), [['end', 'data: b\n\n']]);
    assert.equal(destination.listeners_, 0);
  });

  it('counts as unsent what waits, and what may not have left with the chunk that filled the response', async () => {
    const { destination, encoder } = await full();
    void encoder.send({ data: 'b' });
    void encoder.send({ data: 'c' });
    await tick();
    assert.equal(encoder.unsentEvents, 3);
    destination.drain();
    assert.equal(encoder.unsentEvents, 0);
  });

  it('cuts off a reader that reads nothing for the stall time', async () => {
    const { destination, encoder } = await full({ stallTimeoutMs: 5 });
    const sent = encoder.send({ data: 'b' });
    assert.equal(await sent, false);
    assert.equal(destination.destroyed, true);
    assert.equal(destination.listeners_, 0);
    assert.equal(encoder.send({ data: 'c' }), false);
  });

  it('does not cut off a reader that reads a little within the stall time', async (t) => {
    const clock = new Clock(t);
    const { destination, encoder } = await full({ stallTimeoutMs: 1_000 });
    for (let round = 0; round < 5; round++) {
      void encoder.send({ data: 'b' });
      clock.tick(999);
      destination.emit('drain'); // and it is full again with what waited
      assert.equal(destination.calls.length, round + 2);
      assert.equal(encoder.isOpen, true);
    }
    clock.tick(1_000);
    assert.equal(destination.destroyed, true);
  });

  it('waits 30 s for a reader by default', async (t) => {
    const clock = new Clock(t);
    const { destination } = await full();
    clock.tick(29_999);
    assert.equal(destination.destroyed, false);
    clock.tick(1);
    assert.equal(destination.destroyed, true);
  });

  it('leaves no timer behind once there is room', async (t) => {
    const clock = new Clock(t);
    const { destination } = await full({ stallTimeoutMs: 1_000 });
    destination.drain();
    clock.tick(10_000);
    assert.equal(destination.destroyed, false);
  });

  it('cuts off a reader that leaves more than the bound unread, and takes exactly the bound', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination, { maxUnsentBytes: 100 });
    destination.writableLength = 100;
    assert.equal(encoder.send({ data: 'a' }), true);
    await tick();
    destination.writableLength = 101;
    assert.equal(encoder.send({ data: 'b' }), false);
    assert.equal(destination.destroyed, true);
    await tick();
    assert.equal(destination.calls.length, 1);
  });

  it('counts what it holds itself, in bytes and not in characters', async () => {
    const { destination, encoder } = await full({ maxUnsentBytes: 30 });
    void encoder.send({ data: 'éééééé' }); // 12 bytes, and 8 of the format
    void encoder.send({ data: 'éé' }); // 4 and 8
    assert.equal(destination.destroyed, false);
    assert.equal(encoder.send({ data: 'x' }), false); // behind 32
    assert.equal(destination.destroyed, true);
  });

  it('takes a burst beyond the bound from a sender that waits, for a reader that reads: it has left nothing unread', async () => {
    // Was: a healthy reader was cut off, because all that a tick held was counted as unread.
    const destination = new Destination();
    const encoder = new SseEncoder(destination, { maxUnsentBytes: 1_000 });
    for (let count = 0; count < 1_000; count++) assert.equal(await encoder.send({ data: 'x' }), true, `event ${count}`);
    encoder.finish();
    await tick();
    assert.equal(destination.destroyed, false);
    assert.equal(destination.calls.map(([, text]) => text).join(''), 'data: x\n\n'.repeat(1_000));
  });

  it('takes time in proportion to the events of a tick', () => {
    // Was: the bytes of the whole queue were counted for each event; a burst of 9,000 tokens held the process for 3 s.
    const milliseconds = (count: number): number => {
      const encoder = new SseEncoder(new Destination(), { maxUnsentBytes: 64 * 1_048_576 });
      const start = performance.now();
      for (let index = 0; index < count; index++) void encoder.send({ data: 'x'.repeat(100) });
      return performance.now() - start;
    };
    milliseconds(300);
    const few = Math.min(milliseconds(300), milliseconds(300), milliseconds(300));
    const many = Math.min(milliseconds(4_800), milliseconds(4_800));
    assert.ok(many < 16 * 4 * Math.max(few, 0.2), `300 events took ${few} ms, 4,800 took ${many} ms`);
  });

  it('is quiet about a reader that it cuts off: no error event, for which nobody listens', async () => {
    const { encoder } = await full({ maxUnsentBytes: 0 });
    let error: Error | undefined;
    encoder.on('error', (event) => (error = event));
    void encoder.send({ data: 'b' });
    assert.equal(encoder.send({ data: 'c' }), false);
    await tick();
    assert.equal(error, undefined);
  });
});

describe('SseEncoder on an HTTP response', () => {
  const cleanUps: (() => void)[] = [];
  afterEach(() => {
    for (const cleanUp of cleanUps.splice(0)) cleanUp();
  });

  async function serve(handle: (response: ServerResponse, message: IncomingMessage) => void): Promise<number> {
    const server = createServer((message, response) => handle(response, message));
    server.listen(0, '127.0.0.1');
    cleanUps.push(() => {
      server.close();
      server.closeAllConnections();
    });
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function get(port: number, agent?: Agent): Promise<IncomingMessage> {
    const sent = request({ port, host: '127.0.0.1', agent });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  }

  async function textOf(response: IncomingMessage): Promise<string> {
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    return text;
  }

  it('never splits a code point, and delivers every event', async () => {
    const port = await serve((response) => {
      const encoder = new SseEncoder(response);
      for (let count = 0; count < 100; count++) encoder.send({ data: `👋🏽${count}` });
      encoder.finish();
    });
    const text = await textOf(await get(port));
    assert.equal(text, Array.from({ length: 100 }, (_, count) => `data: 👋🏽${count}\n\n`).join(''));
  });

  it('sends headers, events of one tick and the end in one write to the socket', async () => {
    const writes: string[] = [];
    const port = await serve((response) => {
      const { socket } = response;
      assert.ok(socket);
      const write = socket._writev?.bind(socket);
      assert.ok(write);
      let calls = 0;
      socket._writev = (chunks, callback) => {
        calls += 1;
        writes.push(`${calls}: ${chunks.map(({ chunk }) => Buffer.from(chunk).toString()).join('')}`);
        write(chunks, callback);
      };
      const writeOne = socket._write.bind(socket);
      socket._write = (chunk, encoding, callback) => {
        calls += 1;
        writes.push(`${calls}: ${Buffer.from(chunk, encoding).toString()}`);
        writeOne(chunk, encoding, callback);
      };
      const encoder = new SseEncoder(response);
      encoder.send({ data: 'a' });
      encoder.send({ data: 'b' });
      encoder.finish();
    });
    assert.equal(await textOf(await get(port)), 'data: a\n\ndata: b\n\n');
    assert.equal(writes.length, 1, writes.join('\n---\n'));
    assert.match(writes[0] ?? '', /^1: HTTP\/1\.1 200 OK\r\n[\s\S]*data: a\n\ndata: b\n\n/);
  });

  it('leaves the connection open for the next request after the end', async () => {
    const sockets = new Set<unknown>();
    const port = await serve((response, message) => {
      sockets.add(message.socket);
      const encoder = new SseEncoder(response);
      encoder.send({ data: 'a' });
      setImmediate(() => encoder.finish());
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanUps.push(() => agent.destroy());
    for (let count = 0; count < 5; count++) assert.equal(await textOf(await get(port, agent)), 'data: a\n\n');
    assert.equal(sockets.size, 1);
  });

  it('passes back-pressure of a real socket on, and goes on when the reader does', async () => {
    const chunk = 'x'.repeat(262_144);
    let sent = 0;
    const isFull = new EventEmitter();
    const port = await serve((response) => {
      void (async () => {
        const encoder = new SseEncoder(response, { maxUnsentBytes: 64 * 1_048_576 });
        for (let hasWaited = false; !hasWaited || sent % 2 === 0; sent++) {
          const taken = encoder.send({ data: chunk });
          if (taken instanceof Promise) {
            hasWaited = true;
            isFull.emit('full');
          }
          assert.equal(await taken, true);
          await tick();
        }
        encoder.finish();
      })().catch((error: unknown) => response.destroy(error as Error));
    });
    const full = once(isFull, 'full');
    const response = await get(port); // nobody reads its body yet
    await full;
    const text = await textOf(response);
    assert.equal(text.length, sent * (chunk.length + 'data: \n\n'.length));
  });

  it('cuts off a reader that reads nothing of the last chunk', { timeout: 2_000 }, async () => {
    // Was: the clock ran for write() and not for end(), and such a reader held its stream for ever.
    const closed = new Promise<boolean>((resolve, reject) => {
      void serve((response) => {
        response.on('close', () => resolve(response.writableFinished));
        const encoder = new SseEncoder(response, { stallTimeoutMs: 20 });
        encoder.send({ data: 'x'.repeat(32 * 1_048_576) });
        encoder.finish();
      }).then(get).catch(reject);
    });
    assert.equal(await closed, false);
  });

  it('answers false soon after a real reader left, and throws nothing', async () => {
    const left = new Promise<unknown>((resolve, reject) => {
      void serve((response) => {
        void (async () => {
          const encoder = new SseEncoder(response);
          let isTaken: unknown = true;
          response.on('close', () => {
            isTaken = encoder.send({ data: 'too late' });
          });
          encoder.send({ data: 'a' });
          await once(response, 'close');
          return isTaken;
        })().then(resolve, reject);
      }).then(async (port) => {
        const response = await get(port);
        await once(response, 'data');
        response.destroy();
      }, reject);
    });
    assert.equal(await left, false);
  });
});
