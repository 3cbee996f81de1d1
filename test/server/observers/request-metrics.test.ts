import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  deferred,
  fired,
  messageEvent,
  rawRequest,
  serve,
  until,
  within,
} from '../../fixtures/app.ts';

describe('http_requests_total', () => {
  it('counts under "none" a request whose client left before an answer began', async (t) => {
    const begun = deferred();
    const { metric, raw } = serve(t, {
      async onMessage({ signal }) {
        begun.resolve();
        await fired(signal);
      },
    });
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    await within(begun.promise, 'the agent to be asked');
    assert.equal(metric('http_requests_total{method="POST",status="none"}'), 0);
    connection.socket.destroy();
    const count = (): number => metric('http_requests_total{method="POST",status="none"}');
    await until(() => count() === 1, 'the request to be counted');
  });

  it('counts a stream that was cut short under the status that it began with', async (t) => {
    const { client, metric, interrupted } = serve(t, {
      async *onMessage({ signal }) {
        yield 'One.';
        await fired(signal);
      },
    });
    (await client.say('Hello?')).drop();
    await interrupted.next();
    const count = (): number => metric('http_requests_total{method="POST",status="200"}');
    await until(() => count() === 1, 'the request to be counted');
  });

  it('counts each method under its name, and any other under "other": clients must not add labels', async (t) => {
    const { client, metric } = serve(t, {});
    const methods = ['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'];
    for (const method of methods) {
      const { status } = await fetch(`${await client.origin()}/nothing`, { method });
      const counted = method === 'PROPFIND' ? 'other' : method;
      assert.equal(metric(`http_requests_total{method="${counted}",status="${status}"}`), 1);
    }
  });
});
