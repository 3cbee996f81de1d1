// No phone, no key, no network: the tests call the agent over a local socket, and a script speaks
// instead of a model.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createApp, createLogger, parseSettings, type App } from 'layercode-microserver';
import {
  createTestClient, scriptedModel, withModel, type ScriptedModel, type TestClient,
} from 'layercode-microserver/testing';

import agent from './agent.ts';

const secret = 'any-secret-will-do';
const settings = parseSettings({
  LAYERCODE_WEBHOOK_SECRET: secret,
  SHUTDOWN_TIMEOUT_SECONDS: '0',
}, []);
/** Says why a turn failed. */
const log = createLogger({ level: 'warn', write: (lines) => process.stderr.write(lines) });

/** A call that ends with its test. Without a model the stand-in answers. */
function call(
  t: TestContext,
  model?: ScriptedModel,
): { readonly app: App; readonly caller: TestClient } {
  const app = createApp(settings, model ? withModel(agent, model) : agent, { log });
  const caller = createTestClient(app, { secret });
  t.after(() => caller.close());
  return { app, caller };
}

describe('the agent', () => {
  it('welcomes the caller', async (t) => {
    const { caller } = call(t);
    assert.match(await (await caller.start()).text(), /^Hello, this is the corner shop/);
  });

  it('gives the opening hours without a model', async (t) => {
    const { caller } = call(t);
    const reply = await caller.say('Are you open on Sunday?');
    assert.equal(await reply.text(), 'On Sunday we are closed.');
  });

  it('has the model look up the opening hours', async (t) => {
    const args = { day: 'Saturday' };
    const model = scriptedModel([{ call: 'opening_hours', args }, 'From ten to four.']);
    const { caller } = call(t, model);
    const reply = await caller.say('And on Saturday?');
    assert.equal(await reply.text(), 'From ten to four.');
    const result = { hours: 'open from ten to four' };
    assert.deepEqual(await reply.toolCalls(), [
      { tool: 'opening_hours', args, result, state: 'completed' },
    ]);
  });

  it('puts goods aside, and remembers what it has put aside before', async (t) => {
    const bread = { goods: 'loaf of bread', count: 2 };
    const milk = { goods: 'bottle of milk', count: 1 };
    const model = scriptedModel([
      { call: 'put_aside', args: bread }, 'Two loaves. Anything else?',
      { call: 'put_aside', args: milk }, 'And a bottle of milk.',
    ]);
    const { caller } = call(t, model);
    assert.match(await (await caller.say('Two loaves of bread.')).text(), /^Two loaves/);
    const reply = await caller.say('And milk, please.');
    assert.equal(await reply.text(), 'And a bottle of milk.');
    assert.deepEqual((await reply.toolCalls())[0]?.result, { allPutAside: [bread, milk] });
  });

  it('tells the model what it may do', async (t) => {
    const model = scriptedModel(['Hello.']);
    const { caller } = call(t, model);
    await (await caller.say('Hello?')).text();
    const [request] = model.requests;
    assert.match(request?.messages[0]?.content ?? '', /corner shop/);
    const offered = request?.tools.map(({ name }) => name);
    assert.deepEqual(offered, ['opening_hours', 'put_aside', 'hang_up']);
  });

  it('knows what the caller heard of an interrupted reply', async (t) => {
    const model = scriptedModel(['We are open from nine to six.', 'Yes?']);
    const { app, caller } = call(t, model);
    const cut = await caller.say('When are you open?', { interruptAfterWords: 3 });
    assert.equal(await cut.text(), 'We are open');
    assert.equal(await (await caller.say('Wait.')).text(), 'Yes?');
    const [, reply] = await app.conversations.getHistory(caller.conversationId);
    assert.ok(reply?.role === 'assistant');
    assert.deepEqual([reply.content, reply.state], ['We are open', 'interrupted']);
  });
});
