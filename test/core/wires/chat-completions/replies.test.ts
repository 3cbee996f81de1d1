// How replies are written: streamed as chunks, or whole.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, Reply } from '../../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../../src/core/agents/with-model.ts';
import { hangUp } from '../../../../src/core/tools/tool-hang-up.ts';
import { transferTo } from '../../../../src/core/tools/tool-transfer.ts';
import { tool } from '../../../../src/core/tools/tool.ts';
import {
  parseCompletion, wantsUsage,
} from '../../../../src/core/wires/chat-completions/request.ts';
import { scriptedModel } from '../../../../src/kit/scripted-model.ts';
import { deferred, Told, until, within } from '../../../fixtures/app.ts';
import {
  asking, linesOf, messagesOf, modelAgent, offering, requestLines, serveCompletions, toolResult,
  warningsIn, type Chunk, type Fields,
} from '../../../fixtures/completions.ts';

const HELLO = asking(['user: Hello?']);
const WHOLE = { messages: messagesOf(['user: Hello?']) };
const WITH_USAGE = { ...HELLO, stream_options: { include_usage: true } };
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

const LOOK = tool({
  name: 'look', description: 'Looks.', parameters: { type: 'object', properties: {} },
  repeatable: true, run: () => 'seen',
});

const hangingUp: Partial<Agent> = {
  onMessage: (_turn, reply) => reply.hangup({ say: 'Goodbye.' }),
};
const to = '+4930111';
const transferring: Partial<Agent> = {
  onMessage: (_turn, reply) => void reply.transfer({ to, say: 'One moment.' }),
};

/** An agent whose model asks for a transfer, which is possible to one place. */
function toSales(args: Fields): Agent {
  const script = [[{ call: 'transfer_call', args }], 'I cannot.'];
  return modelAgent(script, { tools: [transferTo({ sales: to })] });
}

/** The reason for which the last choice ended. */
function reasonIn(chunks: readonly Chunk[]): string | null | undefined {
  return chunks.flatMap(({ choices }) => choices).at(-1)?.finish_reason;
}

function toolCallsIn(chunks: readonly Chunk[]): readonly unknown[] {
  return chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
}

function textIn(chunks: readonly Chunk[]): string {
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
}

