import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UncheckedBodies } from '../../../src/base/http/body-budgets.ts';
import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { until } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { messageEvent, SECRET, serve } from '../../fixtures/kernel.ts';

interface Body {
  readonly take: (bytes: number) => boolean;
  readonly arrive: () => void;
  isEvicted: boolean;
}

/** A body that has begun to arrive, and gives its bytes back when it is given up. */
function begin(bodies: UncheckedBodies, client: string): Body {
  const share = bodies.share(client);
  let taken = 0;
  const body: Body = {
    take(bytes) {
      const isTaken = share.take(bytes);
      if (isTaken) taken += bytes;
      return isTaken;
    },
    arrive: () => share.arrived?.(),
    isEvicted: false,
  };
  share.arriving?.(() => {
    body.isEvicted = true;
    share.give(taken);
  });
  return body;
}

describe('UncheckedBodies', () => {
  it('gives up the slowest body of a client that takes more than its share', () => {
    const bodies = new UncheckedBodies(100, 10);
    const [other, first, second, third] = ['b', 'a', 'a', 'a'].map((name) => begin(bodies, name));
    for (const body of [other, first, second]) assert.equal(body?.take(5), true);
    assert.equal(third?.take(5), true);
    assert.deepEqual([other, first, second, third].map((body) => body?.isEvicted),
      [false, true, false, false]);
  });

  it('gives up the slowest body of all when everything is taken', () => {
    const bodies = new UncheckedBodies(10, 8);
    const [first, second] = [begin(bodies, 'a'), begin(bodies, 'b')];
    assert.deepEqual([first.take(5), second.take(5), begin(bodies, 'c').take(1)],
      [true, true, true]);
    assert.deepEqual([first.isEvicted, second.isEvicted], [true, false]);
  });

  it('gives up a large body before an older, small one', (t) => {
    const pass = jumpingClock(t);
    const bodies = new UncheckedBodies(100, 10);
    const small = begin(bodies, 'a');
    assert.equal(small.take(1), true);
    pass(200);
    const large = begin(bodies, 'a');
    assert.equal(large.take(9), true);
    pass(100);
    assert.equal(begin(bodies, 'a').take(5), true);
    assert.deepEqual([small.isEvicted, large.isEvicted], [false, true]);
  });

  it('gives no more to the slowest body itself, nor to one larger than the share', () => {
    const bodies = new UncheckedBodies(10, 6);
    const [first, second] = [begin(bodies, 'a'), begin(bodies, 'a')];
    assert.deepEqual([first.take(3), second.take(3), first.take(1)], [true, true, false]);
    assert.equal(begin(new UncheckedBodies(10, 6), 'a').take(7), false);
  });

  it('does not give up a body that has arrived', () => {
    const bodies = new UncheckedBodies(10, 6);
    const first = begin(bodies, 'a');
    assert.equal(first.take(6), true);
    first.arrive();
    assert.deepEqual([begin(bodies, 'a').take(1), begin(bodies, 'b').take(4)], [false, true]);
    assert.equal(first.isEvicted, false);
  });
});

const MIB = 1_048_576;

describe('bodies held back without a valid signature', () => {
  const head = (length: number, signature: string): string =>
    ['POST /api/agent HTTP/1.1', 'host: x', 'content-type: application/json',
      `content-length: ${length}`, `layercode-signature: ${signature}`, '\r\n'].join('\r\n');

  // Every signed request whose body came in a second packet used to get a 503.
  it('do not keep out a signed one that comes in two packets', async (t) => {
    const served = await serve(t);
    const held = await Promise.all(Array.from({ length: 80 }, async () => {
      const client = await served.raw();
      client.socket.setTimeout(0);
      client.send(head(MIB, signPayload('', SECRET)));
      client.send(Buffer.alloc(MIB - 1, 'x'));
      return client;
    }));
    await until(() => held.every(({ socket }) => socket.writableLength === 0), 'the bytes');
    for (let count = 0; count < 3; count++) {
      const body = messageEvent('Hello', { turn_id: `t-${count}` });
      const client = await served.raw();
      client.send(head(body.length, signPayload(body, SECRET)) + body.slice(0, 9));
      await served.fetch('/health'); // by now the first packet has been read
      client.send(body.slice(9));
      assert.match(await client.until(/response\.end/), /^HTTP\/1\.1 200/);
    }
  });
});

describe('bodies with a valid key', () => {
  it('are not limited to the 8 MiB that one client has for bodies without one', async (t) => {
    const key = 'key-of-a-platform';
    const served = await serve(t, { settings: { chatCompletionsKeys: [key] } });
    const begin = `{${' '.repeat(MIB - 100)}`;
    const end = '"messages":[{"role":"user","content":"Hi"}]}';
    const head = [
      'POST /api/agent/chat/completions HTTP/1.1', 'host: x', 'content-type: application/json',
      `content-length: ${begin.length + end.length}`, `authorization: Bearer ${key}`, '\r\n',
    ].join('\r\n');
    const clients = await Promise.all(Array.from({ length: 12 }, async () => {
      const client = await served.raw();
      client.send(head + begin);
      return client;
    }));
    await until(() => clients.every(({ socket }) => socket.writableLength === 0), 'the bytes');
    await served.fetch('/health');
    for (const client of clients) {
      client.send(end);
      assert.match(await client.until(/"finish_reason"/), /^HTTP\/1\.1 200/);
    }
  });
});
