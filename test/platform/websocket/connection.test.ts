import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import {
  WebSocketConnection,
  type WebSocketClose,
  type WebSocketOptions,
} from '../../../src/platform/websocket/connection.ts';
import { parseClose } from '../../../src/platform/websocket/close.ts';
import { OPCODES } from '../../../src/platform/websocket/frame.ts';
import {
  clientFrame,
  close,
  fragments,
  NO_MASK,
  parseServerFrames,
  text,
  type ServerFrame,
} from './client-frames.ts';

/** What was told, in order, each to be waited for. */
class Told<T> {
  readonly all: T[] = [];
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  readonly tell = (value: T): void => {
    this.all.push(value);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  async next(): Promise<T> {
    const index = this.#taken++;
    while (this.all.length <= index) await new Promise<void>((wake) => this.#waiting.push(wake));
    return this.all[index] as T;
  }
}

function deferred<T = void>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  return { promise, resolve, reject };
}

/** Lets what is on its way arrive, for tests that nothing more does. */
async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The client's end of the TCP connection, frame by frame. */
class Peer {
  readonly socket: Socket;
  /** Frames, and `end` for the end of the server's side. */
  readonly #received = new Told<ServerFrame | 'end'>();
  readonly closed: Promise<unknown>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (chunk: Buffer) => {
      const { frames, rest } = parseServerFrames(Buffer.concat([this.#rest, chunk]));
      this.#rest = rest;
      for (const frame of frames) this.#received.tell(frame);
    });
    socket.on('end', () => this.#received.tell('end'));
    socket.on('error', () => undefined); // a connection that is reset is closed, too
  }

  send(...frames: readonly Buffer[]): this {
    this.socket.write(Buffer.concat(frames));
    return this;
  }

  /** The next frame in short: `text hello`, `close 1000 bye`, `ping`, `end`. */
  async next(): Promise<string> {
    const frame = await this.#received.next();
    if (frame === 'end') return frame;
    const name = Object.entries(OPCODES).find(([, opcode]) => opcode === frame.opcode)?.[0] ?? '';
    if (frame.opcode !== OPCODES.close) return `${name} ${frame.payload.toString()}`.trim();
    const { code, reason } = parseClose(frame.payload);
    return `${name} ${code} ${reason}`.trim();
  }

  async rest(): Promise<string[]> {
    const all: string[] = [];
    do all.push(await this.next());
    while (all.at(-1) !== 'end');
    return all;
  }
}

interface Opened {
  readonly connection: WebSocketConnection;
  /** The server's end of the TCP connection. */
  readonly socket: Socket;
  readonly peer: Peer;
  readonly texts: Told<string>;
  readonly closes: Told<WebSocketClose>;
}

/**
 * A connection over real TCP, whose server keeps its side open at the other's end, as node:http
 * does.
 */
async function open(
  t: TestContext,
  options: Partial<WebSocketOptions> = {},
  { allowHalfOpen = false } = {},
): Promise<Opened> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    noDelay: true,
    allowHalfOpen,
  });
  const peer = new Peer(client);
  const [socket] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  const texts = new Told<string>();
  const closes = new Told<WebSocketClose>();
  const connection = new WebSocketConnection(socket, {
    onText: texts.tell,
    onClose: closes.tell,
    ...options,
  });
  return { connection, socket, peer, texts, closes };
}

const FLOOD_PAYLOAD = 'p'.repeat(125);
const FLOOD = Buffer.concat(
  Array.from({ length: 4_000 }, () => clientFrame(OPCODES.ping, FLOOD_PAYLOAD, { mask: NO_MASK })),
);
const FLOODS = 40;
const FLOOD_BYTES = FLOODS * FLOOD.length;

/**
 * One whose peer sends pings, more than the system holds of them and of their pongs, and reads
 * nothing.
 */
async function openFlooded(t: TestContext): Promise<Opened> {
  const opened = await open(t);
  opened.peer.socket.pause();
  for (let count = 0; count < FLOODS; count++) opened.peer.socket.write(FLOOD);
  return opened;
}

