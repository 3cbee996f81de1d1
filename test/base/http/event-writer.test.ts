import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { EventWriter } from '../../../src/base/http/event-writer.ts';
import { Clock, Destination, tick } from './destination.ts';
import { open, stalled, type Written } from './event-writer-stage.ts';

describe('EventWriter', () => {
  it('holds what is sent until its creator has flushed once', async () => {
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

  it('writes the events and comments of one tick as one chunk', async () => {
    const { writer, destination } = open();
    writer.send('data: a\n\n');
    writer.sendComment(': \n\n');
    writer.send('data: b\n\n');
    assert.deepEqual(destination.calls, []);
    await tick();
    assert.deepEqual(destination.calls, ['write data: a\n\n: \n\ndata: b\n\n']);
  });

  it('writes an event before the next round of the event loop', async () => {
    const { writer, destination } = open();
    writer.send('data: a\n\n');
    await new Promise((resolve) => process.nextTick(resolve));
    assert.deepEqual(destination.calls, ['write data: a\n\n']);
  });

  it('ends without a flush, sending the last events and the end in one call', () => {
    const destination = new Destination();
    const writer = new EventWriter(destination);
    writer.send('data: a\n\n');
    writer.finish('data: end\n\n');
    assert.deepEqual(destination.calls, ['end data: a\n\ndata: end\n\n']);
  });

  it('ends once, accepts nothing from then on, and never throws', async () => {
    const { writer, destination } = open();
    writer.finish('data: end\n\n');
    writer.finish('data: end\n\n');
    assert.deepEqual([writer.send('data: a\n\n'), writer.isOpen], [false, false]);
    await tick();
    writer.finish();
    assert.deepEqual(destination.calls, ['end data: end\n\n']);
  });

  it('tells the head how long a complete body is, and passes both on in one piece', () => {
    const destination = new Destination();
    const lengths: (number | undefined)[] = [];
    const writer = new EventWriter(destination, { writeHead: (length) => lengths.push(length) });
    writer.send('data: é\n\n');
    writer.finish('data: end\n\n');
    assert.deepEqual(lengths, [Buffer.byteLength('data: é\n\ndata: end\n\n')]);
    assert.deepEqual(destination.calls, [
      'cork',
      'write data: é\n\ndata: end\n\n',
      'uncork',
      'end ',
    ]);
  });

  it('asks for the head once, and gives no length when more is to come', () => {
    const lengths: (number | undefined)[] = [];
    const { writer } = open({ writeHead: (length) => lengths.push(length) });
    writer.send('data: a\n\n');
    writer.flush();
    writer.finish('data: end\n\n');
    assert.deepEqual(lengths, [undefined]);
  });

  it('is cut when its head cannot be written, and throws the reason once', async () => {
    const { writer, ending } = open({
      writeHead() {
        throw new Error('no head');
      },
    });
    writer.send('data: a\n\n');
    assert.throws(() => writer.flush(), /no head/);
    await tick();
    assert.deepEqual([ending.told, writer.isOpen], [['destroyed'], false]);
  });

  it('counts events as unsent until the response accepts them, but never comments', async () => {
    const { writer } = open();
    writer.send('data: a\n\n');
    writer.sendComment(': \n\n');
    writer.send('data: b\n\n');
    assert.equal(writer.unsentEvents, 2);
    await tick();
    assert.equal(writer.unsentEvents, 0);
  });

  it('answers false when the client has left, and drops what it still holds', async () => {
    const { writer, destination } = open();
    assert.equal(writer.send('data: a\n\n'), true);
    destination.close();
    assert.deepEqual([writer.isOpen, writer.send('data: b\n\n')], [false, false]);
    await tick();
    assert.deepEqual(destination.calls, []);
  });

  it('is destroyed once, and accepts nothing from then on', () => {
    const { writer, destination, ending } = open();
    writer.destroy();
    writer.destroy();
    assert.equal(writer.send('data: a\n\n'), false);
    assert.equal(writer.finish(), false);
    assert.deepEqual([destination.calls, ending.told], [['destroy'], ['destroyed']]);
  });

  it('adds no listener and no timer while there is room', async (t) => {
    const clock = new Clock(t);
    const { writer, destination } = open();
    for (let count = 0; count < 30; count++) {
      writer.send('data: a\n\n');
      await tick();
    }
    writer.finish();
    assert.deepEqual([destination.listeners_, clock.timers], [0, 0]);
  });

  it('passes a burst on in pieces, so that a waiting sender meets back-pressure', () => {
    const { writer, destination } = open();
    destination.room = false;
    let answer: unknown = true;
    for (let count = 0; answer === true && count < 100; count++)
      answer = writer.send(`data: ${'x'.repeat(1_000)}\n\n`);
    assert.ok(answer instanceof Promise);
    writer.destroy();
  });

  it('counts the bytes of each event once', async (t) => {
    // It used to count the whole queue for each event: 9,000 tokens in a tick blocked it for 3 s.
    let counted = 0;
    const byteLength = Buffer.byteLength.bind(Buffer);
    t.mock.method(Buffer, 'byteLength', (text: string) => {
      counted += text.length;
      return byteLength(text);
    });
    const { writer } = open();
    const block = `data: ${'x'.repeat(100)}\n\n`;
    for (let count = 0; count < 1_000; count++) void writer.send(block);
    await tick();
    assert.deepEqual([counted, writer.bytesWritten], [1_000 * block.length, 1_000 * block.length]);
  });
});

describe('EventWriter without room', () => {
  it('answers with a promise, which resolves to true when there is room again', async (t) => {
    const { writer, destination } = stalled(t);
    const sent = writer.send('data: b\n\n');
    assert.ok(sent instanceof Promise);
    let isSettled = false;
    void sent.then(() => (isSettled = true));
    await tick();
    assert.deepEqual([isSettled, destination.calls], [false, ['write data: a\n\n']]);
    destination.drain();
    assert.equal(await sent, true);
    assert.deepEqual(destination.calls.slice(1), ['write data: b\n\n']);
    assert.equal(writer.send('data: c\n\n'), true);
  });

  it('writes all that waited as one chunk, in order, and answers each sender', async (t) => {
    const { writer, destination } = stalled(t);
    const sent: unknown[] = [];
    for (const data of ['b', 'c', 'd']) {
      sent.push(writer.send(`data: ${data}\n\n`));
      await tick();
    }
    destination.drain();
    assert.deepEqual(await Promise.all(sent), [true, true, true]);
    assert.deepEqual(destination.calls.slice(1), ['write data: b\n\ndata: c\n\ndata: d\n\n']);
  });

  it('keeps senders waiting when the connection fills up again at once', async (t) => {
    const { writer, destination } = stalled(t);
    const sent = writer.send('data: b\n\n');
    destination.emit('drain'); // and it is full again
    assert.equal(await Promise.race([sent, tick()]), undefined);
    destination.drain();
    assert.equal(await sent, true);
  });

  it('answers false to waiting senders when the client leaves or it is destroyed', async (t) => {
    for (const cut of [
      ({ destination }: Written) => destination.close(),
      ({ writer }: Written) => writer.destroy(),
    ]) {
      const written = stalled(t);
      const sent = written.writer.send('data: b\n\n');
      cut(written);
      assert.equal(await sent, false);
      await tick();
      assert.deepEqual(
        written.destination.calls.filter((call) => call !== 'destroy'),
        ['write data: a\n\n'],
      );
      assert.deepEqual(written.ending.told, ['destroyed']);
    }
  });

  it('listens for room and for the close once, however many wait, and only while they do', async (t) => {
    const releases = [
      ({ destination }: Written) => destination.drain(),
      ({ destination }: Written) => destination.close(),
      ({ writer }: Written) => writer.destroy(),
    ];
    for (const release of releases) {
      const written = stalled(t);
      for (let count = 0; count < 30; count++) void written.writer.send('data: b\n\n');
      assert.equal(written.destination.listeners_, 2);
      release(written);
      await tick();
      assert.equal(written.destination.listeners_, 0);
    }
  });

  it('counts as unsent what waits, and the chunk that filled the connection', (t) => {
    const { writer, destination } = stalled(t);
    void writer.send('data: b\n\n');
    void writer.send('data: c\n\n');
    assert.equal(writer.unsentEvents, 3);
    destination.drain();
    assert.equal(writer.unsentEvents, 0);
  });

  it('disconnects a client that reads nothing for 30 s', (t) => {
    const clock = new Clock(t);
    const { destination, ending, writer } = stalled(t);
    clock.tick(29_999);
    assert.equal(destination.destroyed, false);
    clock.tick(1);
    assert.deepEqual(
      [destination.destroyed, ending.told, writer.send('data: b\n\n')],
      [true, ['destroyed'], false],
    );
    assert.deepEqual([destination.listeners_, clock.timers], [0, 0]);
  });

  it('restarts its timer on each drain, and stops it once there is room', (t) => {
    const clock = new Clock(t);
    const { destination, writer } = stalled(t, { stallTimeoutMs: 1_000 });
    for (let round = 0; round < 5; round++) {
      void writer.send('data: b\n\n');
      clock.tick(999);
      destination.emit('drain'); // and it is full again with what waited
    }
    assert.equal(writer.isOpen, true);
    destination.drain();
    clock.tick(10_000);
    assert.equal(writer.isOpen, true);
  });

  it('restarts its timer when part of a chunk is read, even if no drain comes', (t) => {
    // A client that needed more than 30 s for one chunk used to be cut off in the middle of it.
    const clock = new Clock(t);
    const { destination } = stalled(t, { stallTimeoutMs: 1_000 });
    for (let round = 0; round < 5; round++) {
      destination.readSome();
      clock.tick(1_000);
    }
    assert.equal(destination.destroyed, false);
    clock.tick(1_000);
    assert.equal(destination.destroyed, true);
  });

  it('does not blame the client while an earlier response on the connection is under way', (t) => {
    const clock = new Clock(t);
    const { destination } = stalled(t, { stallTimeoutMs: 1_000 });
    destination.socket = null;
    for (let round = 0; round < 5; round++) clock.tick(1_000);
    assert.equal(destination.destroyed, false);
    destination.socket = destination.req.socket;
    clock.tick(1_000);
    assert.equal(destination.destroyed, true);
  });
});
