// A call that has reached its limit ends before its next request to a model.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import type { Agent, MessageTurn } from '../../../src/core/agents/agent.ts';
import { getAgent } from '../../../src/core/agents/built-in/registry.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { spentIn } from '../../../src/core/conversations/spending.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import type { ChatModel } from '../../../src/core/models/model.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { TurnPoint } from '../../../src/core/turns/report/turn-points.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { SettingsError } from '../../../src/server/settings/settings.ts';
import { fails, says as answers } from '../../faults/model-server.ts';
import { OPENAI_RATE_LIMITED } from '../../faults/wire-shapes.ts';
import {
  deferred, fired, SECRET, serve, until, within, type Served, type TestAgent,
} from '../../fixtures/app.ts';
import { serveCompletions } from '../../fixtures/completions.ts';
import { modelServer, serveAgent } from '../agents/model-app.ts';
import { HeldReply } from '../conversations/asking-back.ts';
import { machines, says } from './machines.ts';
import { memory } from './plain-deliveries.ts';
import { heardIn } from './single-message.ts';

const GOODBYE = 'I have to end our call here. Thank you, and goodbye.';
const PRICES = '{"own:model":{"input":1000,"output":10000}}';
const ENDED = { text: GOODBYE, hangsUp: true };
const YES = { text: 'Yes.', hangsUp: false };

interface OwnModel extends ChatModel {
  /** How many requests have begun, and how many are over. */
  count: number;
  ended: number;
}

/** A custom model. Each answer uses 6 input tokens and 4 output tokens. */
function ownModel(held?: Promise<void>): OwnModel {
  const model: OwnModel = {
    name: 'own:model',
    count: 0,
    ended: 0,
    async *stream(_messages, { signal }) {
      model.count += 1;
      try {
        yield { type: 'text', text: 'Yes.' };
        if (held !== undefined) await Promise.race([held, fired(signal)]);
        if (signal.aborted) return;
        const [inputTokens, outputTokens] = [6, 4];
        yield { type: 'usage', model: model.name, inputTokens, outputTokens, firstDeltaMs: 1 };
      } finally {
        model.ended += 1;
      }
    },
    warm: () => Promise.resolve(),
    problems: () => [],
    isUsable: () => true,
  };
  return model;
}

type Ask = (turn: MessageTurn) => AsyncIterable<string>;

/** An agent whose hook `onMessage` makes. `ask` asks the model with the caller's words. */
function own(
  model: ChatModel, onMessage: (ask: Ask) => Agent['onMessage'], more: TestAgent = {},
): TestAgent {
  return {
    ...more,
    bind({ openModel }) {
      const opened = openModel(model);
      async function* ask({ text, signal }: MessageTurn): AsyncGenerator<string> {
        for await (const delta of opened.stream([{ role: 'user', content: text }], { signal }))
          if (delta.type === 'text') yield delta.text;
      }
      return { name: 'own', ...more, onMessage: onMessage(ask) };
    },
  };
}

/** Asks the model `times` times in each turn, one after another. */
function asking(model: ChatModel, times = 1, more: TestAgent = {}): TestAgent {
  return own(model, (ask) => async function* (turn) {
    for (let time = 0; time < times; time++) yield* ask(turn);
  }, more);
}

interface Heard {
  readonly text: string;
  readonly hangsUp: boolean;
}

async function hear({ client }: Served, words: string, fields: object = {}): Promise<Heard> {
  const heard = heardIn(await (await client.say(words, { ...fields })).events());
  return { text: heard.replaceAll(/<[^>]*>|\|/g, ''), hangsUp: heard.includes('<hangup>') };
}

function limited(
  t: TestContext, agent: TestAgent, environment: Readonly<Record<string, string>>,
  store?: ConversationStore,
): Served {
  return serve(t, agent, { environment, ...(store === undefined ? {} : { store }) });
}

async function spent({ app, client }: Served, sessionId: string): Promise<object> {
  const conversation = await app.conversations.read(client.conversationId);
  return spentIn(conversation ?? assert.fail(), sessionId);
}

const SESSION = { session_id: 's' };
const CALL = { ...SESSION, conversation_id: 'c' };

