import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { EventWriter } from '../../../src/base/http/event-writer.ts';
import { listen } from '../../fixtures/listen.ts';
import { Clock, Destination, tick } from './destination.ts';
import { open, stalled, type Written } from './event-writer-stage.ts';

describe('EventWriter at the end of its stream', () => {
  it('answers true when everything has been sent, and then notifies nobody', async () => {
    const { writer, ending } = open();
    writer.send('data: a\n\n');
    assert.equal(writer.finish('data: end\n\n'), true);
    assert.equal(writer.finish(), true);
    await tick();
    assert.deepEqual([ending.told, writer.unsentEvents], [[], 0]);
  });

  it('leaves the connection alone when destroyed after its end has been sent', () => {
    const { writer, destination, ending } = open();
    writer.finish();
    destination.req.socket.errored = new Error('reset while idle');
    writer.destroy();
    assert.deepEqual([destination.calls, ending.told, writer.finish()], [['end '], [], true]);
  });

  it('answers false while its last chunk waits, and reports when that has been sent', async (t) => {
    const { writer, destination, ending } = open();
    t.after(() => writer.destroy());
    destination.room = false;
    assert.equal(writer.finish('data: end\n\n'), false);
    await tick();
    assert.deepEqual(ending.told, []);
    destination.drain();
    assert.deepEqual(
      [ending.told, writer.finish(), destination.listeners_],
      [['finished'], true, 0],
    );
    writer.destroy();
    destination.close();
    assert.deepEqual(ending.told, ['finished']);
  });

  it('sends what waited and the end in one call, and reports when both are sent', (t) => {
    const { writer, destination, ending } = stalled(t);
    void writer.send('data: b\n\n');
    assert.equal(writer.finish('data: end\n\n'), false);
    assert.deepEqual(destination.calls, ['write data: a\n\n']);
    destination.drain();
    assert.deepEqual(destination.calls.slice(1), ['end data: b\n\ndata: end\n\n']);
    assert.deepEqual(
      [ending.told, writer.unsentEvents, destination.listeners_],
      [['finished'], 0, 0],
    );
  });

  it('waits once more when the end itself fills the connection', (t) => {
    const { writer, destination, ending } = stalled(t);
    writer.finish('data: end\n\n');
    destination.emit('drain'); // and it is full again
    assert.deepEqual([destination.calls.length, ending.told], [2, []]);
    destination.drain();
    assert.deepEqual(ending.told, ['finished']);
  });

  it('releases senders that are still waiting when it ends', async (t) => {
    const { writer } = stalled(t);
    const sent = writer.send('data: b\n\n');
    writer.finish();
    assert.equal(await Promise.race([sent, tick()]), false);
  });

  for (const [what, end] of [
    ['closes first', ({ destination }: Written) => destination.close()],
    ['leaves the last chunk unread', (_written: Written, clock: Clock) => clock.tick(30_000)],
  ] as const)
    it(`is cut when the client ${what}, and says how many events never left`, (t) => {
      const clock = new Clock(t);
      const written = stalled(t);
      const { writer, ending } = written;
      void writer.send('data: b\n\n');
      writer.finish('data: end\n\n'); // the end is not counted
      end(written, clock);
      assert.deepEqual(ending.told, ['destroyed']);
      assert.deepEqual([writer.unsentEvents, writer.finish()], [2, false]);
    });

  const failures: readonly (readonly [what: string, fail: (destination: Destination) => void])[] = [
    ['failed', ({ req }) => (req.socket.errored = new Error('ECONNRESET'))],
    ['was destroyed, as at the end of a shutdown', ({ req }) => (req.socket.destroyed = true)],
  ];
  for (const [what, fail] of failures) {
    it(`is cut when the response finishes because its connection ${what}`, (t) => {
      const { writer, destination, ending } = stalled(t);
      writer.finish('data: end\n\n');
      destination.emit('drain');
      fail(destination);
      destination.emit('finish'); // as Node does
      assert.deepEqual([ending.told, writer.finish()], [['destroyed'], false]);
    });
  }

  it('is cut if the client has left before the end', () => {
    const { writer, destination, ending } = open();
    destination.close();
    assert.equal(writer.finish('data: end\n\n'), false);
    assert.deepEqual(ending.told, ['destroyed']);
  });

  it('is cut when the last write fails at once', () => {
    const { writer, destination, ending } = open();
    destination.req.socket.errored = new Error('ECONNRESET');
    assert.equal(writer.send('data: a\n\n'), true);
    assert.equal(writer.finish('data: end\n\n'), false);
    assert.deepEqual([ending.told, writer.unsentEvents], [['destroyed'], 1]);
  });
});