interface Pings {
  /** Of each timer that was set. */
  readonly pauses: readonly number[];
  readonly isUnref: () => boolean;
  readonly isCleared: () => boolean;
  readonly tick: () => void;
}

interface Pending extends Opened {
  readonly heard: Told<string>;
}

/** One that answers each text with the promise. */
async function openPending(
  t: TestContext,
  promise: Promise<void>,
  options: Partial<WebSocketOptions> = {},
): Promise<Pending> {
  const heard = new Told<string>();
  const onText = (message: string): Promise<void> => {
    heard.tell(message);
    return promise;
  };
  return { ...(await open(t, { ...options, onText })), heard };
}

/** Pings when the test says so. */
function pingsByHand({ mock }: TestContext): Pings {
  const pauses: number[] = [];
  let isCleared = false;
  let fire: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const { setInterval, clearInterval } = globalThis;
  mock.method(globalThis, 'setInterval', (run: () => void, ms: number) => {
    fire = run;
    pauses.push(ms);
    timer = setInterval(() => undefined, ms);
    return timer;
  });
  mock.method(globalThis, 'clearInterval', (cleared: NodeJS.Timeout | undefined) => {
    if (cleared === timer) isCleared = true; // an earlier test's connection may still be closing
    clearInterval(cleared);
  });
  return {
    pauses,
    isUnref: () => timer?.hasRef() === false,
    isCleared: () => isCleared,
    tick: () => fire?.(),
  };
}

const FAR_AWAY_MS = 60_000;

describe('WebSocketConnection', { timeout: 20_000 }, () => {
  it('hands over the texts of a client in order, in any split', async (t) => {
    const { peer, texts } = await open(t);
    peer.send(text('a'), ...fragments('b', '', 'c'), text(''));
    for (const byte of text('👋')) peer.socket.write(Uint8Array.of(byte));
    assert.deepEqual(
      [await texts.next(), await texts.next(), await texts.next(), await texts.next()],
      ['a', 'bc', '', '👋'],
    );
  });

  it('hands over what came behind the request', async (t) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [socket] = (await once(server, 'connection')) as [Socket];
    t.after(() => {
      peer.destroy();
      server.close();
    });
    const texts = new Told<string>();
    socket.unshift(text('early'));
    new WebSocketConnection(socket, { onText: texts.tell, onClose: () => undefined });
    peer.write(text('late'));
    assert.deepEqual([await texts.next(), await texts.next()], ['early', 'late']);
  });

  it('sends texts in order, each in one frame', async (t) => {
    const { connection, peer } = await open(t);
    const long = 'x'.repeat(70_000);
    assert.deepEqual(
      [connection.send('a'), connection.send('👋'), connection.send('')],
      [true, true, true],
    );
    assert.equal(await connection.send(long), true);
    assert.deepEqual(
      [await peer.next(), await peer.next(), await peer.next(), await peer.next()],
      ['text a', 'text 👋', 'text', `text ${long}`],
    );
  });

  it('answers pings with their payload, also between fragments, and takes pongs for nothing', async (t) => {
    const { connection, peer, texts } = await open(t);
    const [first, last] = fragments('a', 'b') as [Buffer, Buffer];
    peer.send(
      clientFrame(OPCODES.ping, 'one'),
      first,
      clientFrame(OPCODES.pong, 'x'),
      clientFrame(OPCODES.ping),
      last,
    );
    assert.deepEqual(
      [await peer.next(), await peer.next(), await texts.next()],
      ['pong one', 'pong', 'ab'],
    );
    assert.equal(connection.isOpen, true);
  });

  it('answers in the order of what was sent', async (t) => {
    const { connection, peer } = await open(t, {
      onText: (message) => void connection.send(message),
    });
    peer.send(text('1'), clientFrame(OPCODES.ping, '2'), text('3'), clientFrame(OPCODES.ping, '4'));
    assert.deepEqual(
      [await peer.next(), await peer.next(), await peer.next(), await peer.next()],
      ['text 1', 'pong 2', 'text 3', 'pong 4'],
    );
  });

  it('goes on when the socket had a timeout of its server', async (t) => {
    const { socket } = await open(t);
    assert.equal(socket.timeout, 0);
  });
});