describe('a call with MAX_TOKENS_PER_CALL', () => {
  it('ends politely before the next request, as do all later turns', async (t) => {
    const limits: unknown[] = [];
    const listener = (point: unknown): void => {
      const { type, limit } = point as TurnPoint & { limit?: string };
      if (type === 'turnEnded') limits.push(limit);
    };
    subscribe('layercode-microserver:turn', listener);
    t.after(() => unsubscribe('layercode-microserver:turn', listener));
    const model = ownModel();
    const served = limited(t, asking(model), { MAX_TOKENS_PER_CALL: '20' });
    assert.deepEqual(await hear(served, 'one', SESSION), YES);
    assert.deepEqual(await hear(served, 'two', SESSION), YES);
    assert.deepEqual(await hear(served, 'three', SESSION), ENDED);
    assert.deepEqual(await hear(served, 'four', SESSION), ENDED);
    assert.equal(model.count, 2);
    assert.deepEqual(await spent(served, 's'), { tokens: 20, cost: 0 });
    assert.equal(served.metric('layercode_call_limits_reached_total{limit="tokens"}'), 2);
    const lines = served.logLines.filter((line) => line.includes('a call has reached its limit'));
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? '', /"limit":"tokens","tokens":20,"cost":0/);
    const ended = served.logLines.filter((line) => /"msg":"request".*"limit":"tokens"/.test(line));
    assert.equal(ended.length, 2);
    assert.deepEqual(limits, [undefined, undefined, 'tokens', 'tokens']);
  });

  it('may end in the middle of a turn, after what has been said so far', async (t) => {
    const model = ownModel();
    const served = limited(t, asking(model, 3), { MAX_TOKENS_PER_CALL: '15' });
    assert.deepEqual(await hear(served, 'one'), { text: `Yes.Yes. ${GOODBYE}`, hangsUp: true });
    assert.equal(model.count, 2);
    const [, reply] = await served.history();
    assert.deepEqual(reply, ['assistant', `Yes.Yes. ${GOODBYE}`, 'completed']);
  });

  it('counts requests that are running at the same time in one turn', async (t) => {
    const model = ownModel();
    const agent = own(model, (ask) => async (turn, { say }) => {
      const one = async (): Promise<void> => {
        for await (const text of ask(turn)) await say(text);
      };
      await Promise.allSettled([one(), one(), one()]);
    });
    const served = limited(t, agent, { MAX_TOKENS_PER_CALL: '1' });
    assert.deepEqual(await hear(served, 'one'), ENDED);
    assert.equal(model.count, 1);
    assert.equal(served.metric('layercode_call_limits_reached_total{limit="tokens"}'), 1);
  });

  it("ends even if the agent catches the model's error", async (t) => {
    const errors: unknown[] = [];
    const model = ownModel();
    const agent = own(model, (ask) => async (turn, { say }) => {
      try {
        for await (const _text of ask(turn)) await say('Hm.');
      } catch (error) {
        errors.push(error);
        assert.equal(await say('I go on.'), false);
      }
    });
    const served = limited(t, agent, { MAX_TOKENS_PER_CALL: '1' });
    await hear(served, 'one');
    assert.deepEqual(await hear(served, 'two'), ENDED);
    assert.equal((errors[0] as { readonly code?: unknown }).code, 'limit_reached');
    assert.equal(model.count, 1);
  });

  it('counts the input of an interrupted request, and its output so far', async (t) => {
    const held = deferred();
    t.after(() => held.resolve());
    const model = ownModel(held.promise);
    const served = limited(t, asking(model), { MAX_TOKENS_PER_CALL: '1000' });
    const reply = new HeldReply(await served.client.say('x'.repeat(41), SESSION));
    assert.equal(await reply.next(), 'Yes.');
    assert.deepEqual(await spent(served, 's'), { tokens: 11, cost: 0 }); // 41 characters of input
    void served.client.say('stop', { session_id: 'other' });
    await until(() => model.ended === 1, 'the end of the request');
    await soon();
    assert.deepEqual(await spent(served, 's'), { tokens: 12, cost: 0 }); // and 4 of output
  });

  it('has one limit in all processes, and counts a request still running in another', async (t) => {
    const held = deferred();
    t.after(() => held.resolve());
    const model = ownModel(held.promise);
    const { a, b } = machines(t, asking(model), { MAX_TOKENS_PER_CALL: '1' });
    const running = new HeldReply(await a.client.say('one', { turn_id: 'one', ...CALL }));
    assert.equal(await running.next(), 'Yes.');
    assert.equal(await within(says(b, 'two', CALL), 'the goodbye'), GOODBYE);
    assert.equal(model.count, 1);
  });

  it('goes on if its use cannot be stored, and the log says so', async (t) => {
    const store = memory();
    const update = store.update.bind(store);
    const agent = own(ownModel(), (ask) => async function* (turn) {
      store.update = () => {
        throw new Error('disk full');
      };
      for await (const text of ask(turn)) {
        store.update = update;
        yield text;
      }
    });
    const served = limited(t, agent, { MAX_TOKENS_PER_CALL: '1' }, store);
    assert.equal((await hear(served, 'one')).text, 'Yes.');
    assert.match(served.logLines.join(''), /what a call has used could not be stored/);
  });
});