/** The port of a server with this handler. */
async function serve(
  t: TestContext,
  handle: (response: ServerResponse) => void,
): Promise<number> {
  const server = createServer((_message, response) => handle(response));
  return (await listen(server, t)).port;
}

/** A request on a connection from which nothing is read until the test resumes it. */
function unread(t: TestContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1')
    .on('error', () => undefined)
    .pause();
  t.after(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  return socket;
}

/** More than the kernel takes for a connection from which nobody reads. */
const TOO_MUCH = `data: ${'x'.repeat(16 * 1_048_576)}\n\n`;

/** How an HTTP response of `TOO_MUCH` ends if its client calls `act` once it has begun. */
function endingOf(t: TestContext, act: (client: Socket) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let client: Socket | undefined;
    serve(t, (response) => {
      const writer = new EventWriter(response, {}, {
        finished: () => resolve('finished'),
        destroyed: () => resolve('destroyed'),
      });
      writer.flush();
      writer.send('data: first\n\n');
      setImmediate(() => {
        void writer.send(TOO_MUCH);
        if (writer.finish('data: end\n\n')) reject(new Error('the kernel took all of it'));
        if (client !== undefined) act(client);
      });
    }).then((port) => (client = unread(t, port)), reject);
  });
}

describe('EventWriter on an HTTP response', () => {
  /**
   * How a reply that is complete at once reaches the socket: by `_write`, or gathered by
   * `_writev`.
   */
  async function writesOf(
    t: TestContext,
    write: (response: ServerResponse) => void,
  ): Promise<{ writes: string[]; text: string }> {
    const writes: string[] = [];
    const port = await serve(t, (response) => {
      const { socket } = response;
      assert.ok(socket?._writev);
      const [writeOne, writeMany] = [socket._write.bind(socket), socket._writev.bind(socket)];
      socket._write = (chunk, encoding, callback) => {
        writes.push('write');
        writeOne(chunk, encoding, callback);
      };
      socket._writev = (chunks, callback) => {
        writes.push(`writev of ${chunks.length}`);
        writeMany(chunks, callback);
      };
      write(response);
    });
    return { text: await (await fetch(`http://127.0.0.1:${port}`)).text(), writes };
  }

  // Two pieces, one of them empty, would make a turn slower.
  it('writes a reply that is complete at once in one piece: head, body and end', async (t) => {
    const { writes, text } = await writesOf(t, (response) => {
      const writer = new EventWriter(response, {
        writeHead: (length) =>
          response.writeHead(200, [
            'content-type',
            'text/event-stream',
            'content-length',
            String(length),
          ]),
      });
      writer.send('data: a\n\n');
      assert.equal(writer.finish('data: end\n\n'), true);
    });
    assert.deepEqual([writes, text], [['write'], 'data: a\n\ndata: end\n\n']);
  });

  // Node's response emits `finish` after a reset, too, and `writableFinished` is true.
  for (const [ending, what, act] of [
    ['finished', 'has read the last chunk', (client: Socket) => client.resume()],
    ['destroyed', 'resets the connection after the end',
      (client: Socket) => client.resetAndDestroy()],
  ] as const)
    it(`is ${ending} when the client ${what}`, { timeout: 5_000 }, async (t) => {
      assert.equal(await endingOf(t, act), ending);
    });

  it('is not finished by an end on a reset connection', { timeout: 5_000 }, async (t) => {
    const ended = new Promise<boolean>((resolve, reject) => {
      let client: Socket | undefined;
      serve(t, (response) => {
        const writer = new EventWriter(response);
        writer.flush();
        writer.send('data: first\n\n');
        setImmediate(() => {
          client?.resetAndDestroy();
          // The kernel learns of the reset at once, the event loop only after this callback.
          setImmediate(() => {
            const until = performance.now() + 20;
            while (performance.now() < until);
            resolve(writer.finish('data: end\n\n'));
          });
        });
      }).then((port) => (client = unread(t, port)), reject);
    });
    assert.equal(await ended, false);
  });
});
