import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';

import {
  WebSocketConnection, type WebSocketClose,
} from '../../../src/base/websocket/connection.ts';
import { OPCODES } from '../../../src/base/websocket/frame.ts';
import { deferred, Told } from '../../fixtures/app.ts';
import { clientFrame, close, fragments, text } from './client-frames.ts';
import {
  FAR_AWAY_MS, open, openPending, socketPair, turns, type Opened,
} from './connection-stage.ts';

describe('WebSocketConnection', { timeout: 20_000 }, () => {
  it('delivers the texts of a client in order, however they are split', async (t) => {
    const { peer, texts } = await open(t);
    peer.send(text('a'), ...fragments('b', '', 'c'), text(''));
    for (const byte of text('👋')) peer.socket.write(Uint8Array.of(byte));
    assert.deepEqual(
      [await texts.next(), await texts.next(), await texts.next(), await texts.next()],
      ['a', 'bc', '', '👋'],
    );
  });

  it('delivers what came after the request', async (t) => {
    const { socket, client } = await socketPair(t);
    const texts = new Told<string>();
    socket.unshift(text('early'));
    new WebSocketConnection(socket, { onText: texts.tell, onClose: () => undefined });
    client.write(text('late'));
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

  it('answers pings with their payload, even between fragments, and ignores pongs', async (t) => {
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

  it('answers in the order in which messages came', async (t) => {
    const { connection, peer } = await open(t, {
      onText: (message) => void connection.send(message),
    });
    peer.send(text('1'), clientFrame(OPCODES.ping, '2'), text('3'), clientFrame(OPCODES.ping, '4'));
    assert.deepEqual(
      [await peer.next(), await peer.next(), await peer.next(), await peer.next()],
      ['text 1', 'pong 2', 'text 3', 'pong 4'],
    );
  });

  it('clears a timeout that the server has set on the socket', async (t) => {
    const { socket } = await open(t);
    assert.equal(socket.timeout, 0);
  });
});

describe('WebSocketConnection, closed by the peer,', { timeout: 20_000 }, () => {
  for (const [what, frame, echo, told] of [
    ['with a code and a reason', close(4321, 'adiós'), 'close 4321', {
      code: 4321, reason: 'adiós',
    }],
    ['with a code', close(1001), 'close 1001', { code: 1001, reason: '' }],
    ['without a code', close(), 'close 1005', { code: 1005, reason: '' }],
  ] as const) {
    it(`echoes the code and ends the TCP connection when the frame comes ${what}`, async (t) => {
      const { connection, peer, closes } = await open(t);
      peer.send(frame);
      assert.deepEqual(await peer.rest(), [echo, 'end']);
      assert.deepEqual(await closes.next(), told);
      assert.deepEqual([connection.isOpen, connection.send('late')], [false, false]);
    });
  }

  it('delivers nothing that comes after a close frame, and closes once', async (t) => {
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

  it('destroys the socket of a peer that does not end its side', async (t) => {
    const { peer, closes, socket } = await open(t, { closeTimeoutMs: 20 }, { allowHalfOpen: true });
    peer.send(close(1000));
    assert.deepEqual(await closes.next(), { code: 1000, reason: '' });
    assert.equal(socket.destroyed, true);
  });

  it('reads a close frame with which the peer ends its side', async (t) => {
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

  it('refuses a code that must not be sent, and stays open', async (t) => {
    const { connection } = await open(t);
    for (const code of [999, 1004, 1006, 2999, 5000, Number.NaN, 1000.5]) {
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

  it("finds the peer's close frame while a text is pending", async (t) => {
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

  it('destroys the socket of a peer that does not answer, and counts it as lost', async (t) => {
    const { connection, peer, closes } = await open(t, { closeTimeoutMs: 20 });
    connection.close(4000);
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
    await peer.closed;
  });

  it('counts a peer that ends its side instead of answering as lost', async (t) => {
    const { connection, peer, closes } = await open(t, { closeTimeoutMs: FAR_AWAY_MS });
    connection.close(4000);
    await peer.next();
    peer.socket.end();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
  });

  it('may close at the same time as the peer', async (t) => {
    const { connection, peer, closes } = await open(t);
    peer.send(close(4001, 'mine'));
    connection.close(4002, 'yours');
    assert.deepEqual(await peer.rest(), ['close 4002 yours', 'end']);
    assert.deepEqual(await closes.next(), { code: 4001, reason: 'mine' });
  });
});

describe('a WebSocketConnection that is lost', { timeout: 20_000 }, () => {
  const LOST = { code: 1006, reason: '' };

  for (const [how, lose] of [
    ['the peer ends its side', ({ peer }: Opened) => peer.socket.end(text('a').subarray(0, 3))],
    ['the connection is reset', ({ peer }: Opened) => peer.socket.resetAndDestroy()],
    ['it is destroyed, even more than once', ({ connection }: Opened) => {
      connection.destroy();
      connection.destroy();
      connection.close();
    }],
  ] as const)
    it(`is closed with 1006, once, when ${how}`, async (t) => {
      const opened = await open(t);
      const { connection, peer, closes, socket } = opened;
      lose(opened);
      assert.deepEqual(await closes.next(), LOST);
      assert.deepEqual([connection.isOpen, connection.send('late')], [false, false]);
      await peer.closed;
      await turns();
      assert.deepEqual([closes.all.length, socket.destroyed], [1, true]);
    });

  for (const [how, act, told] of [
    ['closed', ({ connection }: Opened) => connection.close(4000), { code: 4000, reason: '' }],
    ['destroyed', ({ connection }: Opened) => connection.destroy(), LOST],
  ] as const)
    it(`delivers no more texts once it is ${how} while delivering one`, async (t) => {
      const heard: string[] = [];
      const opened = await open(t, {
        onText(message) {
          heard.push(message);
          act(opened);
        },
      });
      opened.peer.send(text('a'), text('b'), close(4000));
      assert.deepEqual(await opened.closes.next(), told);
      assert.deepEqual(heard, ['a']);
    });

  it('is closed with 1006 by an error of the socket, and leaves no error without a listener', async (t) => {
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

  it('is closed if the peer has already ended its side', async () => {
    const socket = new Duplex({ read: () => undefined });
    socket.push(null);
    socket.resume();
    await once(socket, 'end');
    const closes = new Told<WebSocketClose>();
    new WebSocketConnection(socket, { onText: () => undefined, onClose: closes.tell });
    assert.deepEqual(await closes.next(), LOST);
  });

  it('reports the loss while a text is pending', async (t) => {
    const { peer, closes, heard } = await openPending(t, deferred().promise);
    peer.send(text('a'));
    await heard.next();
    peer.socket.end();
    assert.deepEqual(await closes.next(), LOST);
  });

  for (const [what, last, told] of [
    ['a close frame', close(4000), { code: 4000, reason: '' }],
    ['no close frame', Buffer.alloc(0), LOST],
  ] as const) {
    it(`delivers what came before an end with ${what}, even while the first text is pending`, async (t) => {
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