describe('MAX_COST_PER_CALL', () => {
  it('counts in the currency of MODEL_PRICES', async (t) => {
    const model = ownModel();
    const limits = { MAX_COST_PER_CALL: '0.046', MODEL_PRICES: PRICES };
    const served = limited(t, asking(model), limits);
    assert.equal((await hear(served, 'one', SESSION)).hangsUp, false);
    assert.deepEqual(await spent(served, 's'), { tokens: 10, cost: 0.046 });
    assert.deepEqual(await hear(served, 'two', SESSION), ENDED);
    assert.match(served.logLines.join(''), /"limit":"cost","tokens":10,"cost":0\.046/);
  });

  it('counts a model at its own price, even if the model reports another name', async (t) => {
    const model = ownModel();
    const renamed: ChatModel = {
      ...model,
      async *stream(messages, options) {
        for await (const delta of model.stream(messages, options))
          yield delta.type === 'usage' ? { ...delta, model: 'alias' } : delta;
      },
    };
    const limits = { MAX_COST_PER_CALL: '1', MODEL_PRICES: PRICES };
    const served = limited(t, asking(renamed), limits);
    await hear(served, 'one', SESSION);
    assert.deepEqual(await spent(served, 's'), { tokens: 10, cost: 0.046 });
  });

  it('is refused at start-up if models have no price, and the error names each', (t) => {
    const unknown = { ...ownModel(), name: 'own:other,own:third' };
    const limits = { MAX_COST_PER_CALL: '1', MODEL_PRICES: PRICES };
    assert.throws(() => limited(t, asking(unknown), limits), (error) => {
      assert.ok(error instanceof SettingsError);
      assert.deepEqual(error.problems, [
        'MAX_COST_PER_CALL needs a price for each model: add own:other to MODEL_PRICES',
        'MAX_COST_PER_CALL needs a price for each model: add own:third to MODEL_PRICES',
      ]);
      return true;
    });
  });

  it('is refused with the models of all agents named in one error', () => {
    const [one, two] = ['ollama:one', 'ollama:two'].map((model) =>
      defineAgent({ name: 'plain', prompt: 'Be brief.', model }));
    assert.ok(one !== undefined && two !== undefined);
    const environment = { LAYERCODE_WEBHOOK_SECRET: SECRET, MAX_COST_PER_CALL: '1' };
    const settings = parseSettings(environment, []);
    assert.throws(() => createApp(settings, { one, two }), /ollama:one .*ollama:two /);
  });

  it('needs a price for each model in the settings, and knows the default prices', (t) => {
    const agent = defineAgent({ name: 'plain', prompt: 'Be brief.' });
    const cap = { MAX_COST_PER_CALL: '1' };
    limited(t, agent, cap);
    limited(t, agent, { ...cap, DEFAULT_MODEL: 'anthropic:claude-haiku-4-5' });
    const names = { DEFAULT_MODEL: 'openai:gpt-6-luna,ollama:llama' };
    assert.throws(() => limited(t, agent, { ...cap, ...names }), /add ollama:llama to MODEL_/);
    assert.throws(() => limited(t, agent, { ...cap, MODEL_PRICES: PRICES }), /gpt-6-luna/);
  });

  it('fails a turn that chooses a model without a price', async (t) => {
    const agent = defineAgent({
      name: 'choosing', prompt: 'Be brief.', model: () => 'ollama:llama',
    });
    const served = limited(t, agent, { MAX_COST_PER_CALL: '1' });
    assert.match((await hear(served, 'one')).text, /something went wrong/);
    assert.match(served.logLines.join(''), /add ollama:llama to MODEL_PRICES/);
  });
});

