// A tool that hands over late, while the caller already goes on in another process.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Channel } from '../../../src/base/channel.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { handOver } from '../../../src/core/tools/tool-hand-over.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createTestClient, type TestClient } from '../../../src/kit/test-client.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { deferred } from '../../fixtures/app.ts';
import { recordLog, SECRET, settingsWith } from '../../fixtures/kernel.ts';
import { Post } from '../../fixtures/post.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';

interface Shops {
  readonly a: TestClient;
  readonly b: TestClient;
  /** The tool in process `a` is running. */
  readonly begun: Promise<void>;
  /** Lets the tool hand over. */
  handsOver(): void;
  /** Shuts process `a` down. */
  replaced(): Promise<unknown>;
}

/** Two processes with the agents "shop" and "desk". In `a`, the shop hands over when released. */
function shops(t: TestContext, channels: { a?: Channel; b?: Channel } = {}): Shops {
  const shared: SharedParts = new Map();
  const [begun, gate] = [deferred(), deferred()];
  const pass = tool({
    name: 'pass',
    description: 'Hands over.',
    parameters: { type: 'object', properties: {} },
    whenInterrupted: 'finish',
    async run() {
      begun.resolve();
      await gate.promise;
      return handOver('desk');
    },
  });
  let close = (): Promise<unknown> => assert.fail('not open');
  const open = (name: 'a' | 'b'): TestClient => {
    const model = scriptedModel(name === 'a' ? [{ call: 'pass', args: {} }] : ['Shop.', 'Shop.']);
    const shop = defineAgent({ name: 'Shop', prompt: 'You sell.', tools: [pass], model });
    const desk = defineAgent({ name: 'Desk', onMessage: () => 'Desk.' });
    const store = sharing(new PartsInMemory(shared, { isSlow: true }), { timeoutMs: 5_000 });
    const channel = channels[name];
    const app = createApp(settingsWith(), { shop, desk }, {
      log: recordLog().log, store, ...(channel === undefined ? {} : { channel }),
    });
    if (name === 'a') close = () => app.close();
    const client = createTestClient(app, { secret: SECRET, conversationId: 'c' });
    t.after(() => client.close());
    return client;
  };
  return {
    a: open('a'), b: open('b'), begun: begun.promise,
    handsOver: () => gate.resolve(),
    replaced: () => close(),
  };
}

async function says(client: TestClient, words: string): Promise<string> {
  return (await client.say(words, { turn_id: words })).text();
}

describe('a hand-over by a tool of an older turn', () => {
  for (const [what, isHeard] of [
    ['that knows of the newer turn', true],
    ['that does not know yet', false],
  ] as const)
    it(`counts when the caller has gone on elsewhere, in a process ${what}`, async (t) => {
      const post = new Post();
      const channels = isHeard ? { a: post.channel('a'), b: post.channel('b') } : {};
      const { a, b, begun, handsOver } = shops(t, channels);
      const first = says(a, 'One');
      await begun;
      assert.equal(await says(b, 'Two'), 'Shop.');
      handsOver();
      await first;
      assert.equal(await says(b, 'Three'), 'Desk.');
    });

  it('counts when its process is replaced meanwhile', async (t) => {
    const { a, b, begun, handsOver, replaced } = shops(t);
    const first = says(a, 'One');
    await begun;
    assert.equal(await says(b, 'Two'), 'Shop.');
    const gone = replaced();
    handsOver();
    await Promise.all([first, gone]);
    assert.equal(await says(b, 'Three'), 'Desk.');
  });
});
