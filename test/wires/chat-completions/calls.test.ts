// What requests mean for a call: whose it is, how it began, and what was said before.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn, StartTurn } from '../../../src/agents/agent.ts';
import { defineAgent } from '../../../src/agents/define-agent.ts';
import { withModel } from '../../../src/agents/with-model.ts';
import { MemoryStore } from '../../../src/conversations/memory-store.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { tool } from '../../../src/tools/tool.ts';
import { contentsOf, Told, until } from '../../fixtures/app.ts';
import {
  asking, CONVERSATION, echo, halting, messagesOf, requestLines, serveCompletions, warningsIn,
  type AskOptions, type Fields,
} from '../../fixtures/completions.ts';

const HELLO = asking(['user: Hello?']);
const NOBODY = 'the request names no conversation, so it stands alone';

function historyOf({ history }: MessageTurn): (readonly string[])[] {
  return history.map(({ role, content }) => [role, content]);
}

interface Asked {
  readonly profile: string;
  readonly fields?: Fields;
  readonly headers?: Readonly<Record<string, string>>;
}

describe('the conversation of a request', () => {
  const header = { 'x-conversation-id': 'h-1' };
  const cases: readonly (readonly [what: string, asked: Asked, id: string])[] = [
    ['the header, with generic', { profile: 'generic', headers: header }, 'h-1'],
    ['the header, with elevenlabs', { profile: 'elevenlabs', headers: header }, 'h-1'],
    ['the header, with cartesia', { profile: 'cartesia', headers: header }, 'h-1'],
    ['call.id, with vapi', { profile: 'vapi', fields: { call: { id: 'v-1' } } }, 'v-1'],
    ['call.callId, with vapi', { profile: 'vapi', fields: { call: { callId: 'v-2' } } }, 'v-2'],
    [
      'call.id before the header, with vapi',
      { profile: 'vapi', fields: { call: { id: 'v-1' } }, headers: header }, 'v-1',
    ],
    ['the header, with vapi that sends no call', { profile: 'vapi', headers: header }, 'h-1'],
    [
      'the room, with livekit',
      { profile: 'livekit', headers: { ...header, 'x-livekit-room-id': 'room' } }, 'room',
    ],
    ['the header, with livekit that sends no room', { profile: 'livekit', headers: header }, 'h-1'],
  ];
  for (const [what, { profile, fields, headers = {} }, id] of cases) {
    it(`is that of ${what}`, async (t) => {
      const { agent, turns } = echo();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, agent, { environment });
      await platform.hear({ ...HELLO, ...fields }, { conversationId: null, headers });
      const { conversationId, event, wire } = await turns.next();
      assert.deepEqual(
        [conversationId, event.type, wire], [id, 'chat.completion', 'chat-completions'],
      );
    });
  }

  const unnamed: readonly (readonly [what: string, asked: Asked])[] = [
    ['a field that only vapi sends', { profile: 'generic', fields: { call: { id: 'v-1' } } }],
    ['a number', { profile: 'vapi', fields: { call: { id: 7 } } }],
    ['an empty text', { profile: 'vapi', fields: { call: { id: '' } } }],
    ['a control character', { profile: 'vapi', fields: { call: { id: 'a\u0000b' } } }],
    ['257 characters', { profile: 'vapi', fields: { call: { id: 'x'.repeat(257) } } }],
    ['a list', { profile: 'vapi', fields: { call: [{ id: 'v-1' }] } }],
    ['user', { profile: 'generic', fields: { user: 'c-1' } }],
    ['metadata', { profile: 'generic', fields: { metadata: { conversation_id: 'c-1' } } }],
    ["elevenlabs' user_id", { profile: 'elevenlabs', fields: { user_id: 'c-1' } }],
  ];
  for (const [what, { profile, fields }] of unnamed) {
    it(`is not named by ${what}`, async (t) => {
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform, logLines } = serveCompletions(t, {}, { environment });
      await platform.hear({ ...HELLO, ...fields }, { conversationId: null });
      assert.deepEqual(warningsIn(logLines), [NOBODY]);
    });
  }
});