describe('a streamed reply', () => {
  // Cartesia accepts 256 KiB, which is about 1,280 chunks.
  for (const [profile, texts] of [
    ['cartesia', ['Hi, "you", there.', ' Later.']],
    ['generic', ['', 'Hi,', ' "you",', ' there.', ' Later.']],
  ] as const)
    it(`joins pieces that arrive together only with cartesia: ${profile}`, async (t) => {
      const later = deferred();
      const { platform } = serveCompletions(t, {
        async onMessage(_turn, reply) {
          for (const piece of ['Hi,', ' "you",', ' there.']) await reply.say(piece);
          await later.promise;
          await reply.hangup({ say: ' Later.' });
        },
      }, { environment: { CHAT_COMPLETIONS_PROFILE: profile } });
      const reply = await platform.ask({ ...HELLO, ...offering('end_call') });
      later.resolve();
      const chunks = await reply.chunks();
      const pieces = chunks.flatMap(({ choices }) => choices[0]?.delta.content ?? []);
      assert.deepEqual(pieces, texts);
      assert.equal(reasonIn(chunks), 'tool_calls');
    });

  it('has chunks of about 4,096 characters at most with cartesia', async (t) => {
    const { platform } = serveCompletions(t, {
      async onMessage(_turn, reply) {
        for (let n = 0; n < 20; n++) await reply.say('a'.repeat(1_000));
      },
    }, { environment: { CHAT_COMPLETIONS_PROFILE: 'cartesia' } });
    const chunks = await (await platform.ask(HELLO)).chunks();
    const lengths = chunks.map(({ choices }) => choices[0]?.delta.content?.length ?? 0);
    assert.ok(Math.max(...lengths) > 1_000 && Math.max(...lengths) < 5_500, String(lengths));
  });

  it('consists of these bytes', async (t) => {
    const { platform } = serveCompletions(t, {
      onMessage: async (_turn, reply) => {
        await reply.say('Hi,');
        await reply.say(' "you".');
      },
    });
    const { response } = await platform.ask(HELLO, { headers: { 'idempotency-key': 'k-1' } });
    const created = /"created":(\d+)/.exec(await response.clone().text())?.[1];
    const head = '{"id":"chatcmpl-k-1","object":"chat.completion.chunk",'
      + `"created":${created},"model":"tested","choices":[{"index":0,"delta":`;
    assert.equal(await response.text(), [
      `data: ${head}{"role":"assistant","content":""},"finish_reason":null}]}`,
      `data: ${head}{"content":"Hi,"},"finish_reason":null}]}`,
      `data: ${head}{"content":" \\"you\\"."},"finish_reason":null}]}`,
      `data: ${head}{},"finish_reason":"stop"}]}`,
      'data: [DONE]',
      '',
    ].join('\n\n'));
    assert.ok(Math.abs(Number(created) * 1_000 - Date.now()) < 60_000);
  });

  it('begins with the role before the agent speaks, and is sent word by word', async (t) => {
    const gates = [deferred(), deferred()];
    const { platform } = serveCompletions(t, {
      async *onMessage() {
        await gates[0]?.promise;
        yield 'One.';
        await gates[1]?.promise;
        yield ' Two.';
      },
    });
    const answer = await platform.ask(HELLO);
    assert.deepEqual((await answer.next())?.choices[0]?.delta, { role: 'assistant', content: '' });
    gates[0]?.resolve();
    assert.equal(await answer.word(), 'One.');
    gates[1]?.resolve();
    assert.equal(await answer.text(), ' Two.');
  });

  it('reports the tokens of all requests to the model in a separate chunk', async (t) => {
    const script = [[{ call: 'look', args: {} }], 'It is there.'] as const;
    const agent = modelAgent(script, { tools: [LOOK], tokens: { input: 100, output: 7 } });
    const { platform } = serveCompletions(t, agent);
    const chunks = await (await platform.ask(WITH_USAGE)).chunks();
    const { choices, usage } = chunks.at(-1) ?? {};
    const tokens = { prompt_tokens: 200, completion_tokens: 14, total_tokens: 214 };
    assert.deepEqual([choices, usage, reasonIn(chunks)], [[], tokens, 'stop']);
  });

  for (const stream_options of [undefined, null, {}, { include_usage: false }, [true]]) {
    it(`reports no tokens with stream_options ${JSON.stringify(stream_options)}`, () => {
      const body = Buffer.from(JSON.stringify({ ...HELLO, stream_options }));
      assert.equal(wantsUsage(parseCompletion(body)), false);
    });
  }

  it('shows none of our tools', async (t) => {
    const agent = modelAgent([[{ call: 'look', args: {} }], 'Done.'], { tools: [LOOK] });
    const { platform } = serveCompletions(t, agent);
    const chunks = await (await platform.ask({ ...HELLO, ...offering('look') })).chunks();
    assert.deepEqual([textIn(chunks), toolCallsIn(chunks)], ['Done.', []]);
  });
});

describe('a whole reply', () => {
  it('has this body', async (t) => {
    const { platform } = serveCompletions(t, {
      async *onMessage() {
        yield 'Hi,';
        yield ' you.';
      },
    });
    const body = (await (
      await platform.ask(WHOLE, { headers: { 'idempotency-key': 'k-1' } })
    ).json()) as Fields;
    assert.deepEqual(body, {
      id: 'chatcmpl-k-1',
      object: 'chat.completion',
      created: body['created'],
      model: 'tested',
      choices: [{
        index: 0, message: { role: 'assistant', content: 'Hi, you.' }, finish_reason: 'stop',
      }],
      usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    });
    assert.ok(Number.isInteger(body['created']));
  });

  it('reports the tokens used, and is counted and kept like a streamed one', async (t) => {
    const agent = modelAgent(['Yes.'], { tokens: { input: 100, output: 7 } });
    const { platform, history, metric } = serveCompletions(t, agent);
    const { usage } = await (await platform.ask(WHOLE)).whole();
    const tokens = { prompt_tokens: 100, completion_tokens: 7, total_tokens: 107 };
    assert.deepEqual(usage, tokens);
    assert.deepEqual(await history('c-1'), [
      ['user', 'Hello?'], ['assistant', 'Yes.', 'completed'],
    ]);
    const labels = 'event="chat.completion",outcome="completed",wire="chat-completions"';
    await until(() => metric(`layercode_turns_total{${labels}}`) === 1, 'the turn');
  });

  it('counts as an open stream', async (t) => {
    const gate = deferred();
    const begun = deferred();
    const { platform } = serveCompletions(t, {
      onMessage: () => {
        begun.resolve();
        return gate.promise.then(() => 'Yes.');
      },
    }, { environment: { MAX_STREAMS: '1' } });
    const first = platform.ask(WHOLE);
    await within(begun.promise, 'the first');
    assert.equal((await platform.ask(HELLO, { conversationId: 'c-2' })).status, 503);
    gate.resolve();
    assert.equal((await first).status, 200);
  });
});

