import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';

import { BodyBudget, hasUnreadBody, readRawBody } from '../../src/http/body.ts';
import { WholeRequest } from '../../src/http/whole-request.ts';
import { deferred, RawConnection } from '../fixtures/kernel.ts';

type Serve = (request: WholeRequest, response: ServerResponse) => void;

/**
 * A connection to a server that serves every request when it is whole, and a promise that it served
 * the first.
 */
async function open(
  t: TestContext,
  serve: Serve,
): Promise<{ client: RawConnection; served: Promise<void> }> {
  const served = deferred();
  const server = createServer({ IncomingMessage: WholeRequest }, (request, response) => {
    request.whenWhole(() => {
      serve(request, response);
      served.resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = await RawConnection.open((server.address() as AddressInfo).port);
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { client, served: served.promise };
}

const HEAD = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n';

/** Answers with what it found when it was served, and with the body when that had come. */
const answer: Serve = (request, response) => {
  const isUnread = hasUnreadBody(request);
  const read = readRawBody(request, 100, new BodyBudget(100));
  const found = read instanceof Promise ? 'later' : 'at once';
  void Promise.resolve(read).then((body) =>
    response.end(`[${found}, ${isUnread ? 'unread' : 'read'}: ${body.toString()}]`),
  );
};

async function readAll(request: WholeRequest): Promise<void> {
  for await (const chunk of request) assert.fail(`the body was taken, but here is ${chunk}`);
}

describe('WholeRequest', () => {
  it('has its body at once when that came with the head', async (t) => {
    const { client } = await open(t, answer);
    await client.send(`${HEAD}hello`).until(/\[at once, read: hello\]/);
  });

  it('is served before its body where that comes later', async (t) => {
    const { client, served } = await open(t, answer);
    client.send(HEAD);
    await served;
    await client.send('hello').until(/\[later, unread: hello\]/);
  });

  it('is served before the rest of a body that comes in pieces', async (t) => {
    const { client, served } = await open(t, answer);
    client.send(`${HEAD}he`);
    await served;
    await client.send('llo').until(/\[later, unread: hello\]/);
  });

  it('reads a chunked body, whose length nobody knows before its end', async (t) => {
    const { client } = await open(t, answer);
    await client
      .send(
        'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
      )
      .until(/: hello\]/);
  });

  it('gives every request of a pipeline its own body', async (t) => {
    const { client } = await open(t, answer);
    await client
      .send(`${HEAD}first${HEAD}other`)
      .until(/\[at once, read: first\][^]*\[at once, read: other\]/);
  });

  it('serves one request of a connection after another, each once', async (t) => {
    const bodies: string[] = [];
    const { client } = await open(t, (request, response) => {
      bodies.push(String(request.takeBody()));
      response.end(`[${bodies.length}]`);
    });
    for (const body of ['one..', 'two..', 'three'])
      await client.send(HEAD + body).until(new RegExp(`\\[${bodies.length + 1}\\]`));
    assert.deepEqual(bodies, ['one..', 'two..', 'three']);
  });

  it('is a stream like any other for whoever does not take the body', async (t) => {
    const { client } = await open(t, (request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => response.end(`[streamed: ${text}]`));
    });
    await client.send(`${HEAD}hello`).until(/\[streamed: hello\]/);
  });

  it('keeps the body for whoever asks when it has been served', async (t) => {
    const { client } = await open(t, (request, response) => {
      setImmediate(() => answer(request, response));
    });
    await client.send(`${HEAD}hello`).until(/\[later, read: hello\]/);
  });

  it('hands its body out once', async (t) => {
    const { client } = await open(t, (request, response) => {
      response.end(`[${[request.takeBody(), request.takeBody()].join(' and ')}]`);
    });
    await client.send(`${HEAD}hello`).until(/\[hello and \]/);
  });

  describe('whose body was taken, as a stream', () => {
    /** Each lets the promise be fulfilled when the stream has ended. */
    const waysToListen: Record<string, (request: WholeRequest) => Promise<unknown>> = {
      end: (request) => new Promise((resolve) => request.on('end', resolve)),
      close: (request) => new Promise((resolve) => request.addListener('close', resolve)),
      'once end': (request) => once(request, 'end'),
      finished: (request) => finished(request),
      'async iteration': readAll,
      resume: (request) => new Promise((resolve) => request.once('end', resolve).resume()),
    };

    for (const [name, listen] of Object.entries(waysToListen)) {
      it(`ends for who listened before it was whole: ${name}`, async (t) => {
        const { client } = await open(t, (request, response) => {
          request.takeBody();
          void listen(request).then(() => response.end('[ended]'));
        });
        await client.send(`${HEAD}hello`).until(/\[ended\]/);
      });
    }

    /** Answers in the next round, when the body has ended, and then looks at the request. */
    async function lookAt(
      t: TestContext,
      look: (request: WholeRequest) => unknown,
      whenServed: (request: WholeRequest) => unknown = () => undefined,
    ): Promise<unknown> {
      const seen = deferred<unknown>();
      const { client } = await open(t, (request, response) => {
        request.takeBody();
        whenServed(request);
        response.on('finish', () => setImmediate(() => seen.resolve(look(request))));
        setImmediate(() => response.end('[answered]'));
      });
      await client.send(`${HEAD}hello`).until(/\[answered\]/);
      return seen.promise;
    }

    /** What a stream shows of its end, and its own record of it. */
    function endOf(request: WholeRequest): Record<string, unknown> {
      const { readable, readableEnded, destroyed, closed, readableAborted, errored } = request;
      const { ended, endEmitted, closeEmitted } = Reflect.get(request, '_readableState') as Record<
        string,
        unknown
      >;
      const shown = { readable, readableEnded, destroyed, closed, readableAborted, errored };
      return { ...shown, ended, endEmitted, closeEmitted };
    }

    it('looks the same without a listener as one that has ended for a listener', async (t) => {
      const listen = (request: WholeRequest): unknown => request.on('end', () => undefined);
      assert.deepEqual(await lookAt(t, endOf), await lookAt(t, endOf, listen));
    });

    for (const [name, wait] of Object.entries({ finished, 'async iteration': readAll })) {
      it(`is over for who waits for it later: ${name}`, { timeout: 3_000 }, async (t) => {
        await lookAt(t, wait);
      });
    }

    it('tells a late listener nothing, as it has ended before', async (t) => {
      const told: string[] = [];
      await lookAt(t, (request) => {
        for (const event of ['end', 'close', 'error']) request.on(event, () => told.push(event));
        return new Promise((resolve) => setImmediate(resolve));
      });
      assert.deepEqual(told, []);
    });

    it('serves the next request of the connection', async (t) => {
      const { client } = await open(t, (request, response) => {
        const body = String(request.takeBody());
        setImmediate(() => response.end(`[${body}]`));
      });
      await client.send(`${HEAD}hello`).until(/\[hello\]/);
      await client.send(`${HEAD}again`).until(/\[again\]/);
    });

    it('stays what it was when the caller leaves during the answer', async (t) => {
      const closed = deferred<WholeRequest>();
      const { client, served } = await open(t, (request, response) => {
        request.takeBody();
        response.on('close', () => setImmediate(() => closed.resolve(request)));
        setImmediate(() => response.write('begun'));
      });
      await client.send(`${HEAD}hello`).until(/begun/);
      await served;
      client.destroy();
      const { errored, readableAborted } = await closed.promise;
      assert.deepEqual([errored, readableAborted], [null, false]);
    });
  });
});

describe('readRawBody', () => {
  it('refuses more than its limit where the body came with the head', async (t) => {
    const { client } = await open(t, (request, response) => {
      Promise.resolve(readRawBody(request, 4, new BodyBudget(100))).catch(
        ({ status }: { status: number }) => response.end(`[${status}]`),
      );
    });
    await client.send(`${HEAD}hello`).until(/\[413\]/);
  });
});