describe('limitReached', () => {
  const limits = { MAX_TOKENS_PER_CALL: '1' };
  const WORDS: readonly (readonly [name: string, text: Agent['limitReached'], heard: string])[] = [
    ['a string', 'Time is up.', 'Time is up.'],
    ['a function of the turn', (turn) => `Bye, ${turn.conversationId.length > 0}.`, 'Bye, true.'],
    ['an empty string', '', ''],
    ['a function that throws', () => assert.fail('no words'), GOODBYE],
    ['a function that returns no string', (() => 5) as unknown as () => string, GOODBYE],
  ];
  for (const [name, limitReached = '', heard] of WORDS)
    it(`may be ${name}`, async (t) => {
      const served = limited(t, asking(ownModel(), 1, { limitReached }), limits);
      await hear(served, 'one');
      assert.deepEqual(await hear(served, 'two'), { text: heard, hangsUp: true });
      const failed = served.logLines.some((line) => line.includes('limitReached failed'));
      assert.equal(failed, heard === GOODBYE);
    });
});

describe('a limited call', () => {
  const look = tool({
    name: 'look', description: 'Looks.', parameters: { type: 'object' }, run: () => 'There.',
  });

  it('ends between rounds of tool calls', async (t) => {
    const model = scriptedModel([{ call: 'look', args: {} }, 'Never said.']);
    const looking = defineAgent({ name: 'looking', prompt: 'Look.', tools: [look] });
    const agent = withModel(looking, model);
    const served = limited(t, agent, { MAX_TOKENS_PER_CALL: '1' });
    assert.deepEqual(await hear(served, 'one'), ENDED);
    assert.equal(model.requests.length, 1);
  });

  it('ends if a tool asks a model', async (t) => {
    const inner = ownModel();
    let opened: ChatModel | undefined;
    const asks = tool({
      name: 'asks', description: 'Asks.', parameters: { type: 'object' },
      async run(_args, { signal }) {
        for await (const _delta of opened?.stream([], { signal }) ?? []) continue;
        return 'ok';
      },
    });
    const outer = withModel(
      defineAgent({ name: 'outer', prompt: 'Ask.', tools: [asks] }),
      scriptedModel([{ call: 'asks', args: {} }, 'Never said.']),
    );
    const served = limited(t, {
      ...outer,
      bind(resources) {
        opened = resources.openModel(inner);
        return outer.bind?.(resources) ?? assert.fail();
      },
    }, { MAX_TOKENS_PER_CALL: '1' });
    assert.deepEqual(await hear(served, 'one'), ENDED);
    assert.equal(inner.count, 0);
  });

  for (const name of ['relay', 'relay:shadow', 'relay:speculative', 'bakery', 'outdoor_shop'])
    it(`also ends with the built-in agent ${name}`, async (t) => {
      const model = ownModel();
      const served = limited(t, withModel(getAgent(name), model), { MAX_TOKENS_PER_CALL: '20' });
      for (const words of ['one', 'two', 'three']) await hear(served, words);
      assert.deepEqual(await hear(served, 'four'), ENDED);
      assert.equal(model.count, 2);
      assert.doesNotMatch(served.logLines.join(''), /model of the relay/);
    });

  it('asks neither the same model again nor another one once the limit is reached', async (t) => {
    const server = await modelServer(t, fails(429, OPENAI_RATE_LIMITED), answers('Yes.'));
    const agent = defineAgent({ name: 'plain', prompt: 'Be brief.' });
    const environment = { MAX_TOKENS_PER_CALL: '1', DEFAULT_MODEL: 'openai:gpt-6-luna,vllm:other' };
    const vendors = { openai: server, vllm: server };
    const { client, logLines } = serveAgent(t, agent, vendors, environment);
    assert.equal(await (await client.say('one', CALL)).text(), 'Yes.');
    assert.equal(server.requests.length, 2);
    assert.equal(await (await client.say('two', CALL)).text(), GOODBYE);
    assert.equal(server.requests.length, 2);
    assert.equal(logLines.filter((line) => line.includes('asking vllm:other')).length, 0);
  });
});

describe('a limited call over a wire', () => {
  const limits = { MAX_TOKENS_PER_CALL: '10' };

  it('that cannot hang up says goodbye again in each later turn', async (t) => {
    const { platform } = serveCompletions(t, asking(ownModel()), { environment: limits });
    const told = ['user: one', 'agent: Yes.', 'user: two'];
    assert.equal(await platform.hear(['user: one']), 'Yes.');
    assert.equal(await platform.hear(told), GOODBYE);
    assert.equal(await platform.hear([...told, `agent: ${GOODBYE}`, 'user: three']), GOODBYE);
  });

  it('that names no conversation is limited per turn', async (t) => {
    const options = { conversationId: null };
    const { platform } = serveCompletions(t, asking(ownModel(), 2), { environment: limits });
    for (const words of ['one', 'two'])
      assert.equal(await platform.hear([`user: ${words}`], options), `Yes. ${GOODBYE}`);
  });
});
