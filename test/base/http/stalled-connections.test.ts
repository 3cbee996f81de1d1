// Clients that stop reading in the middle of an answer: the third attack held such connections, and
// their places among MAX_STREAMS, for as long as it liked.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createHttpServer } from '../../../src/base/http/server.ts';
import { until, within } from '../../fixtures/app.ts';
import { mockTimers, type Clock } from '../../fixtures/clock.ts';
import { asking, rawCompletion, serveCompletions } from '../../fixtures/completions.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { serve, type RawConnection } from '../../fixtures/kernel.ts';

/** More than the kernel takes for a connection. */
const ANSWER = Buffer.alloc(32 * 1_048_576);
const GET = 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n';

/** A connection with an answer, part of which waits in the process. */
async function stalled(t: TestContext): Promise<{ client: RawConnection; clock: Clock }> {
  const clock = mockTimers(t, ['setInterval']);
  let waiting = (): number => 0;
  const server = createHttpServer({
    listener: (_request, response) => {
      response.end(ANSWER);
      waiting = () => response.writableLength;
    },
    maxConnections: 1,
    takesUpgrades: false,
  });
  const client = await connectTo(t, server);
  client.socket.setTimeout(0).pause();
  client.send(GET);
  await until(() => waiting() > 0, 'bytes that wait');
  return { client, clock };
}

describe('a client that is slow to read an answer', () => {
  it('is disconnected after reading nothing for 30 s', async (t) => {
    const { client, clock } = await stalled(t);
    clock.tick(30_000);
    await new Promise((resolve) => setImmediate(resolve));
    client.socket.resume();
    await client.until(/^HTTP/); // still connected
    client.socket.pause();
    clock.tick(35_000);
    client.socket.resume();
    await within(client.closed, 'the end of the connection');
    assert.ok(client.received.length < ANSWER.length);
  });

  it('is not disconnected while it reads now and then', async (t) => {
    const { client, clock } = await stalled(t);
    while (client.received.length < ANSWER.length) {
      clock.tick(25_000);
      // Reading less might not make the kernel ask for more.
      const enough = Math.min(ANSWER.length, client.received.length + 8 * 1_048_576);
      client.socket.resume();
      await until(() => client.received.length >= enough, 'more of the answer');
      client.socket.pause();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(client.socket.destroyed, false);
  });

  it('is not disconnected while its server has nothing to send', async (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const client = await (await serve(t)).raw();
    client.send('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    await client.until(/healthy/);
    clock.tick(70_000);
    client.send('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
    await client.until(/healthy[^]*healthy/);
  });

  it('loses its place among MAX_STREAMS when it is disconnected', async (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const long = '\u0001'.repeat(1_000_000); // six bytes each in JSON
    const { raw, metric } = serveCompletions(t, { onMessage: () => long });
    const connection = await raw();
    connection.stopReading();
    connection.write(rawCompletion({ ...asking(['user: Hello?']), stream: false }));
    await until(() => metric('layercode_running_turns') === 0
      && metric('layercode_open_streams') === 1, 'a stream without a turn');
    clock.tick(35_000);
    await until(() => metric('layercode_open_streams') === 0, 'the place to be free');
  });
});
