// No phone, no key, no network: the tests call the agent over a local socket, and a script speaks
// instead of a model.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createApp, parseSettings, type App } from 'layercode-microserver';
import { createTestClient, type TestClient } from 'layercode-microserver/testing';

import agent from './agent.ts';

const secret = 'any-secret-will-do';

/** A call that ends with its test. With a model it has a key too. */
function call(
  t: TestContext,
  model?: typeof fetch,
): { readonly app: App; readonly caller: TestClient } {
  const environment = {
    LAYERCODE_WEBHOOK_SECRET: secret,
    SHUTDOWN_TIMEOUT_SECONDS: '0',
    ...(model && { OPENAI_API_KEY: 'any-key' }),
  };
  const app = createApp(parseSettings(environment, []), agent, model && { fetch: model });
  const caller = createTestClient(app, { secret });
  t.after(() => caller.close());
  return { app, caller };
}

interface ScriptedReply {
  readonly deltas: readonly object[];
  /** The stream stays open after these deltas, so a caller can interrupt it. */
  readonly isUnfinished?: boolean;
}

/** A model on OpenAI's wire. Gives the next of these replies each time it is asked. */
function scripted(...replies: ScriptedReply[]): typeof fetch {
  return async (_url, init) => {
    if (init?.method !== 'POST') return new Response(); // the connection is opened early
    const { deltas, isUnfinished = false } = replies.shift() ?? { deltas: [] };
    const events = deltas.map((delta) => JSON.stringify({ choices: [{ index: 0, delta }] }));
    if (!isUnfinished) events.push('[DONE]');
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(
          new TextEncoder().encode(events.map((event) => `data: ${event}\n\n`).join('')),
        );
        if (!isUnfinished) controller.close();
        init.signal?.addEventListener('abort', () => controller.error(init.signal?.reason));
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };
}

describe('the agent', () => {
  it('welcomes the caller', async (t) => {
    const { caller } = call(t);
    assert.match(await (await caller.start()).text(), /^Hello, this is the corner shop/);
  });

  it('tells the opening hours without a model', async (t) => {
    const { caller } = call(t);
    assert.equal(
      await (await caller.say('Are you open on Sunday?')).text(),
      'On Sunday we are closed.',
    );
  });

  it('has the model look the opening hours up', async (t) => {
    const lookUp = {
      tool_calls: [
        {
          index: 0,
          id: 'call_1',
          function: { name: 'opening_hours', arguments: '{"day":"Saturday"}' },
        },
      ],
    };
    const { app, caller } = call(
      t,
      scripted({ deltas: [lookUp] }, { deltas: [{ content: 'From ten to four.' }] }),
    );
    assert.equal(await (await caller.say('And on Saturday?')).text(), 'From ten to four.');
    const result = (await app.conversations.getHistory(caller.conversationId)).find(
      ({ role }) => role === 'tool',
    );
    assert.equal(result?.content, '{"hours":"open from ten to four"}');
  });

  it('keeps what an interrupted reply had said', async (t) => {
    const { app, caller } = call(
      t,
      scripted(
        { deltas: [{ content: 'We are open ' }], isUnfinished: true },
        { deltas: [{ content: 'Yes?' }] },
      ),
    );
    for await (const event of await caller.say('When are you open?')) {
      assert.equal(event.content, 'We are open');
      break; // the caller speaks over the reply: this drops the connection, as LayerCode does
    }
    assert.equal(await (await caller.say('Wait.')).text(), 'Yes?');
    const [, cut] = await app.conversations.getHistory(caller.conversationId);
    assert.ok(cut?.role === 'assistant');
    assert.deepEqual([cut.content, cut.state], ['We are open', 'interrupted']);
  });
});
