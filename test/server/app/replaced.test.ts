// An app whose place another process has taken: it keeps serving the connections it has.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

interface Bench {
  readonly app: App;
  readonly port: number;
  /** Status and connection header of an answer over the one connection, which is kept alive. */
  ask(path: string): Promise<readonly (string | number | undefined)[]>;
}

async function open(t: TestContext): Promise<Bench> {
  const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_replaced' }, []);
  const app = createApp(settings, { name: 'mine', onMessage: ({ text }) => text });
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return {
    app,
    port,
    async ask(path) {
      const url = `http://127.0.0.1:${port}${path}`;
      const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'close');
      return [response.statusCode, response.headers.connection];
    },
  };
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const error = await once(socket, 'connect').then(() => undefined, (reason: unknown) => reason);
  socket.destroy();
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

describe('an app that has been replaced', () => {
  it('serves its existing connections as usual, and accepts no new ones', async (t) => {
    const { app, port, ask } = await open(t);
    assert.deepEqual(await ask('/ready'), [200, 'keep-alive']);
    const closed = app.close({ isReplaced: true });
    assert.equal(await isRefused(port), true);
    assert.deepEqual(await ask('/ready'), [200, 'close']);
    await closed;
  });

  it('takes no longer than any other app when it is told to close', async (t) => {
    const { app, ask } = await open(t);
    assert.deepEqual(await ask('/health'), [200, 'keep-alive']);
    const closed = app.close({ isReplaced: true });
    await app.close();
    await closed;
  });
});