/** A streamed and a whole reply to the same request: what is spoken, the reason, the tool calls. */
const FORMS: readonly (readonly [
  form: string, ask: (
    t: TestContext, agent: Partial<Agent>, fields?: Fields,
    environment?: Readonly<Record<string, string>>,
  ) => Promise<{ readonly reply: readonly unknown[]; readonly logLines: readonly string[] }>,
])[] = [
  ['streamed', async (t, agent, fields, environment = {}) => {
    const { platform, logLines } = serveCompletions(t, agent, { environment });
    const answer = await platform.ask({ ...HELLO, ...fields });
    const chunks = await answer.chunks();
    const reply = [textIn(chunks), reasonIn(chunks), toolCallsIn(chunks)];
    return { reply, logLines };
  }],
  ['whole', async (t, agent, fields, environment = {}) => {
    const { platform, logLines } = serveCompletions(t, agent, { environment });
    const answer = await platform.ask({ ...WHOLE, ...fields });
    const { choices: [choice] } = await answer.whole();
    const calls = choice?.message.tool_calls?.map((call, index) => ({ index, ...call })) ?? [];
    const reply = [choice?.message.content, choice?.finish_reason, calls];
    return { reply, logLines };
  }],
];

for (const [form, ask] of FORMS) {
  const called = (name: string, args: Fields): Fields => ({
    index: 0, id: 'call_k', type: 'function',
    function: { name, arguments: JSON.stringify(args) },
  });

  /** The id of a tool call is made from the turn's, which is a hash. */
  const withoutId = (reply: readonly unknown[]): unknown =>
    JSON.parse(JSON.stringify(reply).replace(/"call_[0-9a-f]{32}"/g, '"call_k"'));

  describe(`what a ${form} reply holds`, () => {
    it('is what was said and the apology if the agent fails', async (t) => {
      const { reply } = await ask(t, {
        async *onMessage() {
          yield 'Well,';
          throw new Error('of the database');
        },
      });
      assert.deepEqual(reply, [`Well, ${APOLOGY}`, 'stop', []]);
    });

    for (const [profile, filler] of [
      ['generic', 'One moment. '],
      ['elevenlabs', 'One moment... '],
    ] as const) {
      it(`includes a filler that ${profile} speaks at once`, async (t) => {
        const environment = { CHAT_COMPLETIONS_PROFILE: profile, FILLER_AFTER_MS: '1' };
        const agent = modelAgent([[{ waitMs: 50 }, 'Done.']]);
        const { reply } = await ask(t, agent, { call: { id: 'c-1' } }, environment);
        assert.equal(reply[0], `${filler}Done.`);
      });
    }

    it('does not include data for a browser, and the log says so once', async (t) => {
      const { reply, logLines } = await ask(t, {
        async *onMessage(_turn, { data }) {
          await data({ a: 1 });
          await data({ b: 2 });
          yield 'Yes.';
        },
      });
      assert.deepEqual(reply, ['Yes.', 'stop', []]);
      const message =
        'a part of a reply was dropped: the platform offers no tool for it: data for a browser';
      assert.deepEqual(warningsIn(logLines), [message]);
    });

    it('does not include the status of tools, which causes no warning', async (t) => {
      const told = tool({
        name: 'tell', description: 'Tells.', parameters: LOOK.parameters, run: () => 'told',
        tellBrowser: 'everything',
      });
      const script = [[{ call: 'tell', args: {} }, { call: 'none', args: {} }], 'Found.'];
      const { reply, logLines } = await ask(t, modelAgent(script, { tools: [told] }));
      assert.deepEqual(reply, ['Found.', 'stop', []]);
      assert.deepEqual(warningsIn(logLines), ['tool call refused']); // for the missing tool
    });

    const goodbye = { reason: 'the agent has said goodbye' };
    const briefing = '**Ada** wants two loaves.';
    const destination = to;
    const sales = { destination: 'sales' };
    for (const [what, agent, name, said, args] of [
      ['ends the call', () => hangingUp, 'end_call', 'Goodbye.', goodbye],
      ['ends the call', () => hangingUp, 'endCall', 'Goodbye.', goodbye],
      [
        'ends the call for the model', () => modelAgent(
          [[{ call: hangUp.name, args: { goodbye: 'Bye.' } }]], { tools: [hangUp] },
        ), 'end_call', 'Bye.', goodbye,
      ],
      ['transfers the call', () => transferring, 'transferCall', 'One moment.', { destination }],
      ['transfers the call', () => transferring, 'transfer_call', 'One moment.', { destination }],
      [
        'transfers the call', () => transferring, 'transfer_to_number', 'One moment.',
        { transfer_number: to, client_message: '', agent_message: '' },
      ],
      [
        'transfers the call for the model',
        () => toSales({ ...sales, say: 'One moment.' }), 'transferCall', 'One moment.',
        { destination },
      ],
      [
        'briefs the person who is called',
        () => toSales({ ...sales, briefing }), 'transfer_to_number', '',
        { transfer_number: to, client_message: '', agent_message: 'Ada wants two loaves.' },
      ],
    ] as const)
      it(`is a tool call that ${what}, where ${name} is offered`, async (t) => {
        const { reply, logLines } = await ask(t, agent(), offering('other', name));
        assert.deepEqual(withoutId(reply), [said, 'tool_calls', [called(name, args)]]);
        assert.deepEqual(warningsIn(logLines), []);
      });

    it('is only the goodbye if no tool ends the call, and a warning says what to offer', async (t) => {
      const { reply, logLines } = await ask(t, hangingUp, offering('transferCall'));
      assert.deepEqual(reply, ['Goodbye.', 'stop', []]);
      const message =
        'a part of a reply was dropped: the platform offers no tool for it: hanging up';
      assert.deepEqual(warningsIn(logLines), [message]);
      const warning = linesOf(logLines).find(({ level }) => level === 'warn');
      const hint = 'on the platform, switch on or add the tool end_call or endCall';
      assert.equal(warning?.['hint'], hint);
    });

    it("comes from a model that is not shown the platform's tools", async (t) => {
      const model = scriptedModel(['Fine.']);
      const agent = defineAgent({ name: 'm', prompt: 'Be brief.', tools: [LOOK] });
      await ask(t, withModel(agent, model), offering('end_call', 'language_detection'));
      assert.deepEqual(model.requests[0]?.tools.map(({ name }) => name), ['look']);
    });

    it('is not a transfer if none is offered, and the agent is told so', async (t) => {
      const told = new Told<boolean>();
      const { reply } = await ask(t, {
        onMessage: (_turn, reply: Reply) => {
          told.tell(reply.transfer({ to: '+4930111', say: 'One moment.' }));
          return 'I cannot.';
        },
      }, offering('end_call'));
      assert.deepEqual([reply, await told.next()], [['I cannot.', 'stop', []], false]);
    });

    it('is what the model says if it may not transfer, and a warning is logged', async (t) => {
      const { reply, logLines } = await ask(t, toSales(sales));
      assert.deepEqual(reply, ['I cannot.', 'stop', []]);
      assert.ok(warningsIn(logLines).includes('this platform offers no transfer'));
    });

    for (const destination of ['__proto__', '+4930999']) {
      it(`is not a transfer to ${destination}, which the model made up`, async (t) => {
        const { reply } = await ask(t, toSales({ destination }), offering('transferCall'));
        assert.deepEqual(reply, ['I cannot.', 'stop', []]);
      });
    }

    for (const name of ['end_call', 'transferCall']) {
      it(`is empty if the platform reports how ${name} went`, async (t) => {
        const asked = new Told<string>();
        const messages = [...messagesOf(['user: Bye.', 'agent: Goodbye.']), ...toolResult(name)];
        const { reply } = await ask(t, { onMessage: ({ text }) => asked.tell(text) }, { messages });
        assert.deepEqual([reply, asked.all], [['', 'stop', []], []]);
      });
    }
  });
}

