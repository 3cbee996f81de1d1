import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { WebSocketConnection } from '../../../src/base/websocket/connection.ts';
import { OPCODES } from '../../../src/base/websocket/frame.ts';
import { deferred, Told } from '../../fixtures/app.ts';
import { clientFrame, NO_MASK, text } from './client-frames.ts';
import { open, openPending, turns, type Opened } from './connection-stage.ts';

const FLOOD_PAYLOAD = 'p'.repeat(125);

const FLOOD = Buffer.concat(
  Array.from({ length: 4_000 }, () => clientFrame(OPCODES.ping, FLOOD_PAYLOAD, { mask: NO_MASK })),
);

const FLOODS = 40;

const FLOOD_BYTES = FLOODS * FLOOD.length;

/**
 * A connection whose peer reads nothing, and sends more pings than the system can hold with their
 * pongs.
 */
async function openFlooded(t: TestContext): Promise<Opened> {
  const opened = await open(t);
  opened.peer.socket.pause();
  for (let count = 0; count < FLOODS; count++) opened.peer.socket.write(FLOOD);
  return opened;
}

interface Pings {
  /** The interval of each timer that was set. */
  readonly pauses: readonly number[];
  readonly isUnref: () => boolean;
  readonly isCleared: () => boolean;
  readonly tick: () => void;
}

/** Makes connections ping when the test says so. */
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

describe('WebSocketConnection, under back-pressure,', { timeout: 20_000 }, () => {
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

  it('delivers one text at a time, even those in one chunk', async (t) => {
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

  it('makes a sender wait while there is no room, and go on when there is', async (t) => {
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

  it('destroys the connection of a peer that does not read, once beyond the limit', async (t) => {
    const { connection, peer, socket, closes } = await open(t, { maxUnsentBytes: 300_000 });
    peer.socket.pause();
    const senders = [connection.send('x'.repeat(65_536))];
    // what the system accepts is no longer unsent
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

  it('sends a message longer than the limit to a peer that reads', async (t) => {
    const { connection, peer } = await open(t);
    const message = 'x'.repeat(4 * 1_048_576);
    assert.equal(await connection.send(message), true);
    assert.equal((await peer.next()).length, 'text '.length + message.length);
  });

  it('stops reading a peer that sends many pings and reads no pongs, then goes on', async (t) => {
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

  it('answers the pings in a chunk with one system call', () => {
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

describe('a WebSocketConnection', { timeout: 20_000 }, () => {
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

  it('does not ping when the interval is 0', async (t) => {
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

  it('destroys the connection of a peer that sends nothing, and counts it as lost', async (t) => {
    const pings = pingsByHand(t);
    const { peer, closes } = await open(t, { pingIntervalMs: 10 });
    pings.tick();
    assert.equal(await peer.next(), 'ping');
    pings.tick();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
    await peer.closed;
  });

  it('does not give up a peer while not reading from it', async (t) => {
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

  it('does not give up a peer that sends many pings, then reads the pongs', async (t) => {
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

  it('destroys the connection of a peer that only sends pings for a whole interval', async (t) => {
    const pings = pingsByHand(t);
    const { socket, closes } = await openFlooded(t);
    while (!socket.isPaused()) await turns(1);
    pings.tick();
    assert.deepEqual(closes.all, []);
    pings.tick();
    assert.deepEqual(await closes.next(), { code: 1006, reason: '' });
  });
});
