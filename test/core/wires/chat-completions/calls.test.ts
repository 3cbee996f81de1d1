// What requests mean for a call: whose it is, how it began, and what was said before.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn, StartTurn } from '../../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../../src/core/agents/with-model.ts';
import { MemoryStore } from '../../../../src/core/conversations/memory-store.ts';
import { tool } from '../../../../src/core/tools/tool.ts';
import { turnEventOf } from '../../../../src/core/wires/chat-completions/our-events.ts';
import {
  PROFILES, type ProfileName,
} from '../../../../src/core/wires/chat-completions/profiles.ts';
import { parseCompletion, toldBy } from '../../../../src/core/wires/chat-completions/request.ts';
import { scriptedModel } from '../../../../src/kit/scripted-model.ts';
import { contentsOf, Told } from '../../../fixtures/app.ts';
import {
  asking, CONVERSATION, messagesOf, requestLines, serveCompletions, serveEcho, serveHalting,
  warningsIn, type AskOptions, type Fields,
} from '../../../fixtures/completions.ts';

const HELLO = asking(['user: Hello?']);
const NOBODY = 'the request names no conversation, so it stands alone';

function historyOf({ history }: MessageTurn): (readonly string[])[] {
  return history.map(({ role, content }) => [role, content]);
}

interface Asked {
  readonly fields?: Fields;
  readonly headers?: Readonly<Record<string, string>>;
}

describe('in what a platform says about a call,', () => {
  const header = { 'x-conversation-id': 'h-1' };
  const numbers = { 'x-caller-number': '+49301', 'x-called-number': '+49302' };
  const customer = { customer: { number: '+49111' }, phoneNumber: { number: '+49222' } };
  const call = { id: 'v-1', type: 'inboundPhoneCall' };
  const callOf = (id: unknown): Asked => ({ fields: { call: { id } } });
  const known = (conversationId: string): Fields => ({ conversationId, sessionId: conversationId });
  const unknown = { turnId: undefined };

  for (const [what, profile, { fields, headers = {} }, expected] of [
    ['the header names the conversation', 'generic', { headers: header }, known('h-1')],
    ['call.id names the conversation', 'vapi', callOf('v-1'), known('v-1')],
    ['call.callId counts, too', 'vapi', { fields: { call: { callId: 'v-2' } } }, known('v-2')],
    ['call.id beats the header', 'vapi', { ...callOf('v-1'), headers: header }, known('v-1')],
    [
      'call.id beats call.callId', 'vapi',
      { fields: { call: { id: 'v-1', callId: 'v-2' } } }, known('v-1'),
    ],
    ['the header counts if there is no call', 'vapi', { headers: header }, known('h-1')],
    [
      'the room names the conversation', 'livekit',
      { headers: { ...header, 'x-livekit-room-id': 'room' } }, known('room'),
    ],
    ['the header counts if there is no room', 'livekit', { headers: header }, known('h-1')],
    ['only vapi sends a call', 'generic', callOf('v-1'), unknown],
    ['a number is not an id', 'vapi', callOf(7), unknown],
    ['an empty string is not an id', 'vapi', callOf(''), unknown],
    ['an id has no control characters', 'vapi', callOf('a\u0000b'), unknown],
    ['257 characters are not an id', 'vapi', callOf('x'.repeat(257)), unknown],
    ['a list is not a call', 'vapi', { fields: { call: [{ id: 'v-1' }] } }, unknown],
    ['user names no conversation', 'generic', { fields: { user: 'c-1' } }, unknown],
    ['headers name the caller', 'generic', { headers: numbers }, {
      caller: { from: '+49301', to: '+49302' },
    }],
    ['the body names the caller', 'vapi', { fields: { call, ...customer }, headers: numbers }, {
      caller: { from: '+49111', to: '+49222' },
    }],
    ['the call may name the caller', 'vapi', { fields: { call: { ...call, ...customer } } }, {
      caller: { from: '+49111', to: '+49222' },
    }],
    ['a header does not name the caller', 'vapi', { fields: { call }, headers: numbers }, {
      caller: undefined,
    }],
    ['a call from a browser has no caller', 'vapi', {
      fields: { call: { ...call, type: 'webCall' }, ...customer },
    }, { caller: undefined }],
    ['one number may be unknown', 'generic', { headers: { 'x-called-number': '+49302' } }, {
      caller: { from: undefined, to: '+49302' },
    }],
    ['a body does not name the caller', 'generic', { fields: customer }, { caller: undefined }],
    ['metadata is kept', 'generic', { fields: { metadata: { a: 1 } } }, { metadata: { a: 1 } }],
    ['metadata may be in the call', 'vapi', { fields: { call: { metadata: { a: 1 } } } }, {
      metadata: { a: 1 },
    }],
    ['metadata is what the browser has sent', 'elevenlabs', {
      fields: { elevenlabs_extra_body: { a: 1 }, metadata: { b: 2 } },
    }, { metadata: { a: 1 } }],
    ['text is not metadata', 'generic', { fields: { metadata: 'a' } }, { metadata: {} }],
    ['a list is not metadata', 'generic', { fields: { metadata: [1] } }, { metadata: {} }],
    ['the language is in a header', 'generic', { headers: { 'x-language': 'de-AT' } }, {
      language: 'de-AT',
    }],
    ['a long text is not a language', 'generic', { headers: { 'x-language': 'x'.repeat(257) } }, {
      language: undefined,
    }],
  ] as readonly (readonly [string, ProfileName, Asked, Fields])[])
    it(`${what}: ${profile}`, () => {
      const raw = parseCompletion(Buffer.from(JSON.stringify({ ...HELLO, ...fields })));
      const event = turnEventOf(raw, toldBy(raw), headers, PROFILES[profile]) as unknown as Fields;
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(event[name], value);
    });

  it('every part reaches the agent', async (t) => {
    const environment = { CHAT_COMPLETIONS_PROFILE: 'vapi' };
    const { platform, turns } = serveEcho(t, {}, { environment });
    const fields = { call: { ...call, metadata: { a: 1 } }, ...customer };
    const headers = { 'x-language': 'de' };
    await platform.hear({ ...HELLO, ...fields }, { conversationId: null, headers });
    const { conversationId, caller, metadata, language, wire } = await turns.next();
    assert.deepEqual([conversationId, caller, metadata, language, wire], [
      'v-1', { from: '+49111', to: '+49222' }, { a: 1 }, 'de', 'chat-completions',
    ]);
  });
});