describe('the caller of a request', () => {
  const headers = { 'x-caller-number': '+49301', 'x-called-number': '+49302' };
  const customer = { customer: { number: '+49111' }, phoneNumber: { number: '+49222' } };
  const call = { id: CONVERSATION, type: 'inboundPhoneCall' };
  const cases: readonly (readonly [what: string, asked: Asked, caller: Fields | undefined])[] = [
    ['of generic stands in headers', { profile: 'generic', headers }, {
      from: '+49301', to: '+49302',
    }],
    ['of elevenlabs stands in headers', { profile: 'elevenlabs', headers }, {
      from: '+49301', to: '+49302',
    }],
    ['of vapi stands in the body', { profile: 'vapi', fields: { call, ...customer } }, {
      from: '+49111', to: '+49222',
    }],
    [
      'of vapi may stand in the call',
      { profile: 'vapi', fields: { call: { ...call, ...customer } } },
      { from: '+49111', to: '+49222' },
    ],
    ['of vapi never stands in headers', { profile: 'vapi', fields: { call }, headers }, undefined],
    [
      "of vapi's call from a browser is unknown",
      { profile: 'vapi', fields: { call: { ...call, type: 'webCall' }, ...customer }, headers },
      undefined,
    ],
    ['of a call with one number has that one', {
      profile: 'generic', headers: { 'x-called-number': '+49302' },
    }, { from: undefined, to: '+49302' }],
    ['is not what a body says to generic', { profile: 'generic', fields: customer }, undefined],
    ['is unknown if nothing names one', { profile: 'generic' }, undefined],
  ];
  for (const [what, { profile, fields, headers = {} }, expected] of cases) {
    it(what, async (t) => {
      const { agent, turns } = echo();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, agent, { environment });
      await platform.hear({ ...HELLO, ...fields }, { headers });
      assert.deepEqual((await turns.next()).caller, expected);
    });
  }
});

describe('what else a request says', () => {
  const cases: readonly (readonly [what: string, asked: Asked, metadata: Fields])[] = [
    ['metadata', { profile: 'generic', fields: { metadata: { a: 1 } } }, { a: 1 }],
    [
      'metadata of the call', { profile: 'vapi', fields: { call: { metadata: { a: 1 } } } },
      { a: 1 },
    ],
    [
      'what elevenlabs repeats of the browser',
      { profile: 'elevenlabs', fields: { elevenlabs_extra_body: { a: 1 }, metadata: { b: 2 } } },
      { a: 1 },
    ],
    ['nothing for text', { profile: 'generic', fields: { metadata: 'a' } }, {}],
    ['nothing for a list', { profile: 'generic', fields: { metadata: [1] } }, {}],
    ['nothing for nothing', { profile: 'livekit' }, {}],
  ];
  for (const [what, { profile, fields }, metadata] of cases) {
    it(`is told to the agent as metadata: ${what}`, async (t) => {
      const { agent, turns } = echo();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, agent, { environment });
      await platform.hear({ ...HELLO, ...fields });
      assert.deepEqual((await turns.next()).metadata, metadata);
    });
  }

  for (const [headers, language] of [
    [{ 'x-language': 'de-AT' }, 'de-AT'],
    [{ 'x-language': 'x'.repeat(257) }, undefined],
    [{}, undefined],
  ] as const) {
    it(`is the language: ${language}, of ${Object.keys(headers).length} headers`, async (t) => {
      const { agent, turns } = echo();
      const { platform } = serveCompletions(t, agent);
      await platform.hear(HELLO, { headers });
      assert.equal((await turns.next()).language, language);
    });
  }
});

describe('a request that names no conversation', () => {
  const unnamed: AskOptions = { conversationId: null };
  const lines = ['agent: Welcome.', 'user: Hello?', 'agent: Hi.', 'user: And now?'];

  it('tells the agent the call as the request has it', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    assert.equal(await platform.hear(lines, unnamed), 'You said And now?');
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Welcome.'], ['user', 'Hello?'], ['assistant', 'Hi.'], ['user', 'And now?'],
    ]);
  });

  it('leaves nothing in the store', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const { platform } = serveCompletions(t, {}, { store });
    for (const stream of [true, false])
      await (await platform.ask({ ...asking(lines), stream }, unnamed)).response.text();
    assert.equal(store.count(), 0);
  });

  it('leaves no welcome in the store', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const { platform } = serveCompletions(t, { welcome: 'Welcome.' }, { store });
    assert.equal(await platform.hear([], unnamed), 'Welcome.');
    assert.equal(store.count(), 0);
  });

  it('is warned of once', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    for (let request = 0; request < 3; request++) await platform.hear(HELLO, unnamed);
    assert.deepEqual(warningsIn(logLines), [NOBODY]);
  });

  it('is answered again each time: two callers may say the same', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    const texts = await Promise.all([1, 2].map(() => platform.hear(HELLO, unnamed)));
    assert.deepEqual([texts, turns.all.length], [['You said Hello?', 'You said Hello?'], 2]);
  });

  it('is answered again with the same Idempotency-Key', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    const headers = { 'idempotency-key': 'k-1' };
    for (const _ of [1, 2]) await platform.hear(HELLO, { ...unnamed, headers });
    assert.equal(turns.all.length, 2);
  });

  it('does not end the turn of another', async (t) => {
    const { agent, open } = halting();
    const { platform } = serveCompletions(t, agent);
    const first = await platform.ask(HELLO, unnamed);
    assert.equal(await first.word(), 'One.');
    const second = await platform.ask(HELLO, unnamed);
    assert.equal(await second.word(), 'One.');
    open();
    assert.deepEqual([await first.text(), await second.text()], [' Two.', ' Two.']);
  });

  it('offers no tool to the model that acts once', async (t) => {
    const common = {
      description: 'Does.', parameters: { type: 'object', properties: {} }, run: () => 'done',
    } as const;
    const tools = [tool({ name: 'pay', once: true, ...common }), tool({ name: 'look', ...common })];
    const model = scriptedModel(['Yes.', 'Yes.']);
    const agent = withModel(defineAgent({ name: 'm', prompt: 'Be brief.', tools }), model);
    const { platform } = serveCompletions(t, agent);
    await platform.hear(HELLO, unnamed);
    await platform.hear(HELLO);
    const offered = model.requests.map(({ tools }) => tools.map(({ name }) => name));
    assert.deepEqual(offered, [['look'], ['pay', 'look']]);
  });
});