describe('WebSocketConnection, closed by the peer', { timeout: 20_000 }, () => {
  for (const [what, frame, echo, told] of [
    [
      'with a code and a reason',
      close(4321, 'adiós'),
      'close 4321',
      { code: 4321, reason: 'adiós' },
    ],
    ['with a code', close(1001), 'close 1001', { code: 1001, reason: '' }],
    ['without a code', close(), 'close 1005', { code: 1005, reason: '' }],
  ] as const) {
    it(`echoes the code and ends the TCP connection, when the frame is ${what}`, async (t) => {
      const { connection, peer, closes } = await open(t);
      peer.send(frame);
      assert.deepEqual(await peer.rest(), [echo, 'end']);
      assert.deepEqual(await closes.next(), told);
      assert.deepEqual([connection.isOpen, connection.send('late')], [false, false]);
    });
  }

  it('delivers nothing that comes behind a close frame, and closes once', async (t) => {
    const { peer, texts, closes } = await open(t);
    peer.send(
      text('a'),
      close(1000, 'first'),
      text('b'),
      clientFrame(OPCODES.ping),
      close(4000),
      Buffer.from('no frame'),
    );
    assert.deepEqual(await peer.rest(), ['close 1000', 'end']);
    await closes.next();
    await turns();
    assert.deepEqual([texts.all, closes.all], [['a'], [{ code: 1000, reason: 'first' }]]);
  });

  it('sends what was sent before the echo', async (t) => {
    const { connection, peer } = await open(t);
    void connection.send('a');
    peer.send(close(1000));
    assert.deepEqual(await peer.rest(), ['text a', 'close 1000', 'end']);
  });

  it('destroys the socket of a peer that does not end its side', async (t) => {
    const { peer, closes, socket } = await open(t, { closeTimeoutMs: 20 }, { allowHalfOpen: true });
    peer.send(close(1000));
    assert.deepEqual(await closes.next(), { code: 1000, reason: '' });
    assert.equal(socket.destroyed, true);
  });

  it('reads a close frame that the peer ends its side with', async (t) => {
    const { peer, closes } = await open(t);
    peer.socket.end(Buffer.concat([text('a'), close(4000)]));
    assert.deepEqual(await closes.next(), { code: 4000, reason: '' });
  });
});

