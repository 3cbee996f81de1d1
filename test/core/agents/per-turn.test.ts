// Agents whose prompt, welcome, tools and model are functions of the turn; and custom models.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent, type AgentDefinition } from '../../../src/core/agents/define-agent.ts';
import type { ChatMessage, ChatModel } from '../../../src/core/models/model.ts';
import { defineState } from '../../../src/core/state/state.ts';
import { says } from '../../faults/model-server.ts';
import { deferred, errorsIn, fired, serve, within } from '../../fixtures/app.ts';
import { modelServer, promptOf, serveAgent, serveModel, spoken, toolNames } from './model-app.ts';
import { APOLOGY, looking } from './weather-tool.ts';

const CALLER = { from_phone_number: '+15550100', to_phone_number: null };

const [look, pay] = [looking(), looking({ name: 'pay' })];

/** A model that says its name, and keeps what it was asked. */
function modelNamed(name: string): ChatModel & { readonly asked: (readonly ChatMessage[])[] } {
  const asked: (readonly ChatMessage[])[] = [];
  return {
    name,
    asked,
    async *stream(messages) {
      asked.push([...messages]);
      yield { type: 'text', text: `I am ${name}.` };
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
}

describe('a prompt that is a function', () => {
  const perCaller = defineAgent({
    name: 'shop',
    prompt: ({ caller, text }) => `The caller is ${caller?.from ?? 'unknown'}, and said ${text}.`,
  });

  it('is made for each turn', async (t) => {
    const { client, server } = await serveModel(t, perCaller, [says('Yes.')]);
    await spoken(client.say('one', CALLER));
    await spoken(client.say('two', { session_id: 'browser' }));
    assert.deepEqual(
      server.requests.map((request) => promptOf(request)[0]?.content),
      ['The caller is +15550100, and said one.', 'The caller is unknown, and said two.'],
    );
  });

  it('may take its time, during which a filler is said', async (t) => {
    const found = deferred<string>();
    const agent = defineAgent({ name: 'shop', prompt: () => found.promise });
    const { client } = await serveModel(t, agent, [says('Yes.')], { FILLER_AFTER_MS: '1' });
    const reply = client.say('Hi');
    await reply; // its headers come with the filler
    found.resolve('Be brief.');
    assert.equal(await spoken(reply), 'One moment. Yes.');
  });

  it('sees the state as earlier turns left it', async (t) => {
    const order = defineState(() => ({ turns: 0 }));
    const agent = defineAgent({
      name: 'shop',
      state: order,
      prompt: ({ state }) => `Turn ${(state.turns += 1)}.`,
    });
    const { client, server } = await serveModel(t, agent, [says('Yes.')]);
    for (const text of ['one', 'two']) await spoken(client.say(text));
    const prompts = server.requests.map((request) => promptOf(request)[0]?.content);
    assert.deepEqual(prompts, ['Turn 1.', 'Turn 2.']);
  });

  it("gets the turn's signal, and no model is asked once the turn is over", async (t) => {
    const isAborted = deferred<unknown>();
    const agent = defineAgent({
      name: 'shop',
      prompt: async ({ signal, text }) => {
        if (text === 'slow') isAborted.resolve(await fired(signal));
        return text;
      },
    });
    const { client, server } = await serveModel(t, agent, [says('Yes.')]);
    const slow = client.say('slow');
    const fast = await spoken(client.say('fast'));
    await within(isAborted.promise, 'the signal');
    await spoken(slow);
    assert.deepEqual([fast, server.requests.length], ['Yes.', 1]);
  });
});

describe('a function of the turn that fails', () => {
  const throwing = (): never => {
    throw new Error('no row for my secret words');
  };
  const rejecting = async (): Promise<never> => throwing();
  const part = { name: 'shop', prompt: 'Be brief.' };
  for (const field of ['prompt', 'tools', 'model'] as const) {
    for (const [how, fails] of [['throws', throwing], ['rejects', rejecting]] as const) {
      it(`fails the turn when the ${field} ${how}, without its message in the log`, async (t) => {
        const agent = defineAgent({ ...part, [field]: fails } as AgentDefinition);
        const { client, logLines, server } = await serveModel(t, agent, [says('Yes.')]);
        assert.equal(await spoken(client.say('Hi')), APOLOGY);
        assert.deepEqual([errorsIn(logLines), server.requests.length], [['turn failed'], 0]);
        const log = logLines.join();
        assert.ok(log.includes(`agent \\"shop\\": its ${field} failed`), log);
        assert.equal(log.includes('secret words'), false);
      });
    }
  }

  const ofAnotherState = looking({ state: defineState(() => ({})) });
  for (const [what, field, made, message] of [
    ['a number', 'prompt', 5, 'its prompt must return a string, got number'],
    ['a string', 'tools', 'look', 'tools must be a list'],
    ['an object in its list', 'tools', [{}], 'each of its tools must be made with tool({ … })'],
    ['a tool twice', 'tools', [look, look], 'has two tools named'],
    [
      'a tool with another state', 'tools', [ofAnotherState],
      'its tool look has a state, and the agent has none',
    ],
    ['half of a model', 'model', { name: 'half' }, 'its model must be a name, or an object with'],
    ['an unknown name', 'model', 'nobody:x', 'a model is named provider:model'],
  ] as const) {
    it(`fails the turn when ${field} gives ${what}`, async (t) => {
      const definition = { ...part, [field]: () => made } as unknown as AgentDefinition;
      const { client, logLines } = await serveModel(t, defineAgent(definition), [says('Yes.')]);
      assert.equal(await spoken(client.say('Hi')), APOLOGY);
      assert.ok(logLines.join().includes(message), logLines.join());
    });
  }

  it('fails the turn when the welcome throws', async (t) => {
    const agent = defineAgent({ name: 'shop', welcome: throwing, onMessage: () => 'Yes.' });
    const { client, logLines } = serve(t, { ...agent });
    assert.equal(await spoken(client.start()), APOLOGY);
    assert.equal(logLines.join().includes('secret words'), false);
  });
});

describe('a welcome that is a function', () => {
  const greeting = {
    name: 'shop',
    welcome: async ({ caller, isResumed }: { caller: unknown; isResumed: boolean }) =>
      `${isResumed ? 'Again' : 'Hello'}, ${JSON.stringify(caller)}.`,
  };
  const agents: readonly (readonly [what: string, agent: Agent])[] = [
    ['hooks', defineAgent({ ...greeting, onMessage: () => 'Yes.' })],
    ['a model', defineAgent({ ...greeting, prompt: 'Be brief.', model: modelNamed('mine') })],
  ];
  for (const [what, agent] of agents) {
    it(`is called at the start and when a caller returns, with ${what}`, async (t) => {
      const { client } = serveAgent(t, agent, {});
      assert.equal(await spoken(client.start(CALLER)), 'Hello, {"from":"+15550100"}.');
      assert.equal(await spoken(client.start({ session_id: 'b' })), 'Again, undefined.');
    });
  }
});

describe('tools that are a function', () => {
  it('are made for each turn', async (t) => {
    const agent = defineAgent({
      name: 'shop',
      prompt: 'Be brief.',
      tools: ({ caller }) => (caller === undefined ? [look] : [look, pay]),
    });
    const { client, server } = await serveModel(t, agent, [says('Yes.')]);
    await spoken(client.say('one', CALLER));
    await spoken(client.say('two', { session_id: 'browser' }));
    assert.deepEqual(server.requests.map(toolNames), [['look', 'pay'], ['look']]);
  });
});

describe('a model that is a function', () => {
  it('is chosen for each turn, by name', async (t) => {
    const [fast, slow] = [await modelServer(t, says('Fast.')), await modelServer(t, says('Slow.'))];
    const agent = defineAgent({
      name: 'shop',
      prompt: 'Be brief.',
      model: async ({ text }) => (text.length > 3 ? 'ollama:slow' : 'vllm:fast'),
    });
    const { client } = serveAgent(t, agent, { ollama: slow, vllm: fast });
    const said = [await spoken(client.say('Hi')), await spoken(client.say('Why is that?'))];
    assert.deepEqual(said, ['Fast.', 'Slow.']);
  });

  it("is the settings' model if it names none", async (t) => {
    const agent = defineAgent({ name: 'shop', prompt: 'Be brief.', model: () => undefined });
    const { client, server } = await serveModel(t, agent, [says('Yes.')]);
    await spoken(client.say('Hi'));
    assert.equal(server.requests[0]?.body['model'], 'gpt-6-luna');
  });

  it('opens each name only once', async (t) => {
    const names: unknown[] = [];
    const agent = defineAgent({ name: 'shop', prompt: 'Be brief.', model: () => 'any:model' });
    const bound = agent.bind?.({
      openModel: (name) => (names.push(name), modelNamed('any')),
      fastModel: undefined, slowModel: undefined, fillerAfterMs: 0,
    });
    assert.ok(bound !== undefined && bound.model === undefined);
    const { client } = serve(t, { onMessage: bound.onMessage });
    for (const text of ['one', 'two']) await spoken(client.say(text));
    assert.deepEqual(names, ['any:model']);
  });
});

describe("a custom model", () => {
  it("is asked in place of a vendor's", async (t) => {
    const mine = modelNamed('mine');
    const { app, client } = serveAgent(
      t, defineAgent({ name: 'shop', prompt: 'Be brief.', model: mine }), {},
    );
    assert.equal(await spoken(client.say('Hi')), 'I am mine.');
    assert.deepEqual(mine.asked, [
      [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hi' }],
    ]);
    assert.equal(app.model, mine);
  });

  it('is refused if it lacks a part', () => {
    for (const model of [null, { name: 'half', stream: () => undefined }]) {
      assert.throws(() => defineAgent({ name: 'shop', prompt: 'Be brief.', model } as never), {
        name: 'TypeError',
        message: /^agent "shop": its model must be a name, or an object with name, stream, /,
      });
    }
  });
});