describe('a request without words of anybody', () => {
  for (const lines of [[], ['system: Be brief.']]) {
    it(`asks for the welcome: ${JSON.stringify(lines)}`, async (t) => {
      const { platform, history } = serveCompletions(t, { welcome: 'Welcome.' });
      assert.equal(await platform.hear(lines), 'Welcome.');
      assert.deepEqual(await history(CONVERSATION), [['assistant', 'Welcome.', 'completed']]);
    });
  }

  it('is the start of the call: what the agent says comes before the first words', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, { welcome: 'Welcome.', ...agent });
    await platform.hear([]);
    await platform.hear(['agent: Welcome.', 'user: Hello?']);
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Welcome.'], ['user', 'Hello?'],
    ]);
  });

  it('is answered with silence by an agent that has no welcome', async (t) => {
    const { platform } = serveCompletions(t, {});
    assert.equal(await platform.hear([]), '');
  });
});

describe("a request that ends with the agent's words", () => {
  it('says that the caller was silent', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    await platform.hear(['user: Hello?']);
    await platform.hear(['user: Hello?', 'agent: You said Hello?']);
    assert.deepEqual(turns.all.map(({ text }) => text), ['Hello?', '']);
  });

  it('says so too where these are no words, but tool calls', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    const silent = { role: 'assistant', content: null, tool_calls: [] };
    await platform.hear({ stream: true, messages: [...messagesOf(['user: Hello?']), silent] });
    assert.equal((await turns.next()).text, '');
  });
});

describe('the start of a call in which the platform greets', () => {
  const greeted = ['agent: Hi, this is Anna.', 'user: Hello?'];

  it('is told to the agent before the words, with a reply that is over', async (t) => {
    const told: unknown[] = [];
    const { platform } = serveCompletions(t, {
      onSessionStart: ({ isResumed, conversationId }: StartTurn, reply) => {
        told.push(['start', isResumed, conversationId, reply.isOver, reply.say('Never said.')]);
        return 'Never read.';
      },
      onMessage: ({ text }) => {
        told.push(['message', text]);
        return 'Yes.';
      },
    });
    assert.equal(await platform.hear(greeted), 'Yes.');
    assert.deepEqual(told, [['start', false, CONVERSATION, true, false], ['message', 'Hello?']]);
  });

  it('is told once in a conversation', async (t) => {
    const starts = new Told<StartTurn>();
    const { platform } = serveCompletions(t, { onSessionStart: (turn) => starts.tell(turn) });
    await platform.hear(greeted);
    await platform.hear([...greeted, 'agent: Yes.', 'user: And now?']);
    assert.equal(starts.all.length, 1);
  });

  it('leaves the greeting in history', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    await platform.hear(greeted);
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Hi, this is Anna.'], ['user', 'Hello?'],
    ]);
  });
});