describe('WebSocketConnection.close', { timeout: 20_000 }, () => {
  it("sends the close frame, waits for the peer's, and ends the TCP connection", async (t) => {
    const { connection, peer, closes, socket } = await open(t);
    connection.close(4002, 'done');
    assert.deepEqual([connection.isOpen, connection.send('late')], [false, false]);
    assert.equal(await peer.next(), 'close 4002 done');
    await turns();
    assert.deepEqual([socket.writableEnded, closes.all], [false, []]);
    peer.send(close(4002, 'fine'));
    assert.deepEqual(await peer.rest(), ['end']);
    assert.deepEqual(await closes.next(), { code: 4002, reason: 'fine' });
  });

  it('sends 1000 by default, and one close frame however often it is called', async (t) => {
    const { connection, peer, closes } = await open(t);
    connection.close();
    connection.close(4000);
    assert.equal(await peer.next(), 'close 1000');
    peer.send(close(1000));
    assert.deepEqual(await peer.rest(), ['end']);
    await closes.next();
    connection.close(4001);
    assert.deepEqual(closes.all, [{ code: 1000, reason: '' }]);
  });

  it('cuts a reason that no close frame can hold', async (t) => {
    const { connection, peer } = await open(t);
    connection.close(4000, `${'x'.repeat(122)}é`);
    assert.equal(await peer.next(), `close 4000 ${'x'.repeat(122)}`);
  });

  it('refuses a code that must not be sent, and goes on', async (t) => {
    const { connection } = await open(t);
    for (const code of [
      0,
      999,
      1004,
      1005,
      1006,
      1015,
      2999,
      5000,
      65_536 + 1000,
      Number.NaN,
      1000.5,
    ]) {
      const message = `a close code must be 1000–1003, 1007–1014 or 3000–4999, got ${code}`;
      assert.throws(() => connection.close(code), { name: 'RangeError', message });
    }
    assert.equal(connection.isOpen, true);
  });

  it('ignores texts that were on their way and still answers pings', async (t) => {
    const { connection, peer, texts, closes } = await open(t);
    connection.close();
    peer.send(text('a'), clientFrame(OPCODES.ping, 'p'), ...fragments('b', 'c'), close(1000));
    assert.deepEqual(await peer.rest(), ['close 1000', 'pong p', 'end']);
    assert.deepEqual([await closes.next(), texts.all], [{ code: 1000, reason: '' }, []]);
  });

  it('closes from within a text, and delivers none of the next', async (t) => {
    const heard: string[] = [];
    const { connection, peer, closes } = await open(t, {
      onText(message) {
        heard.push(message);
        connection.close(4000, message);
      },
    });
    peer.send(text('a'), text('b'), close(4000));
    assert.deepEqual(await peer.rest(), ['close 4000 a', 'end']);
    assert.deepEqual([await closes.next(), heard], [{ code: 4000, reason: '' }, ['a']]);
  });

  it("finds the peer's close frame while a text is waited for", async (t) => {
    const { connection, peer, closes, heard } = await openPending(t, deferred().promise, {
      closeTimeoutMs: FAR_AWAY_MS,
    });
    peer.send(text('a'), text('b'));
    await heard.next();
    connection.close(1001);
    assert.equal(await peer.next(), 'close 1001');
    peer.send(close(1001));
    assert.deepEqual(await closes.next(), { code: 1001, reason: '' });
    assert.deepEqual(heard.all, ['a']);
  });

  it('destroys the socket of a peer that does not answer, which is a loss', async (t) => {
    const { connection, peer, closes } = await open(t, { closeTimeoutMs: 20 });
    connection.close(4000);
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
    await peer.closed;
  });

  it('takes a peer that ends its side instead of an answer for lost', async (t) => {
    const { connection, peer, closes } = await open(t, { closeTimeoutMs: FAR_AWAY_MS });
    connection.close(4000);
    await peer.next();
    peer.socket.end();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
  });

  it('closes both at once', async (t) => {
    const { connection, peer, closes } = await open(t);
    peer.send(close(4001, 'mine'));
    connection.close(4002, 'yours');
    assert.deepEqual(await peer.rest(), ['close 4002 yours', 'end']);
    assert.deepEqual(await closes.next(), { code: 4001, reason: 'mine' });
  });
});

