// What a start must not pay for. Times are the bench's; this is what they hang on.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { createTestClient } from '../../src/test-client.ts';
import { SECRET, Workplace } from '../fixtures/spawned-server.ts';

let workplace: Workplace;
beforeEach(() => {
  workplace = new Workplace();
});
afterEach(() => workplace.clear());

/** Names a module of Node where the process has loaded it, and says `none` where it has not. */
const AGENT = `export default {
  name: 'loaded',
  onMessage: ({ text }) => process.moduleLoadList.find((name) => name.endsWith(text)) ?? 'none',
};`;

describe('the server in production', { timeout: 20_000 }, () => {
  it('answers turns without having loaded undici', async () => {
    workplace.write('agent.mjs', AGENT);
    const server = workplace.spawn({
      env: { NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: './agent.mjs' },
    });
    const caller = createTestClient(await server.url(), { secret: SECRET });
    const loaded = async (name: string): Promise<string> => (await caller.say(name)).text();
    assert.equal(await loaded('_http_server'), 'NativeModule _http_server');
    assert.equal(await loaded('undici/undici'), 'none');
  });
});