describe('the call that is sent with a request', () => {
  const long = 'We open at nine. We close at six.';

  for (const [profile, told, expected] of [
    ['livekit', ['agent: We open at nine.'], 'We open at nine.'],
    ['elevenlabs', ['agent: We open at nine.'], 'We open at nine.'],
    ['livekit', [`agent: ${long}`], long],
    ['generic', [`agent: ${long} And more.`], long],
  ] as const) {
    it(`cuts a reply, and never makes it longer: ${profile}, ${told.join()}`, async (t) => {
      const turns = new Told<MessageTurn>();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, {
        onMessage: (turn) => (turns.tell(turn), long),
      }, { environment });
      await platform.hear(['user: Hours?']);
      await platform.hear(['user: Hours?', ...told, 'user: And Sunday?']);
      const [, reply] = historyOf(turns.all[1] as MessageTurn);
      assert.deepEqual(reply?.[1]?.startsWith(expected), true);
      assert.equal(reply?.[1]?.includes('close'), expected === long);
    });
  }

  for (const [profile, isKept] of [['livekit', false], ['generic', true]] as const) {
    const what = isKept ? 'keeps a reply' : 'has a reply as unheard';
    it(`${what} where the platform has other words: ${profile}`, async (t) => {
      const turns = new Told<MessageTurn>();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, {
        onMessage: (turn) => (turns.tell(turn), long),
      }, { environment });
      await platform.hear(['user: Hours?']);
      await platform.hear(['user: Hours?', 'agent: Please hold the line.', 'user: And Sunday?']);
      const texts = historyOf(turns.all[1] as MessageTurn).map(([, text]) => text);
      assert.ok(texts.includes('Please hold the line.'));
      assert.equal(texts.includes(long), isKept);
    });
  }

  it('adds words that never reached us', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    await platform.hear(['user: One']);
    const lines = ['user: One', 'agent: You said One', 'user: Two', 'agent: Hm.', 'user: Three'];
    await platform.hear(lines);
    assert.deepEqual(historyOf(turns.all[1] as MessageTurn).map(([, text]) => text), [
      'One', 'You said One', 'Two', 'Hm.', 'Three',
    ]);
  });

  it('may be cut in front', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    const lines = ['user: One', 'agent: You said One', 'user: Two', 'agent: You said Two'];
    await platform.hear(lines.slice(0, 1));
    await platform.hear(lines.slice(0, 3));
    await platform.hear([...lines.slice(2), 'user: Three']);
    assert.deepEqual(historyOf(turns.all[2] as MessageTurn).map(([, text]) => text), [
      'One', 'You said One', 'Two', 'You said Two', 'Three',
    ]);
  });

  it('is taken as it is where we do not know it', async (t) => {
    const { agent, turns } = echo();
    const { platform } = serveCompletions(t, agent);
    await platform.hear(['agent: Welcome.', 'user: One', 'agent: Yes.', 'user: Two']);
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Welcome.'], ['user', 'One'], ['assistant', 'Yes.'], ['user', 'Two'],
    ]);
  });

  it('does not reach the conversation of LayerCode with another id', async (t) => {
    const { agent } = echo();
    const { platform, client, history } = serveCompletions(t, agent);
    await (await client.say('Mine.')).text();
    await platform.hear(['user: Theirs.']);
    assert.deepEqual((await history()).map(([, text]) => text), ['Mine.', 'You said Mine.']);
  });

  it('goes on a conversation that began over the other wire', async (t) => {
    const { agent, turns } = echo();
    const { platform, client } = serveCompletions(t, agent);
    const reply = await client.say('One', { conversation_id: CONVERSATION });
    assert.deepEqual(contentsOf(await reply.events()), ['You said One']);
    await platform.hear(['user: One', 'agent: You said One', 'user: Two']);
    assert.deepEqual(historyOf(turns.all[1] as MessageTurn).map(([, text]) => text), [
      'One', 'You said One', 'Two',
    ]);
  });
});

describe('the log and the metrics', () => {
  it('name the wire, the conversation and the turn of a request', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    await platform.hear(HELLO, { headers: { 'idempotency-key': 'k-1' } });
    const [line] = await requestLines(logLines);
    const names = ['event', 'wire', 'conversationId', 'turnId', 'outcome'];
    assert.deepEqual(
      names.map((name) => line?.[name]),
      ['chat.completion', 'chat-completions', 'c-1', 'k-1', 'completed'],
    );
  });

  it('never have the words of the caller or of the agent', async (t) => {
    const { platform, logLines } = serveCompletions(t, { onMessage: () => 'Your PIN is 4712.' });
    await platform.hear(['user: My PIN is 4711.']);
    await requestLines(logLines);
    assert.doesNotMatch(logLines.join(''), /471[12]/);
  });

  it('count turns under the wire', async (t) => {
    const { platform, metric } = serveCompletions(t, { welcome: 'Welcome.' });
    await platform.hear([]);
    await platform.hear(['agent: Welcome.', 'user: Hello?']);
    await (await platform.ask({ messages: messagesOf(['user: Hi.']) })).json();
    const labels = 'event="chat.completion",outcome="completed",wire="chat-completions"';
    await until(() => metric(`layercode_turns_total{${labels}}`) === 3, 'three turns');
  });
});
