// A reader that stops reading: the agent waits for it, for a while, and the process outlives it.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import type { Reply } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { Turns } from '../../src/turns/turns.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { MessageEvent } from '../../src/layercode/events.ts';
import type { Context } from '../../src/http/context.ts';
import { ReplyStream } from '../../src/routes/reply-stream.ts';
import { createLogger } from '../../src/log.ts';
import { SseEncoder, type SseEncoderOptions } from '../../src/sse/event-stream.ts';
import { EventWriter, type SseDestination } from '../../src/sse/event-writer.ts';
import { deferred, fired, messageEvent, rawRequest, serve, Told, until, within, type RawConnection, type Served } from '../fixtures/app.ts';

// More than the kernel takes for a connection on the loopback (4 MiB to send, the reader's window); a character of these is
// six bytes on the wire, so that it fits into a reply of at most 1,048,576.
const PIECE = '\u0001'.repeat(10_000);
const PIECES = 100;

/** A response whose connection has room when it is told so. */
class Destination extends EventEmitter implements SseDestination {
  readonly written: string[] = [];
  hasRoom = false;
  writableLength = 0;
  destroyed = false;
  hasEnded = false;

  readonly #waiting: (() => void)[] = [];

  cork(): void {}

  uncork(): void {}

  write(chunk: string, callback: () => void = () => undefined): boolean {
    this.written.push(chunk);
    if (this.hasRoom) callback();
    else {
      this.writableLength += chunk.length;
      this.#waiting.push(callback);
    }
    return this.hasRoom;
  }

  end(chunk?: string): void {
    if (chunk !== undefined) this.write(chunk);
    this.hasEnded = true;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    process.nextTick(() => this.emit('close'));
  }

