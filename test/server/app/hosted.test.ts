// Hosts without connections make requests and responses of their own and pass them to `app.handle`,
// as serverless-http does. Where Node has a socket, these have none.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { signPayload } from '../../../src/core/wires/layercode/signature.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { deferred, within } from '../../fixtures/app.ts';
import { messageEvent, SECRET, settingsWith } from '../../fixtures/kernel.ts';

class HostedRequest extends IncomingMessage {
  constructor(method: string, url: string, headers: Record<string, string>, body: string) {
    super(undefined as unknown as Socket);
    const version = { httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 };
    Object.assign(this, { method, url, headers, complete: true, ...version });
    this.push(body);
    this.push(null);
  }

  override _read(): void {} // everything is here already
}

class HostedResponse extends ServerResponse {
  #text = '';

  constructor(method: string) {
    super({ method, httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage);
    const target = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#text += chunk.toString();
        done();
      },
    });
    this.assignSocket(target as Socket);
  }

  /** Status line, headers and body. */
  async text(): Promise<string> {
    if (!this.writableFinished) await once(this, 'finish');
    return this.#text;
  }
}

/** What the app answers, the request's context, and how its response closes. */
async function ask(
  t: TestContext,
  method: string,
  url: string,
  body = '',
): Promise<{ text: string; context: Context | undefined; isClosed: Promise<boolean> }> {
  const agent = defineAgent({
    name: 'hosted',
    async *onMessage({ signal }) {
      yield 'Yes,';
      await new Promise((resolve) => setImmediate(resolve));
      yield signal.aborted ? ' but you left.' : ' indeed.';
    },
  });
  let context: Context | undefined;
  const closed = deferred<boolean>();
  const app = createApp(settingsWith(), agent).use((given, next) => {
    context = given;
    context.onClose(closed.resolve);
    return next();
  });
  t.after(() => app.close());
  const headers = {
    host: 'voice.example',
    'content-type': 'application/json',
    'content-length': String(body.length),
    'layercode-signature': signPayload(body, SECRET),
  };
  const response = new HostedResponse(method);
  app.handle(new HostedRequest(method, url, headers, body), response);
  return { text: await response.text(), context, isClosed: closed.promise };
}

describe('app.handle, for a host without connections,', () => {
  it('answers a turn, and then closes the context, as finished', async (t) => {
    const { text, isClosed } = await ask(t, 'POST', '/api/agent', messageEvent());
    assert.match(text, /^HTTP\/1\.1 200 OK[^]*"Yes,"[^]*" indeed\."[^]*"response\.end"/);
    assert.equal(await within(isClosed, 'its close'), true);
  });

  it('knows the URL of the request, but no client address', async (t) => {
    const { context, text } = await ask(t, 'GET', '/health?a=b');
    assert.match(text, /^HTTP\/1\.1 200 OK[^]*"healthy"/);
    assert.deepEqual(
      [context?.url.href, context?.clientAddress],
      ['http://voice.example/health?a=b', ''],
    );
  });
});