describe('WebSocketConnection, lost', { timeout: 20_000 }, () => {
  const LOST = { code: 1006, reason: '' };

  it('is closed with 1006 when the peer ends its side', async (t) => {
    const { peer, closes, socket } = await open(t);
    peer.socket.end(text('a').subarray(0, 3));
    assert.deepEqual(await closes.next(), LOST);
    assert.equal(socket.destroyed, true);
  });

  it('is closed with 1006 when the connection is reset', async (t) => {
    const { peer, closes, connection } = await open(t);
    peer.socket.resetAndDestroy();
    assert.deepEqual(await closes.next(), LOST);
    assert.deepEqual([connection.isOpen, connection.send('late')], [false, false]);
  });

  it('is closed with 1006 when it is destroyed, more than once even', async (t) => {
    const { connection, peer, closes } = await open(t);
    connection.destroy();
    connection.destroy();
    connection.close();
    assert.equal(connection.isOpen, false);
    assert.deepEqual(await closes.next(), LOST);
    await peer.closed;
    await turns();
    assert.equal(closes.all.length, 1);
  });

  it('stops at a destroy from within a text', async (t) => {
    const heard: string[] = [];
    const { connection, peer, closes } = await open(t, {
      onText(message) {
        heard.push(message);
        connection.destroy();
      },
    });
    peer.send(text('a'), text('b'));
    assert.deepEqual([await closes.next(), heard], [LOST, ['a']]);
  });

  it('is closed with 1006 by an error of the socket, and no error is left without a listener', async (t) => {
    const { socket, closes } = await open(t);
    socket.emit('error', new Error('the cable was cut'));
    assert.deepEqual(await closes.next(), LOST);
    socket.emit('error', new Error('and cut again'));
    await turns();
    assert.equal(closes.all.length, 1);
  });

  for (const [what, prepare] of [
    ['just now', () => undefined],
    ['a turn ago', () => turns(1)],
  ] as const) {
    it(`is closed once, and not within the constructor, when the socket was closed ${what}`, async () => {
      const socket = new Duplex({ read: () => undefined });
      socket.destroy();
      await prepare();
      const closes = new Told<WebSocketClose>();
      new WebSocketConnection(socket, { onText: () => undefined, onClose: closes.tell });
      assert.deepEqual(closes.all, []);
      assert.deepEqual(await closes.next(), LOST);
      await turns();
      assert.equal(closes.all.length, 1);
    });
  }

  it('is closed when the peer had ended its side before', async () => {
    const socket = new Duplex({ read: () => undefined });
    socket.push(null);
    socket.resume();
    await once(socket, 'end');
    const closes = new Told<WebSocketClose>();
    new WebSocketConnection(socket, { onText: () => undefined, onClose: closes.tell });
    assert.deepEqual(await closes.next(), LOST);
  });

  it('tells of the loss while a text is waited for', async (t) => {
    const { peer, closes, heard } = await openPending(t, deferred().promise);
    peer.send(text('a'));
    await heard.next();
    peer.socket.end();
    assert.deepEqual(await closes.next(), LOST);
  });

  for (const [what, last, told] of [
    ['a close frame', close(4000), { code: 4000, reason: '' }],
    ['none', Buffer.alloc(0), LOST],
  ] as const) {
    it(`delivers what came before the peer ended its side with ${what}, while the first of it is waited for`, async (t) => {
      const first = deferred();
      const heard = new Told<string>();
      const { peer, closes } = await open(t, {
        onText(message) {
          heard.tell(message);
          return message === 'a' ? first.promise : undefined;
        },
      });
      peer.socket.end(Buffer.concat([text('a'), text('b'), last]));
      await heard.next();
      await turns();
      assert.deepEqual([heard.all, closes.all], [['a'], []]);
      first.resolve();
      assert.deepEqual(await closes.next(), told);
      assert.deepEqual(heard.all, ['a', 'b']);
    });
  }
});

describe('WebSocketConnection, of a peer that breaks the rules', { timeout: 20_000 }, () => {
  for (const [what, frame, code, reason] of [
    [
      'a frame that is not masked',
      text('a', { mask: undefined }),
      1002,
      'a client must mask its frames',
    ],
    [
      'HTTP',
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      1002,
      'a reserved bit is set, and no extension was agreed on',
    ],
    [
      'a binary message',
      clientFrame(OPCODES.binary, 'a'),
      1003,
      'a message must be text, not binary',
    ],
    ['a text that is not UTF-8', text(Uint8Array.of(0xff)), 1007, 'a text message must be UTF-8'],
    [
      'a message beyond the bound',
      text('x'.repeat(11)),
      1009,
      'a message must have at most 10 bytes',
    ],
    [
      'a close code that must not be sent',
      close(1006),
      1002,
      'a close frame must not have the code 1006',
    ],
  ] as const) {
    it(`closes with ${code} for ${what}, delivers nothing behind it, and tells so`, async (t) => {
      const { connection, peer, texts, closes } = await open(t, { maxMessageBytes: 10 });
      peer.send(text('before'), frame, text('behind'), close(4000));
      assert.deepEqual(await peer.rest(), [`close ${code} ${reason}`, 'end']);
      assert.deepEqual(
        [await closes.next(), texts.all, connection.isOpen],
        [{ code, reason }, ['before'], false],
      );
    });
  }

  it('takes a message of exactly the bound', async (t) => {
    const { peer, texts } = await open(t, { maxMessageBytes: 10 });
    peer.send(text('x'.repeat(10)));
    assert.equal(await texts.next(), 'x'.repeat(10));
  });

  it('takes a message of 1,048,576 bytes by default and no more', async (t) => {
    const { peer, texts } = await open(t);
    peer.send(text('x'.repeat(1_048_576), { mask: NO_MASK }), text('', { length: 1_048_577 }));
    assert.equal((await texts.next()).length, 1_048_576);
    assert.deepEqual(await peer.rest(), [
      'close 1009 a message must have at most 1048576 bytes',
      'end',
    ]);
  });

  it('closes from the header of a message too long, so that the peer learns why before it has sent all of it', async (t) => {
    const { peer, closes } = await open(t);
    peer.send(text('', { length: 2n ** 40n }));
    assert.deepEqual(await peer.rest(), [
      'close 1009 a message must have at most 1048576 bytes',
      'end',
    ]);
    assert.equal((await closes.next()).code, 1009);
  });

  it('reads on and throws away until the peer ends its side, lest a reset cost it the close frame', async (t) => {
    const { peer, closes, socket } = await open(
      t,
      { closeTimeoutMs: FAR_AWAY_MS },
      { allowHalfOpen: true },
    );
    const bytes = Buffer.concat([text('', { mask: undefined }), Buffer.alloc(8 * 1_048_576)]);
    peer.send(bytes);
    assert.deepEqual(await peer.rest(), ['close 1002 a client must mask its frames', 'end']);
    while (socket.bytesRead < bytes.length) await turns(1);
    assert.deepEqual(closes.all, []);
    peer.socket.end();
    assert.equal((await closes.next()).code, 1002);
  });

  it('does not wait for that end for ever', async (t) => {
    const { peer, closes } = await open(t, { closeTimeoutMs: 20 }, { allowHalfOpen: true });
    peer.send(text('', { mask: undefined }));
    assert.equal((await closes.next()).code, 1002);
  });

  it('ends at a breach behind its own close frame, without a second one', async (t) => {
    const { connection, peer, closes } = await open(t);
    connection.close(4000);
    peer.send(text('a', { mask: undefined }));
    assert.deepEqual(await peer.rest(), ['close 4000', 'end']);
    assert.deepEqual(await closes.next(), { code: 1002, reason: 'a client must mask its frames' });
  });
});

