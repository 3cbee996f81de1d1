// A hand-over whose tool takes so long that the caller has gone on in another process.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { handOver } from '../../../src/core/tools/tool-hand-over.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { ScriptedAnswer } from '../../../src/kit/scripted-answer.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createTestClient } from '../../../src/kit/test-client.ts';
import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { deferred, until, type Deferred } from '../../fixtures/app.ts';
import { recordLog, SECRET, settingsWith } from '../../fixtures/kernel.ts';
import { Post } from '../../fixtures/post.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';

const NOTHING = { type: 'object', properties: {} } as const;

interface Machine {
  readonly app: App;
  readonly begun: Promise<void>;
  readonly gate: Deferred<void>;
  says(text: string): Promise<string>;
}

/** A process whose tool begins, and goes on when its gate opens. */
function process(
  t: TestContext,
  name: 'a' | 'b',
  script: readonly ScriptedAnswer[],
  { shared, post, whenInterrupted }: {
    readonly shared: SharedParts; readonly post: Post;
    readonly whenInterrupted: 'abort' | 'finish';
  },
): Machine {
  const [begun, gate] = [deferred(), deferred()];
  const waiting = async <T>(result: T): Promise<T> => {
    begun.resolve();
    await gate.promise;
    return result;
  };
  const tools = [
    tool({
      name: 'transfer', description: 'Hands the call over.', parameters: NOTHING,
      whenInterrupted, run: () => waiting(handOver('desk')),
    }),
    tool({ name: 'look', description: 'Looks.', parameters: NOTHING, run: () => waiting('seen') }),
  ];
  const shop = defineAgent({ name: 'SHOP', model: scriptedModel(script), tools, prompt: 'Sell.' });
  const desk = defineAgent({ name: 'DESK', onMessage: () => 'This is the desk.' });
  const store = sharing(new PartsInMemory(shared, { isSlow: true }), { timeoutMs: 5_000 });
  const options = { log: recordLog().log, store, channel: post.channel(name) };
  const app = createApp(settingsWith(), { shop, desk }, options);
  const caller = createTestClient(app, { secret: SECRET, conversationId: 'c-1' });
  t.after(() => caller.close());
  const says = async (text: string): Promise<string> => (await caller.say(text)).text();
  return { app, begun: begun.promise, gate, says };
}

describe('a hand-over that comes while a newer turn runs in another process', () => {
  for (const whenInterrupted of ['abort', 'finish'] as const)
    for (const isReplaced of [false, true])
      it(`counts (${whenInterrupted}, its process is replaced: ${isReplaced})`, async (t) => {
        const all = { shared: new Map(), post: new Post(), whenInterrupted };
        const a = process(t, 'a', [{ call: 'transfer' }, 'Still the shop.'], all);
        const b = process(t, 'b', [{ call: 'look' }, 'It is here.', 'Still the shop.'], all);
        const first = a.says('I want the desk.');
        await a.begun;
        const second = b.says('Are you there?');
        await b.begun;
        const closed = isReplaced ? a.app.close() : undefined;
        a.gate.resolve();
        await first;
        await closed;
        let isHanded = false;
        const look = async (): Promise<void> => {
          const history = await b.app.conversations.getHistory('c-1');
          isHanded = history.some((one) => one.role === 'tool' && one.handOver === 'desk');
        };
        await until(() => (void look(), isHanded), 'the hand-over');
        b.gate.resolve();
        assert.equal(await second, 'It is here.');
        assert.equal(await b.says('And now?'), 'This is the desk.');
      });
});
