import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { ResponseClose } from '../../../src/base/http/response-close.ts';
import { deferred, within } from '../../fixtures/app.ts';
import { connectTo } from '../../fixtures/connect-to.ts';

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

/** A client, and the responses to its requests as they come. */
async function open(t: TestContext, requests = 1) {
  const responses: ServerResponse[] = [];
  const arrived = deferred();
  const server = createServer((_request, response) => {
    responses.push(response);
    if (responses.length === requests) arrived.resolve();
  });
  const client = await connectTo(t, server);
  client.send(GET.repeat(requests));
  await arrived.promise;
  const [response] = responses;
  assert.ok(response !== undefined);
  return { client, response, responses };
}

interface Heard {
  readonly isFinished: boolean;
  readonly owner: string;
  readonly subject: number;
}

/** Resolves with what a listener is told; rejects if it is told nothing for a second. */
function told(close: ResponseClose<string>): Promise<Heard> {
  return within(
    new Promise((resolve) => {
      close.add((isFinished, owner, subject: number) => resolve({ isFinished, owner, subject }), 7);
    }),
    'to be told',
    1_000,
  );
}

describe('ResponseClose', () => {
  it('reports a finished response, with the owner and the subject', async (t) => {
    const { response } = await open(t);
    const heard = told(new ResponseClose(response, 'owner'));
    response.end('x');
    assert.deepEqual(await heard, { isFinished: true, owner: 'owner', subject: 7 });
  });

  it('reports a client that left', async (t) => {
    const { response, client } = await open(t);
    const heard = told(new ResponseClose(response, 'owner'));
    response.write('x');
    client.destroy();
    assert.equal((await heard).isFinished, false);
  });

  it('reports a finished response made by a host without connections', async () => {
    const response = new ServerResponse({ method: 'GET' } as IncomingMessage);
    const heard = told(new ResponseClose(response, 'owner'));
    response.assignSocket(new PassThrough() as unknown as Socket);
    response.end('x');
    assert.equal((await heard).isFinished, true);
  });

  it('calls each listener once, the latest first', async (t) => {
    const { response } = await open(t);
    const close = new ResponseClose(response, undefined);
    const steps: string[] = [];
    for (const step of ['a', 'b', 'c']) close.add(() => steps.push(step), undefined);
    response.end('x');
    await once(response, 'close');
    assert.deepEqual(steps, ['c', 'b', 'a']);
  });

  it('calls a listener once even if both the response and its connection close', async (t) => {
    const { client, responses } = await open(t, 2);
    const [first, second] = responses as [ServerResponse, ServerResponse];
    let count = 0;
    new ResponseClose(second, undefined).add(() => void (count += 1), undefined);
    first.end('x');
    await once(first, 'close'); // so the second now has the socket
    const closed = once(second, 'close');
    client.destroy();
    await closed;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(count, 1);
  });

  it('keeps one listener on the response, however many it has itself', async (t) => {
    const { response } = await open(t);
    const before = response.listenerCount('close');
    const close = new ResponseClose(response, undefined);
    for (let count = 0; count < 20; count++) close.add(() => undefined, undefined);
    assert.equal(response.listenerCount('close') - before, 1);
  });

  it('notifies a listener added after the end, in a later tick', async (t) => {
    const { response } = await open(t);
    const close = new ResponseClose(response, 'owner');
    const first = told(close);
    response.end('x');
    await first;
    let isTold = false;
    const second = told(close).then((heard) => {
      isTold = true;
      return heard;
    });
    assert.equal(isTold, false);
    assert.deepEqual(await second, { isFinished: true, owner: 'owner', subject: 7 });
  });

  for (const [what, end, isFinished] of [
    ['closed', (response: ServerResponse) => response.destroy(), false],
    ['finished', (response: ServerResponse) => response.end('x'), true],
  ] as const)
    it(`reports a response that ${what} before anybody listened`, async (t) => {
      const { response } = await open(t);
      end(response);
      await once(response, 'close');
      assert.equal((await told(new ResponseClose(response, 'owner'))).isFinished, isFinished);
    });

  it('reports a connection that closed before anybody listened to a queued response', async (t) => {
    const { client, responses } = await open(t, 2);
    const [first, second] = responses as [ServerResponse, ServerResponse];
    const closed = once(first, 'close');
    client.destroy();
    await closed;
    assert.equal((await told(new ResponseClose(second, 'owner'))).isFinished, false);
  });

  it('reports a client that leaves while a response waits in the queue', async (t) => {
    const { client, responses } = await open(t, 2);
    const heard = told(new ResponseClose(responses[1]!, 'owner'));
    client.destroy();
    assert.equal((await heard).isFinished, false);
  });

  it('leaves no listener on the socket, which may serve many more responses', async (t) => {
    const { responses } = await open(t, 3);
    const socket = responses[0]!.req.socket;
    const before = socket.listenerCount('close');
    const heard = responses.map((response) => told(new ResponseClose(response, 'owner')));
    assert.equal(socket.listenerCount('close') - before, 2);
    for (const response of responses) response.end('x');
    assert.deepEqual(
      (await Promise.all(heard)).map(({ isFinished }) => isFinished),
      [true, true, true],
    );
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(socket.listenerCount('close') <= before, String(socket.listenerCount('close')));
  });
});

describe('callerSignal', () => {
  it('fires when the client leaves before the answer is written', async (t) => {
    const { response, client } = await open(t);
    const { callerSignal } = new ResponseClose(response, undefined);
    client.destroy();
    await once(callerSignal, 'abort');
    assert.deepEqual(
      [(callerSignal.reason as Error).name, (callerSignal.reason as Error).message],
      ['AbortError', 'the caller closed the connection'],
    );
  });

  it('does not fire once the answer has been written', async (t) => {
    const { response } = await open(t);
    const close = new ResponseClose(response, 'owner');
    const { callerSignal } = close;
    const heard = told(close);
    response.end('x');
    await heard;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(callerSignal.aborted, false);
  });

  it('is always the same signal', async (t) => {
    const { response } = await open(t);
    const close = new ResponseClose(response, undefined);
    assert.equal(close.callerSignal, close.callerSignal);
  });
});