describe('WebSocketConnection, whose onText fails', { timeout: 20_000 }, () => {
  for (const [what, fail] of [
    [
      'throws',
      (error: Error): void => {
        throw error;
      },
    ],
    ['rejects', (error: Error) => Promise.reject(error)],
  ] as const) {
    it(`closes with 1011 when it ${what}, tells the peer nothing of the error and its owner all`, async (t) => {
      const error = new Error('secret');
      const heard: string[] = [];
      const { peer, closes } = await open(t, {
        onText(message) {
          heard.push(message);
          return fail(error);
        },
      });
      peer.send(text('a'), text('b'));
      assert.equal(await peer.next(), 'close 1011 internal error');
      peer.send(close(1011));
      assert.deepEqual(await peer.rest(), ['end']);
      assert.deepEqual(
        [await closes.next(), heard],
        [{ code: 1011, reason: 'internal error', error }, ['a']],
      );
    });
  }

  it('says 1011 also where the peer does not answer', async (t) => {
    const error = new Error('secret');
    const { peer, closes } = await open(t, {
      onText: () => Promise.reject(error),
      closeTimeoutMs: 20,
    });
    peer.send(text('a'));
    assert.deepEqual(await closes.next(), { code: 1011, reason: 'internal error', error });
  });

  it('keeps the close that was under way, and hands over the error with it', async (t) => {
    const pending = deferred();
    const error = new Error('too late');
    const { connection, peer, closes, heard } = await openPending(t, pending.promise);
    peer.send(text('a'));
    await heard.next();
    connection.close(4000);
    pending.reject(error);
    assert.equal(await peer.next(), 'close 4000');
    peer.send(close(4000));
    assert.deepEqual(await closes.next(), { code: 4000, reason: '', error });
  });

  it('drops what it throws after the end', async (t) => {
    const pending = deferred();
    const { connection, peer, closes, heard } = await openPending(t, pending.promise);
    peer.send(text('a'));
    await heard.next();
    connection.destroy();
    await closes.next();
    pending.reject(new Error('nobody is there'));
    await turns();
    assert.equal(closes.all.length, 1);
  });
});

