// How to test an agent without a phone, a platform or a key:
// node --import tsx --test examples/agent.test.ts
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createApp, parseSettings } from 'layercode-microserver';
import { createTestClient, type TestClient } from 'layercode-microserver/testing';

import agent from './my-agent.ts';

const secret = 'any-secret-will-do';

function call(t: TestContext): TestClient {
  const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: secret }, []);
  const client = createTestClient(createApp(settings, agent), { secret });
  t.after(() => client.close());
  return client;
}

describe('counter', () => {
  it('welcomes the caller', async (t) => {
    assert.equal(await (await call(t).start()).text(), 'Hello! Give me a number.');
  });

  it('counts to the number that the caller says', async (t) => {
    assert.equal(await (await call(t).say('Count to 4, please.')).text(), '1, 2, 3, 4.');
  });

  it('speaks while it counts', async (t) => {
    for await (const event of await call(t).say('5')) {
      assert.deepEqual([event.type, event.content], ['response.tts', '1, ']);
      break;
    }
  });
});
