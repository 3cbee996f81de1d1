// A body that arrives with its head, as those of most webhooks do, can be read without waiting in
// the tick after the head. An app serves its requests in that tick: see `handle`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';

import { BodyBudget } from '../../../src/base/http/body-budgets.ts';
import { readRawBody } from '../../../src/base/http/body.ts';
import { isBodyArriving } from '../../../src/base/http/unread-body.ts';
import { deferred } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';
import { RawConnection } from '../../fixtures/kernel.ts';

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * A connection to a server that serves every request in the tick after its head, and a promise that
 * resolves once it has served the first.
 */
async function open(
  t: TestContext,
  serve: Serve,
): Promise<{ client: RawConnection; served: Promise<void> }> {
  const served = deferred();
  const server = createServer((request, response) => {
    process.nextTick(() => {
      serve(request, response);
      served.resolve();
    });
  });
  const client = await connectTo(t, server);
  return { client, served: served.promise };
}

const HEAD = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n';

function read(request: IncomingMessage, maxBytes = 100): ReturnType<typeof readRawBody> {
  return readRawBody(request, maxBytes, () => new BodyBudget(100));
}

/** Answers with what it found when called, and with the body once that has arrived. */
const answer: Serve = (request, response) => {
  const isArriving = isBodyArriving(request);
  const body = read(request);
  const found = body instanceof Promise ? 'later' : 'at once';
  void Promise.resolve(body).then(
    (bytes) => response.end(`[${found}, ${isArriving ? 'arriving' : 'here'}: ${bytes.toString()}]`),
    (error: unknown) => response.end(`[${String(error)}]`),
  );
};

async function readAll(request: IncomingMessage): Promise<void> {
  for await (const chunk of request) assert.fail(`the body was read, but here is ${chunk}`);
}

describe('readRawBody, for a body that may have come with its head,', () => {
  const chunked = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';
  for (const [what, first, later, expected] of [
    ['returns a body that came with the head', `${HEAD}hello`, '', /\[at once, here: hello\]/],
    ['waits for a body that comes later', HEAD, 'hello', /\[later, arriving: hello\]/],
    ['waits for the rest of a body in pieces', `${HEAD}he`, 'llo', /\[later, arriving: hello\]/],
    [
      'waits for a chunked body, whose length nobody knows before its end',
      `${chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`, '', /\[later, arriving: hello\]/,
    ],
    [
      'returns the body of every request in a pipeline', `${HEAD}first${HEAD}other`, '',
      /\[at once, here: first\][^]*\[at once, here: other\]/,
    ],
    [
      'returns the bodies of successive requests on one connection', `${HEAD}first`,
      `${HEAD}other`, /\[at once, here: first\][^]*\[at once, here: other\]/,
    ],
  ] as const)
    it(what, async (t) => {
      const { client, served } = await open(t, answer);
      client.send(first);
      await served;
      await client.send(later).until(expected);
    });

  it('returns the body to a server that asks for it later', async (t) => {
    const { client } = await open(t, (request, response) => {
      setImmediate(() => answer(request, response));
    });
    await client.send(`${HEAD}hello`).until(/\[at once, here: hello\]/);
  });

  it('leaves the body to a layer that listens for it', async (t) => {
    const { client } = await open(t, (request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => response.end(`[${isAtOnce ? '' : 'both '}${text}]`));
      const isAtOnce = !(read(request) instanceof Promise);
    });
    await client.send(`${HEAD}hello`).until(/\[both hello\]/);
  });

  it('rejects, and says that the bytes are lost, if a layer decodes them', async (t) => {
    const { client } = await open(t, (request, response) => {
      answer(request.setEncoding('utf8'), response);
    });
    await client.send(`${HEAD}hello`).until(/\[Error: setEncoding\(\) was called/);
  });
});

describe('a request whose body has been returned', () => {
  const waysToWait: Record<string, (request: IncomingMessage) => Promise<unknown>> = {
    end: (request) => once(request, 'end'),
    close: (request) => once(request, 'close'),
    finished: (request) => finished(request),
    'async iteration': readAll,
  };

  for (const [name, wait] of Object.entries(waysToWait)) {
    it(`ends like any other: ${name}`, { timeout: 10_000 }, async (t) => {
      const { client } = await open(t, (request, response) => {
        void read(request);
        void wait(request).then(() => response.end('[ended]'));
      });
      await client.send(`${HEAD}hello`).until(/\[ended\]/);
    });
  }

  it('has ended by the next round of the event loop', async (t) => {
    const { client } = await open(t, (request, response) => {
      void read(request);
      setImmediate(() => {
        const { complete, readableEnded, destroyed, errored } = request;
        response.end(JSON.stringify({ complete, readableEnded, destroyed, errored }));
      });
    });
    await client
      .send(`${HEAD}hello`)
      .until(/{"complete":true,"readableEnded":true,"destroyed":true,"errored":null}/);
  });

  it('is not aborted when the caller leaves during the answer', async (t) => {
    const closed = deferred<IncomingMessage>();
    const { client } = await open(t, (request, response) => {
      void read(request);
      response.on('close', () => setImmediate(() => closed.resolve(request)));
      setImmediate(() => response.write('begun'));
    });
    await client.send(`${HEAD}hello`).until(/begun/);
    client.destroy();
    const { errored, readableAborted } = await closed.promise;
    assert.deepEqual([errored, readableAborted], [null, false]);
  });
});