  drain(): void {
    this.hasRoom = true;
    this.writableLength = 0;
    for (const callback of this.#waiting.splice(0)) callback();
    this.emit('drain');
  }
}

const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
const settled = (promise: unknown): Promise<unknown> => Promise.race([promise, new Promise((resolve) => setImmediate(resolve, 'pending'))]);

/** An encoder whose destination has no room: the first event waits there. */
async function stalled(t: TestContext, options: SseEncoderOptions = {}): Promise<{ destination: Destination; encoder: SseEncoder }> {
  const destination = new Destination();
  const encoder = new SseEncoder(destination, options);
  t.after(() => encoder.destroy());
  encoder.send({ data: 'first' });
  await nextTick();
  return { destination, encoder };
}

describe('SseEncoder with a reader that stopped', () => {
  it('lets the sender wait', async (t) => {
    const { encoder } = await stalled(t);
    assert.equal(await settled(encoder.send({ data: 'second' })), 'pending');
  });

  it('lets the sender go on when there is room again', async (t) => {
    const { encoder, destination } = await stalled(t);
    const sent = encoder.send({ data: 'second' });
    destination.drain();
    assert.equal(await within(Promise.resolve(sent), 'the room'), true);
  });

  it('writes what waited once there is room, and only once', async (t) => {
    const { encoder, destination } = await stalled(t);
    void encoder.send({ data: 'second' });
    void encoder.send({ data: 'third' });
    destination.drain();
    await nextTick();
    assert.equal(destination.written.join(''), 'data: first\n\ndata: second\n\ndata: third\n\n');
  });

  it('tells the sender false when the reader leaves', async (t) => {
    const { encoder, destination } = await stalled(t);
    const sent = encoder.send({ data: 'second' });
    destination.destroy();
    assert.equal(await within(Promise.resolve(sent), 'the close'), false);
  });

  it('keeps no listener behind', async (t) => {
    const { destination } = await stalled(t);
    destination.drain();
    assert.deepEqual([destination.listenerCount('drain'), destination.listenerCount('close')], [0, 0]);
  });

  it('is cut off after stallTimeoutMs', async (t) => {
    const { destination } = await stalled(t, { stallTimeoutMs: 30 });
    await within(once(destination, 'close'), 'the cut');
  });

  it('is not cut off when it reads again in time', async (t) => {
    const { destination } = await stalled(t, { stallTimeoutMs: 30 });
    destination.drain();
    await new Promise((resolve) => setTimeout(resolve, 60)); // nothing tells of a time-out that does not come
    assert.equal(destination.destroyed, false);
  });

  it('lets the sender go when it is cut off', async (t) => {
    const { encoder } = await stalled(t, { stallTimeoutMs: 30 });
    assert.equal(await within(Promise.resolve(encoder.send({ data: 'second' })), 'the cut'), false);
  });

  it('may leave exactly maxUnsentBytes unread', async (t) => {
    const { encoder, destination } = await stalled(t, { maxUnsentBytes: 'data: first\n\n'.length });
    void encoder.send({ data: 'second' });
    assert.equal(destination.destroyed, false);
  });

  it('is cut off when it leaves more than maxUnsentBytes unread', async (t) => {
    const { encoder, destination } = await stalled(t, { maxUnsentBytes: 'data: first\n\n'.length - 1 });
    void encoder.send({ data: 'second' });
    assert.equal(destination.destroyed, true);
  });

  it('counts bytes, not characters, against maxUnsentBytes', async (t) => {
    const { encoder, destination } = await stalled(t, { maxUnsentBytes: 100 });
    void encoder.send({ data: '€'.repeat(40) });
    void encoder.send({ data: 'third' });
    assert.equal(destination.destroyed, true);
  });

  it('tells the sender false from then on, and throws nothing', async (t) => {
    const { encoder } = await stalled(t, { maxUnsentBytes: 1 });
    assert.deepEqual([encoder.send({ data: 'second' }), encoder.send({ data: 'third' })], [false, false]);
  });

  for (const how of ['finish', 'end'] as const) {
    it(`gets the end behind what waited, after ${how}()`, async (t) => {
      const { encoder, destination } = await stalled(t);
      void encoder.send({ data: 'second' });
      encoder[how]();
      await new Promise((resolve) => setImmediate(resolve));
      destination.drain();
      await until(() => destination.hasEnded || destination.destroyed, 'the end');
      assert.equal(destination.written.join(''), 'data: first\n\ndata: second\n\n');
    });
  }

  it('is cut off when it waits for the end only', async (t) => {
    const { encoder, destination } = await stalled(t, { stallTimeoutMs: 30 });
    encoder.finish();
    await within(once(destination, 'close'), 'the cut');
  });
});

/** The response of an encoder, over a real connection whose reader reads nothing but the headers. */
async function realResponse(t: TestContext, options: SseEncoderOptions): Promise<{ encoder: SseEncoder; response: ServerResponse; socket: Socket }> {
  const opened = deferred<ServerResponse>();
  const server = createServer((_request, response) => opened.resolve(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  t.after(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const response = await opened.promise;
  return { encoder: new SseEncoder(response, options), response, socket };
}

describe('SseEncoder on a connection', () => {
  it('cuts off a reader that left the last events unread, after the end', async (t) => {
    const { encoder, response } = await realResponse(t, { stallTimeoutMs: 50 });
    encoder.send({ data: 'x'.repeat(40_000_000) });
    encoder.finish();
    await within(once(response, 'close'), 'the response to be cut off', 1_000);
  });

  it('leaves a reader that reads slowly its time, after the end', async (t) => {
    const { encoder, response, socket } = await realResponse(t, { stallTimeoutMs: 200 });
    let length = 0;
    socket.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    encoder.send({ data: 'x'.repeat(8_000_000) });
    encoder.finish();
    await within(once(response, 'close'), 'the response to end');
    await until(() => length > 8_000_000, 'all of it');
  });
});

describe('ReplyStream with a reader that stopped', () => {
  it('counts no heartbeat among the events of the reply that were not sent', async (t) => {
    const destination = new Destination();
    const reply = new ReplyStream({ eventWriter: () => new EventWriter(destination) } as Context, messageEvent() as unknown as MessageEvent, 5);
    t.after(() => reply.closed(false));
    destination.hasRoom = true;
    reply.send({ type: 'say', text: 'One.' });
    reply.flush();
    destination.hasRoom = false;
    reply.send({ type: 'say', text: ' Two.' });
    await nextTick();
    await new Promise((resolve) => setTimeout(resolve, 40)); // heartbeats wait like everything else, and tell nobody
    assert.equal(reply.unsent, 1);
  });
});

describe('Turns', () => {
  it('let the agent wait no more for a stream that a newer delivery has taken over', async () => {
    // The platform delivers a turn again when the first connection hangs: that one must not hold up the second.
    const said: unknown[] = [];
    const over = deferred();
    const full = { send: () => over.promise.then(() => false), end: () => { over.resolve(); return true; } };
    const roomy = { send: (sent: unknown) => { said.push(sent); return true; }, end: () => { ended.resolve(); return true; } };
    const ended = deferred();
    const turns = new Turns({
      agent: defineAgent({ name: 'tested', async onMessage(_turn, reply) { await reply.say('One.'); await reply.say(' Two.'); } }),
      conversations: new ConversationManager(new MemoryStore({ ttlMs: 1_000, maxConversations: 1 })),
      turnTimeoutMs: 3_000,
      firstWordTimeoutMs: 3_000,
    });
    const event = messageEvent() as unknown as MessageEvent;
    const log = createLogger({ level: 'silent', write: () => undefined });
    for (const stream of [full, roomy]) {
      turns.start({ ...stream, event, conversationId: 'c-1', turnId: 't-1', isOpen: true, unsent: 0, headers: {}, log, onOutcome: () => undefined });
    }
    try {
      await within(ended.promise, 'the end of the reply on the second stream', 1_000);
    } finally {
      turns.interruptAll('the test is over');
    }
    assert.deepEqual(said, [{ type: 'say', text: 'One.' }, { type: 'say', text: ' Two.' }]);
  });
});

/** A turn whose caller reads nothing from the first byte on; `speak` is the agent. */
async function unread(t: TestContext, speak: (reply: Reply) => void | Promise<void>, environment = {}): Promise<Served & { connection: RawConnection }> {
  const served = serve(t, { onMessage: (turn, reply) => (turn.text === 'Hello?' ? speak(reply) : 'Yes.') }, { environment });
  const connection = await served.raw();
  connection.stopReading();
  connection.write(rawRequest(messageEvent()));
  return { ...served, connection };
}

/** An agent that waits for room, as a generator does. */
function waiting(): { speak: (reply: Reply) => Promise<void>; said: () => number; stuck: Told<number> } {
  let count = 0;
  const stuck = new Told<number>();
  return {
    stuck,
    said: () => count,
    async speak(reply) {
      for (; count < PIECES; count++) {
        const taken = reply.say(PIECE);
        if (taken instanceof Promise) stuck.tell(count);
        if (!(await taken)) return;
        await new Promise((resolve) => setImmediate(resolve)); // as a model's next token comes
      }
    },
  };
}

describe('a caller that stops reading', () => {
  it('makes the agent wait', async (t) => {
    const { speak, stuck } = waiting();
    await unread(t, speak);
    assert.ok((await stuck.next('say to answer with a promise')) < PIECES);
  });

  it('keeps a generator from running ahead', async (t) => {
    let yielded = 0;
    const { raw, client, app } = serve(t, {
      async *onMessage({ text, signal }) {
        if (text !== 'Hello?') yield 'Yes.';
        else for (; yielded < PIECES && !signal.aborted; yielded++) {
          yield PIECE;
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    });
    const connection = await raw();
    connection.stopReading();
    connection.write(rawRequest(messageEvent()));
    let before = -1;
    // Stuck once it has not moved over a turn of another conversation.
    while (before !== yielded || yielded === 0) {
      before = yielded;
      await (await client.say('other', { conversation_id: 'another' })).text();
    }
    assert.deepEqual([yielded < PIECES, app.runningTurns], [true, 1]);
  });

  it('gets the rest when it reads again', async (t) => {
    const { speak, stuck } = waiting();
    const { connection } = await unread(t, speak);
    await stuck.next();
    connection.socket.resume();
    await connection.read((text) => text.includes('response.end'), 'the end');
    assert.equal(connection.text.match(/\\u0001/g)?.length, PIECES * PIECE.length);
  });

  it('and leaves interrupts the turn', async (t) => {
    const { speak, stuck } = waiting();
    const { connection, interrupted } = await unread(t, speak);
    await stuck.next();
    connection.socket.destroy();
    assert.equal((await interrupted.next()).turnId, 't-1');
  });

  it('and leaves frees the agent that waits', async (t) => {
    const over = deferred();
    const { speak, stuck } = waiting();
    const { connection } = await unread(t, (reply) => speak(reply).then(over.resolve));
    await stuck.next();
    connection.socket.destroy();
    await within(over.promise, 'the agent to go on');
  });

  it('and leaves is not said to have got what waited here', async (t) => {
    const { speak, stuck, said } = waiting();
    const { connection, interrupted } = await unread(t, speak);
    await stuck.next();
    connection.socket.destroy();
    // The piece that waits was not sent, nor was the one before it known to be.
    assert.ok((await interrupted.next()).text.length < (said() + 1) * PIECE.length);
  });

  it('and whose agent does not wait is cut off at 1 MiB', async (t) => {
    const { connection, interrupted } = await unread(t, async (reply) => {
      for (let piece = 0; piece < PIECES; piece++) {
        void reply.say(PIECE);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await fired(reply.signal);
    });
    await interrupted.next('the turn to be interrupted');
    connection.socket.resume();
    await within(connection.closed, 'the connection to be closed');
  });

  it('and is cut off leaves the turn interrupted in history', async (t) => {
    const { interrupted, history } = await unread(t, async (reply) => {
      for (let piece = 0; piece < PIECES; piece++) {
        void reply.say(PIECE);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await fired(reply.signal);
    });
    await interrupted.next('the turn to be interrupted');
    assert.equal((await history('c-1'))[1]?.[2], 'interrupted');
  });

  it('and is cut off leaves nothing in history that was not sent', async (t) => {
    let taken = 0;
    const { interrupted, messages } = await unread(t, async (reply) => {
      for (let piece = 0; reply.say(PIECE) !== false && piece < PIECES; piece++) {
        taken += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (let late = 0; late < 5; late++) reply.say(PIECE); // the connection is destroyed by now, and not closed yet
      await fired(reply.signal);
    });
    await interrupted.next('the turn to be interrupted');
    const kept = (await messages('c-1'))[1]?.content.length ?? 0;
    // 1 MiB at the least waited here when it was cut off: 17 pieces of 60,000 bytes.
    assert.ok(kept <= (taken - 17) * PIECE.length, `${kept / PIECE.length} pieces are kept, ${taken} were taken, 17 and more waited here`);
  });

  it('and is cut off leaves the process serving', async (t) => {
    const { interrupted, client, app } = await unread(t, async (reply) => {
      for (let piece = 0; piece < PIECES; piece++) {
        void reply.say(PIECE);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await fired(reply.signal);
    });
    await interrupted.next('the turn to be interrupted');
    assert.deepEqual([await (await client.say('again')).text(), app.runningTurns], ['Yes.', 0]);
  });

  it('does not hold up other calls', async (t) => {
    const { speak, stuck } = waiting();
    const { client } = await unread(t, speak);
    await stuck.next();
    assert.equal(await within((await client.say('other')).text(), 'the other call'), 'Yes.');
  });

  it('is apologised to in vain at the turn\'s time-out, and the turn fails', async (t) => {
    const { speak, stuck } = waiting();
    const { history, app } = await unread(t, speak, { TURN_TIMEOUT_SECONDS: '0.3' });
    await stuck.next();
    await until(() => app.runningTurns === 0, 'the time-out');
    assert.equal((await history('c-1'))[1]?.[2], 'failed');
  });
});