describe('WebSocketConnection, under back-pressure', { timeout: 20_000 }, () => {
  it('reads nothing more until a text is settled, so the peer meets back-pressure', async (t) => {
    const first = deferred();
    const done = deferred();
    const MESSAGES = 32;
    let heard = 0;
    const { peer, socket } = await open(t, {
      onText() {
        heard += 1;
        if (heard === MESSAGES) done.resolve();
        return heard === 1 ? first.promise : undefined;
      },
    });
    const message = text('x'.repeat(1_048_576), { mask: NO_MASK });
    for (let count = 0; count < MESSAGES; count++) peer.socket.write(message);
    let before = -1;
    while (heard === 0 || socket.bytesRead > before) {
      before = socket.bytesRead;
      await turns();
    }
    assert.equal(heard, 1);
    assert.ok(socket.bytesRead < (MESSAGES * message.length) / 2);
    assert.ok(peer.socket.writableLength > 0);
    first.resolve();
    await done.promise;
  });

  it('delivers one text at a time, also those of one chunk', async (t) => {
    const pending: (() => void)[] = [];
    const heard = new Told<string>();
    const { peer } = await open(t, {
      onText(message) {
        heard.tell(message);
        return new Promise((resolve) => pending.push(resolve));
      },
    });
    peer.send(text('a'), text('b'), text('c'));
    for (const message of ['a', 'b', 'c']) {
      assert.equal(await heard.next(), message);
      await turns();
      assert.equal(heard.all.length, 'abc'.indexOf(message) + 1);
      pending.shift()?.();
    }
  });

  it('has a sender wait while there is no room, and go on when there is', async (t) => {
    const { connection, peer } = await open(t, { maxUnsentBytes: Infinity });
    peer.socket.pause();
    const chunk = 'x'.repeat(65_536);
    let sent = connection.send(chunk);
    while (sent === true) sent = connection.send(chunk);
    const outcomes: boolean[] = [];
    void Promise.resolve(sent).then((isSent) => outcomes.push(isSent));
    await turns();
    assert.deepEqual(outcomes, []);
    peer.socket.resume();
    assert.equal(await sent, true);
    assert.equal(connection.send('more'), true);
  });

  it('tells a sender who waits that the connection is over', async (t) => {
    const { connection, peer } = await open(t, { maxUnsentBytes: Infinity });
    peer.socket.pause();
    let sent = connection.send('x'.repeat(65_536));
    while (sent === true) sent = connection.send('x'.repeat(65_536));
    connection.destroy();
    assert.equal(await sent, false);
  });

  it('destroys the connection of a peer that does not read, beyond exactly the bound', async (t) => {
    const { connection, peer, socket, closes } = await open(t, { maxUnsentBytes: 300_000 });
    peer.socket.pause();
    const senders = [connection.send('x'.repeat(65_536))];
    // what the system takes is not unsent
    while (senders.at(-1) === true) senders.push(connection.send('x'.repeat(65_536)));
    const waiting = [senders.at(-1)];
    while (socket.writableLength < 200_000) waiting.push(connection.send('x'.repeat(65_536)));
    // the header has 4 bytes
    waiting.push(connection.send('x'.repeat(300_000 - socket.writableLength - 4)));
    assert.deepEqual([socket.writableLength, connection.isOpen], [300_000, true]);
    waiting.push(connection.send(''));
    assert.deepEqual([socket.writableLength, connection.isOpen], [300_002, true]);
    assert.deepEqual([connection.send(''), connection.isOpen], [false, false]);
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
    assert.deepEqual(
      await Promise.all(waiting),
      waiting.map(() => false),
    );
  });

  it('sends a message longer than the bound to a peer that reads', async (t) => {
    const { connection, peer } = await open(t);
    const message = 'x'.repeat(4 * 1_048_576);
    assert.equal(await connection.send(message), true);
    assert.equal((await peer.next()).length, 'text '.length + message.length);
  });

  it('stops reading a peer that floods it with pings and takes no pongs, then goes on', async (t) => {
    const { connection, peer, socket } = await openFlooded(t);
    while (!socket.isPaused()) await turns(1);
    await turns();
    const { bytesRead } = socket;
    assert.ok(bytesRead < FLOOD_BYTES);
    assert.ok(socket.writableLength < 200_000, String(socket.writableLength));
    assert.equal(connection.isOpen, true);
    peer.socket.resume();
    for (let count = 0; count < 1_000; count++) {
      assert.equal(await peer.next(), `pong ${FLOOD_PAYLOAD}`);
    }
    while (socket.bytesRead < FLOOD_BYTES) await turns(1);
  });

  it('answers the pings of a chunk in one call of the system', () => {
    const written: number[] = [];
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => done(void written.push(chunk.length)),
      writev: (chunks, done) =>
        done(
          void written.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0)),
        ),
    });
    new WebSocketConnection(socket, {
      onText: () => undefined,
      onClose: () => undefined,
      pingIntervalMs: 0,
    });
    socket.emit(
      'data',
      Buffer.concat(Array.from({ length: 100 }, () => clientFrame(OPCODES.ping))),
    );
    assert.deepEqual(written, [200]);
  });
});

