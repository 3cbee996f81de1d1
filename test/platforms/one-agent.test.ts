// One agent, unchanged, over every wire: the bakery, and the same call for each platform.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createBakery } from '../../src/core/agents/built-in/bakery.ts';
import { withModel } from '../../src/core/agents/with-model.ts';
import { PROFILES, type ProfileName } from '../../src/core/wires/chat-completions/profiles.ts';
import { scriptedModel, type ScriptedModel } from '../../src/kit/scripted-model.ts';
import {
  createTestClient, type TestClient, type TestClientOptions,
} from '../../src/kit/test-client.ts';
import type { App } from '../../src/server/app/app.ts';
import { createApp } from '../../src/server/app/create-app.ts';
import { parseSettings } from '../../src/server/settings/parse-settings.ts';

const SECRET = 'whsec_one_agent';
const KEY = 'key-of-one-agent';
const WELCOME = 'Good morning, this is Sunrise Bakery! What can I get for you?';
const ORDER = { items: [{ id: 'butter-croissant', quantity: 3 }], name: 'Ada' };

interface Platform {
  readonly name: string;
  readonly profile: ProfileName;
  readonly client: TestClientOptions;
}

const PLATFORMS: readonly Platform[] = [
  { name: 'LayerCode', profile: 'generic', client: { secret: SECRET } },
  ...(Object.keys(PROFILES) as ProfileName[]).map((profile): Platform => ({
    name: `Chat Completions, profile ${profile}`,
    profile,
    client: { wire: 'chat-completions', profile, key: KEY },
  })),
];

interface Call {
  readonly app: App;
  readonly caller: TestClient;
  readonly model: ScriptedModel;
}

/** A call in which the model follows this script. */
function call(t: TestContext, { profile, client }: Platform): Call {
  const model = scriptedModel([
    [{ call: 'make_order', args: ORDER }],
    'Three butter croissants for Ada, that is eleven dollars and twenty-five cents.',
    'We are open from seven in the morning, every day but Monday.',
    'From seven to three.',
    ['See you soon!', { call: 'hang_up' }],
  ]);
  const settings = parseSettings({
    LAYERCODE_WEBHOOK_SECRET: SECRET,
    CHAT_COMPLETIONS_KEYS: KEY,
    CHAT_COMPLETIONS_PROFILE: profile,
    SETTLE_MS: '20',
    SHUTDOWN_TIMEOUT_SECONDS: '0',
  }, []);
  const app = createApp(settings, withModel(createBakery(), model));
  const caller = createTestClient(app, client);
  t.after(() => caller.close());
  return { app, caller, model };
}

/** The history as role, content and, for the agent, state; without tool calls and their results. */
async function said({ app, caller }: Call): Promise<unknown> {
  const history = await app.conversations.getHistory(caller.conversationId);
  return history.flatMap((message) => {
    if (message.role === 'tool' || message.content === '') return [];
    return message.role === 'assistant'
      ? [[message.role, message.content, message.state]]
      : [[message.role, message.content]];
  });
}

for (const platform of PLATFORMS) {
  describe(`the bakery over ${platform.name}`, () => {
    it('welcomes, takes an order, is interrupted, is asked twice, and hangs up', async (t) => {
      const here = call(t, platform);
      const { caller, model } = here;

      assert.equal(await (await caller.start()).text(), WELCOME);

      const order = await caller.say('Three croissants for Ada, please.');
      assert.match(await order.text(), /^Three butter croissants for Ada/);
      const [made] = await order.toolCalls();
      assert.deepEqual([made?.tool, made?.args, made?.state], ['make_order', ORDER, 'completed']);
      assert.equal((made?.result as { total: number }).total, 1_125);
      assert.equal(await order.hangsUp(), false);

      const cut = await caller.say('When are you open?', { interruptAfterWords: 3 });
      assert.equal(await cut.text(), 'We are open');
      const hours = await caller.say('Today, I mean.');
      assert.equal(await hours.text(), 'From seven to three.');

      const again = await caller.deliverAgain();
      assert.equal(await again.text(), 'From seven to three.');

      const bye = await caller.say('Thank you, bye.');
      assert.equal(await bye.text(), 'See you soon!');
      assert.equal(await bye.hangsUp(), true);

      assert.equal(model.requests.length, 5);
      assert.deepEqual(await said(here), [
        ['assistant', WELCOME, 'completed'],
        ['user', 'Three croissants for Ada, please.'],
        [
          'assistant',
          'Three butter croissants for Ada, that is eleven dollars and twenty-five cents.',
          'completed',
        ],
        ['user', 'When are you open?'],
        ['assistant', 'We are open', 'interrupted'],
        ['user', 'Today, I mean.'],
        ['assistant', 'From seven to three.', 'completed'],
        ['user', 'Thank you, bye.'],
        ['assistant', 'See you soon!', 'completed'],
      ]);
    });
  });
}
