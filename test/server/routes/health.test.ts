import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve } from '../../fixtures/kernel.ts';
import { version } from './version.ts';

describe('GET /health', () => {
  it("reports the server's health, the time and the package's version", async (t) => {
    const response = await (await serve(t)).fetch('/health');
    const { timestamp, ...rest } = (await response.json()) as { timestamp: string };
    assert.deepEqual(
      [response.status, rest, new Date(timestamp).toISOString()],
      [200, { status: 'healthy', version }, timestamp],
    );
    assert.equal(response.headers.get('cache-control'), 'no-store');
  });
});

describe('GET /ready', () => {
  it('says which agent answers', async (t) => {
    const answer = await (await (await serve(t)).fetch('/ready')).json();
    assert.deepEqual(answer, { ready: true, agent: 'quiet', model: null });
  });

  it('answers 503 with the reason during a shutdown, while /health stays at 200', async (t) => {
    const served = await serve(t, { settings: { drainDelaySeconds: 1 } });
    const closing = served.app.close();
    const response = await served.fetch('/ready');
    const answer = await response.json();
    const { status } = await served.fetch('/health');
    await closing;
    const reasons = ['the server is shutting down'];
    assert.deepEqual(answer, { ready: false, agent: 'quiet', model: null, reasons });
    const names = ['retry-after', 'connection'];
    assert.deepEqual(names.map((name) => response.headers.get(name)), ['5', 'close']);
    assert.deepEqual([response.status, status], [503, 200]);
  });
});