describe('WebSocketConnection, pinging', { timeout: 20_000 }, () => {
  it('pings every 30 s by default, without keeping the process alive, until the end', async (t) => {
    const pings = pingsByHand(t);
    const { connection, peer, closes } = await open(t);
    assert.deepEqual([pings.pauses, pings.isUnref(), pings.isCleared()], [[30_000], true, false]);
    pings.tick();
    assert.equal(await peer.next(), 'ping');
    connection.destroy();
    await closes.next();
    assert.equal(pings.isCleared(), true);
  });

  it('does not ping when the pause is 0', async (t) => {
    const pings = pingsByHand(t);
    await open(t, { pingIntervalMs: 0 });
    assert.deepEqual(pings.pauses, []);
  });

  it('keeps a peer that answers, and one that sends anything else', async (t) => {
    const pings = pingsByHand(t);
    const { connection, peer, socket } = await open(t, { pingIntervalMs: 10 });
    for (const answer of [
      clientFrame(OPCODES.pong),
      clientFrame(OPCODES.ping),
      text('a').subarray(0, 1),
      text('a').subarray(1),
    ]) {
      pings.tick();
      const received = socket.bytesRead;
      peer.send(answer);
      while (socket.bytesRead === received) await turns(1);
    }
    assert.equal(connection.isOpen, true);
  });

  it('destroys the connection of a peer that sends nothing, as a loss', async (t) => {
    const pings = pingsByHand(t);
    const { peer, closes } = await open(t, { pingIntervalMs: 10 });
    pings.tick();
    assert.equal(await peer.next(), 'ping');
    pings.tick();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
    await peer.closed;
  });

  it('destroys it by the clock', async (t) => {
    const { closes } = await open(t, { pingIntervalMs: 10 });
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
  });

  it('does not take a peer for gone that it does not read itself', async (t) => {
    const pings = pingsByHand(t);
    const pending = deferred();
    const { connection, peer, heard } = await openPending(t, pending.promise);
    peer.send(text('a'));
    await heard.next();
    for (let count = 0; count < 3; count++) {
      pings.tick();
      assert.equal(await peer.next(), 'ping');
    }
    pending.resolve();
    await pending.promise;
    await new Promise((resolve) => process.nextTick(resolve));
    pings.tick(); // before the pong could be read
    assert.deepEqual([await peer.next(), connection.isOpen], ['ping', true]);
  });

  it('does not take a peer for gone that floods it with pings and then takes the pongs', async (t) => {
    const pings = pingsByHand(t);
    const { connection, peer, socket } = await openFlooded(t);
    while (!socket.isPaused()) await turns(1);
    pings.tick();
    const drained = once(socket, 'drain');
    socket.once('drain', pings.tick); // before more could be read
    peer.socket.resume();
    await drained;
    assert.equal(connection.isOpen, true);
  });

  it('destroys the connection of a peer that floods it with pings and takes nothing for a whole pause', async (t) => {
    const pings = pingsByHand(t);
    const { socket, closes } = await openFlooded(t);
    while (!socket.isPaused()) await turns(1);
    pings.tick();
    assert.deepEqual(closes.all, []);
    pings.tick();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
  });
});
