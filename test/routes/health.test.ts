import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve } from '../fixtures/kernel.ts';
import { version } from './version.ts';

describe('GET /health', () => {
  it("says healthy, the time and the package's version", async (t) => {
    const response = await (await serve(t)).fetch('/health');
    const { timestamp, ...rest } = (await response.json()) as { timestamp: string };
    assert.deepEqual(
      [response.status, rest, new Date(timestamp).toISOString()],
      [200, { status: 'healthy', version }, timestamp],
    );
  });

  it('is not to be cached', async (t) =>
    assert.equal(
      (await (await serve(t)).fetch('/health')).headers.get('cache-control'),
      'no-store',
    ));

  it('needs no signature', async (t) => {
    assert.equal(
      (await (await serve(t)).fetch('/health', { headers: { 'layercode-signature': 'nonsense' } }))
        .status,
      200,
    );
  });
});

describe('GET /ready', () => {
  it('says which agent answers', async (t) => {
    assert.deepEqual(await (await (await serve(t)).fetch('/ready')).json(), {
      ready: true,
      agent: 'quiet',
      model: null,
    });
  });

  it('is 503 with the reason while the server goes down', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/ready');
    const answer = await response.json();
    await closing;
    assert.deepEqual(
      [response.status, answer],
      [
        503,
        { ready: false, agent: 'quiet', model: null, reasons: ['the server is shutting down'] },
      ],
    );
  });

  it('says when to ask again', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/ready');
    await response.text();
    await closing;
    assert.deepEqual(
      [response.headers.get('retry-after'), response.headers.get('connection')],
      ['5', 'close'],
    );
  });

  it('leaves /health at 200 while the server goes down', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 0.2 } });
    const closing = served.app.close();
    const response = await served.fetch('/health');
    await response.text();
    await closing;
    assert.equal(response.status, 200);
  });
});