describe('a request that names no conversation', () => {
  const unnamed: AskOptions = { conversationId: null };
  const lines = ['agent: Welcome.', 'user: Hello?', 'agent: Hi.', 'user: And now?'];

  it('gives the agent the history in the request', async (t) => {
    const { platform, turns } = serveEcho(t);
    assert.equal(await platform.hear(lines, unnamed), 'You said And now?');
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Welcome.'], ['user', 'Hello?'], ['assistant', 'Hi.'], ['user', 'And now?'],
    ]);
  });

  it('leaves nothing in the store, whatever form its reply takes', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const { platform } = serveCompletions(t, { welcome: 'Welcome.' }, { store });
    assert.equal(await platform.hear([], unnamed), 'Welcome.');
    for (const stream of [true, false])
      await (await platform.ask({ ...asking(lines), stream }, unnamed)).response.text();
    assert.equal(store.count(), 0);
  });

  it('causes a warning only the first time', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    for (let request = 0; request < 3; request++) await platform.hear(HELLO, unnamed);
    assert.deepEqual(warningsIn(logLines), [NOBODY]);
  });

  it('is answered anew each time, even with the same Idempotency-Key', async (t) => {
    const { platform, turns } = serveEcho(t);
    const headers = { 'idempotency-key': 'k-1' };
    for (const _ of [1, 2]) await platform.hear(HELLO, { ...unnamed, headers });
    assert.equal(turns.all.length, 2);
  });

  it('does not end another request\'s turn', async (t) => {
    const { platform, open } = serveHalting(t);
    const first = await platform.ask(HELLO, unnamed);
    assert.equal(await first.word(), 'One.');
    const second = await platform.ask(HELLO, unnamed);
    assert.equal(await second.word(), 'One.');
    open();
    assert.deepEqual([await first.text(), await second.text()], [' Two.', ' Two.']);
  });

  it('offers the model no once tools', async (t) => {
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

describe('a request without anybody\'s words', () => {
  it('asks for the welcome, which then comes first in history', async (t) => {
    const { platform, turns } = serveEcho(t, { welcome: 'Welcome.' });
    assert.equal(await platform.hear(['system: Be brief.']), 'Welcome.');
    await platform.hear(['agent: Welcome.', 'user: Hello?']);
    assert.deepEqual(historyOf(await turns.next()), [
      ['assistant', 'Welcome.'], ['user', 'Hello?'],
    ]);
  });
});

describe("a request that ends with the agent's words", () => {
  it('says that the caller was silent', async (t) => {
    const { platform, turns } = serveEcho(t);
    await platform.hear(['user: Hello?']);
    await platform.hear(['user: Hello?', 'agent: You said Hello?']);
    assert.deepEqual(turns.all.map(({ text }) => text), ['Hello?', '']);
  });

  it('says that the caller was silent even if the agent only called tools', async (t) => {
    const { platform, turns } = serveEcho(t);
    const silent = { role: 'assistant', content: null, tool_calls: [] };
    await platform.hear({ stream: true, messages: [...messagesOf(['user: Hello?']), silent] });
    assert.equal((await turns.next()).text, '');
  });
});

describe('the start of a call in which the platform greets', () => {
  const greeted = ['agent: Hi, this is Anna.', 'user: Hello?'];

  it('is reported once, before the first words, with a reply that has ended', async (t) => {
    const told: unknown[] = [];
    const { platform, history } = serveCompletions(t, {
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
    assert.deepEqual((await history(CONVERSATION))[0]?.[1], 'Hi, this is Anna.');
    await platform.hear([...greeted, 'agent: Yes.', 'user: And now?']);
    assert.deepEqual(told, [
      ['start', false, CONVERSATION, true, false], ['message', 'Hello?'], ['message', 'And now?'],
    ]);
  });
});

describe('the transcript in a request', () => {
  const long = 'We open at nine. We close at six.';

  for (const [profile, told, history] of [
    ['livekit', 'We open at nine.', ['Hours?', 'We open at nine.', 'And Sunday?']],
    ['elevenlabs', 'We open at nine.', ['Hours?', 'We open at nine.', 'And Sunday?']],
    ['livekit', long, ['Hours?', long, 'And Sunday?']],
    ['generic', `${long} And more.`, ['Hours?', long, 'And Sunday?']],
    ['livekit', 'Please hold.', ['Hours?', 'Please hold.', 'And Sunday?']],
    ['generic', 'Please hold.', ['Hours?', long, 'Please hold.', 'And Sunday?']],
  ] as const)
    it(`may shorten a reply, but not lengthen it: ${profile}, ${told}`, async (t) => {
      const turns = new Told<MessageTurn>();
      const environment = { CHAT_COMPLETIONS_PROFILE: profile };
      const { platform } = serveCompletions(t, {
        onMessage: (turn) => (turns.tell(turn), long),
      }, { environment });
      await platform.hear(['user: Hours?']);
      await platform.hear(['user: Hours?', `agent: ${told}`, 'user: And Sunday?']);
      assert.deepEqual(historyOf(turns.all[1] as MessageTurn).map(([, text]) => text), history);
    });

  it('continues a conversation that began on the other wire', async (t) => {
    const { platform, client, turns } = serveEcho(t);
    const reply = await client.say('One', { conversation_id: CONVERSATION });
    assert.deepEqual(contentsOf(await reply.events()), ['You said One']);
    await platform.hear(['user: One', 'agent: You said One', 'user: Two']);
    assert.deepEqual(historyOf(turns.all[1] as MessageTurn).map(([, text]) => text), [
      'One', 'You said One', 'Two',
    ]);
  });
});

describe('the log of requests', () => {
  it('names the wire, the conversation, the turn and its outcome', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    await platform.hear(HELLO, { headers: { 'idempotency-key': 'k-1' } });
    const [line] = await requestLines(logLines);
    const names = ['event', 'wire', 'conversationId', 'turnId', 'outcome'];
    assert.deepEqual(
      names.map((name) => line?.[name]),
      ['chat.completion', 'chat-completions', 'c-1', 'k-1', 'completed'],
    );
  });
});
