import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import { readBody, readText } from '../../src/base/abortable-body.ts';
import { within } from '../fixtures/app.ts';
import { collectGarbage } from '../fixtures/garbage.ts';
import { listen } from '../fixtures/listen.ts';

interface Stage {
  readonly url: string;
  /** The response that the server has begun, with one byte of it sent. */
  readonly response: Promise<ServerResponse>;
}

async function serveOneByte(t: TestContext): Promise<Stage> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200).write('1');
    server.emit('begun', response);
  });
  const response = once(server, 'begun').then(([begun]) => begun as ServerResponse);
  return { url: (await listen(server, t)).origin, response };
}

/**
 * A function of its own: in the caller a reference would keep the response from being collected.
 */
async function post(
  url: string,
  signal: AbortSignal,
): Promise<AsyncGenerator<Uint8Array, void, undefined>> {
  return readBody(await fetch(url, { method: 'POST', body: '{}', signal }), signal);
}

describe('readBody', () => {
  // On Node 20.20 and 22 a POST's body went on for ever: fetch forgot its signal at the first
  // garbage collection.
  it("ends with the signal's reason, as does the connection, even after a garbage collection", async (t) => {
    const { url, response } = await serveOneByte(t);
    const controller = new AbortController();
    const chunks = await post(url, controller.signal);
    await chunks.next();
    const closed = once(await response, 'close');
    const rest = chunks.next();
    await collectGarbage();
    controller.abort(new Error('enough'));
    await assert.rejects(within(rest, 'the end of the read'), /enough|aborted/);
    await within(closed, 'the end of the connection');
  });

  it('closes the connection when its reader stops', async (t) => {
    const { url, response } = await serveOneByte(t);
    const chunks = await post(url, new AbortController().signal);
    await chunks.next();
    const closed = once(await response, 'close');
    await chunks.return();
    await within(closed, 'the end of the connection');
  });

  it('yields nothing for an answer without a body', async () => {
    assert.deepEqual(await readBody(new Response(null), new AbortController().signal).next(), {
      done: true,
      value: undefined,
    });
  });

  it('rejects if the signal has already fired', async () => {
    await assert.rejects(
      readBody(new Response('late'), AbortSignal.abort(new Error('enough'))).next(),
      /enough/,
    );
  });
});

describe('readText', () => {
  const never = new AbortController().signal;
  const chunked = (...chunks: string[]): Response =>
    new Response(
      ReadableStream.from(chunks.map((chunk) => Buffer.from(chunk))) as ReadableStream<Uint8Array>,
    );

  it('reads all of a body of exactly the limit, and cuts a longer one', async () => {
    assert.equal(await readText(chunked('ab', 'cd'), never, 4), 'abcd');
    assert.equal(await readText(chunked('ab', 'cde', 'f'), never, 4), 'abcd');
    assert.equal(await readText(chunked('abcdef'), never, 4), 'abcd');
  });

  it('joins a character that is split across two chunks', async () => {
    const [first = 0, ...rest] = Buffer.from('é');
    const body = ReadableStream.from([Uint8Array.of(first), Uint8Array.from(rest)]);
    assert.equal(await readText(new Response(body as ReadableStream<Uint8Array>), never, 4), 'é');
  });

  it('stops reading at the limit', async () => {
    let given = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        given += 1;
        controller.enqueue(Buffer.from('ab'));
      },
    });
    assert.equal(await readText(new Response(endless), never, 4), 'abab');
    assert.ok(given < 10, String(given));
  });
});