it('each thing the platform lacks causes one warning, however often it is wanted', async (t) => {
  const { platform, logLines } = serveCompletions(t, {
    onMessage: (_turn, reply) => {
      void reply.data(1);
      reply.hangup();
    },
  });
  for (const conversationId of ['c-1', 'c-2', 'c-3'])
    await platform.hear(HELLO, { conversationId });
  assert.equal(warningsIn(logLines).length, 2);
});

describe('the result of a tool that ends the call', () => {
  it('leaves the turn that called it completed, and is marked in the log', async (t) => {
    const { platform, history, logLines } = serveCompletions(t, hangingUp);
    const bye = messagesOf(['user: Bye.']);
    await platform.hear({ stream: true, messages: bye, ...offering('end_call') });
    await platform.hear({ stream: true, messages: [...bye, ...toolResult('end_call')] });
    assert.deepEqual(await history('c-1'), [
      ['user', 'Bye.'], ['assistant', 'Goodbye.', 'completed'],
    ]);
    const lines = await requestLines(logLines, 2);
    assert.deepEqual(lines.map(({ outcome }) => outcome), ['completed', 'completed before']);
  });

  it('does not keep the caller from speaking next', async (t) => {
    const { platform } = serveCompletions(t, { onMessage: ({ text }) => text });
    const [before, now] = [messagesOf(['user: Sales.']), messagesOf(['user: Hello?'])];
    const messages = [...before, ...toolResult('transferCall'), ...now];
    assert.equal(await platform.hear({ stream: true, messages }), 'Hello?');
  });
});
