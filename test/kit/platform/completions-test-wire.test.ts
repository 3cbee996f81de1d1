// The client that users test their agents with, as a Chat Completions platform.

import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { StartTurn } from '../../../src/core/agents/agent.ts';
import {
  PROFILE_NAMES, type ProfileName,
} from '../../../src/core/wires/chat-completions/profiles.ts';
import {
  createTestClient, type CompletionsClientOptions, type TestClient, type TestClientOptions,
} from '../../../src/testing.ts';
import { serve, Told, typesOf, type Served, type TestAgent } from '../../fixtures/app.ts';
import { itDropsReplies } from '../../fixtures/dropped-reply.ts';
import { foreignServer } from '../../fixtures/foreign-server.ts';

const KEY = 'key-of-the-client';
const REPLY = 'data: {"choices":[{"delta":{"content":"One, two three"}}]}\n\ndata: [DONE]\n\n';

interface Sent {
  readonly headers: IncomingHttpHeaders;
  readonly url: string | undefined;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A client of a server that is not ours, and what that server is sent. */
async function clientOf(
  t: TestContext, options: Partial<CompletionsClientOptions> = {},
): Promise<{ readonly client: TestClient; readonly sent: Told<Sent> }> {
  const sent = new Told<Sent>();
  const { origin } = await foreignServer(t, (response, { request: { headers, url }, text }) => {
    sent.tell({ headers, url, text, body: JSON.parse(text) as Sent['body'] });
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(REPLY);
  });
  const client = createTestClient(origin, {
    wire: 'chat-completions', key: KEY, conversationId: 'c-1', ...options,
  });
  return { client, sent };
}

/** An app, and a client of it over this wire. */
function served(t: TestContext, agent: TestAgent, profile: ProfileName = 'generic'): Served {
  const environment = {
    CHAT_COMPLETIONS_KEYS: KEY, CHAT_COMPLETIONS_PROFILE: profile, SETTLE_MS: '0',
  };
  const { app, ...others } = serve(t, agent, { environment });
  const options = { wire: 'chat-completions', profile, key: KEY } as const;
  const client = createTestClient(app, options);
  return {
    ...others,
    app,
    client,
    history: (id = client.conversationId) => others.history(id),
    messages: (id = client.conversationId) => others.messages(id),
  };
}

/** The messages of the last request after the platform's prompt, as role and content. */
function said({ all }: Told<Sent>): unknown[] {
  const messages = all.at(-1)?.body['messages'] as readonly { role: string; content: unknown }[];
  return messages.slice(1).map(({ role, content }) => [role, content]);
}

describe('createTestClient over Chat Completions', () => {
  it('resends all that was said, with what was read of each reply', async (t) => {
    const { client, sent } = await clientOf(t);
    await (await client.start()).text();
    await (await client.say('First.')).text();
    await client.say('Nobody reads the reply to this.');
    await client.say('Last.');
    assert.deepEqual(said(sent), [
      ['assistant', 'One, two three'],
      ['user', 'First.'],
      ['assistant', 'One, two three'],
      ['user', 'Nobody reads the reply to this.'],
      ['user', 'Last.'],
    ]);
  });

  it('resends the words that were heard before an interruption', async (t) => {
    const { client, sent } = await clientOf(t);
    const cut = await client.say('Go on.', { interruptAfterWords: 2 });
    assert.equal(await cut.text(), 'One, two');
    await client.say('Wait.', { interruptAfterWords: 0 });
    await client.say('Yes.');
    assert.deepEqual(said(sent), [
      ['user', 'Go on.'], ['assistant', 'One, two'], ['user', 'Wait.'], ['user', 'Yes.'],
    ]);
  });

  const facts = {
    from_phone_number: '+4930111', to_phone_number: '+4930222',
    metadata: { plan: 'gold' }, custom_metadata: { table: 7 },
  };
  for (const profile of PROFILE_NAMES) {
    it(`is understood by a server with the profile ${profile}`, async (t) => {
      const started = new Told<StartTurn>();
      const { client } = served(t, {
        onSessionStart: (turn) => {
          started.tell(turn);
          return 'Hello.';
        },
      }, profile);
      assert.equal(await (await client.start(facts)).text(), 'Hello.');
      const turn = await started.next();
      assert.equal(turn.conversationId, client.conversationId);
      assert.deepEqual(turn.caller, { from: '+4930111', to: '+4930222' });
      assert.deepEqual(turn.metadata, { plan: 'gold', table: 7 });
    });
  }

  it('adds other fields to the body, or replaces its own', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('Hello?', { temperature: 1, messages: [] });
    const { body } = await sent.next();
    assert.deepEqual([body['temperature'], body['messages']], [1, []]);
  });

  it('keeps conversations apart', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('One.', { conversation_id: 'a' });
    await client.say('Two.', { conversation_id: 'b' });
    assert.equal(sent.all[1]?.headers['x-conversation-id'], 'b');
    assert.deepEqual(said(sent), [['user', 'Two.']]);
  });

  it('offers the tools that the test names, and no others', async (t) => {
    const { client, sent } = await clientOf(t, { tools: ['endCall'] });
    await client.say('Hello?');
    const { body } = await sent.next();
    const tools = body['tools'] as readonly { readonly function: { readonly name: string } }[];
    assert.deepEqual(tools.map((tool) => tool.function.name), ['endCall']);
  });

  it('delivers the same bytes again with the same headers', async (t) => {
    const { client, sent } = await clientOf(t, { profile: 'cartesia' });
    await (await client.say('Hello?')).text();
    await client.deliverAgain();
    const [first, second] = sent.all;
    assert.equal(second?.text, first?.text);
    assert.ok(first?.headers['idempotency-key']);
    assert.equal(second?.headers['idempotency-key'], first.headers['idempotency-key']);
  });

  it('posts a body from the test, with the key and the headers of the call', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.post('{"messages":[]}', { headers: { 'x-tenant': 'acme' } });
    const { text, headers } = await sent.next();
    assert.deepEqual(
      [text, headers.authorization, headers['x-conversation-id'], headers['x-tenant']],
      ['{"messages":[]}', `Bearer ${KEY}`, 'c-1', 'acme'],
    );
  });

  it('posts with another key, or with none', async (t) => {
    const { client } = served(t, {});
    const body = { messages: [{ role: 'user', content: 'Hello?' }], stream: true };
    const statuses = [await client.post(body), await client.post(body, { key: 'another' }),
      await client.post(body, { key: null })].map(({ status }) => status);
    assert.deepEqual(statuses, [200, 401, 401]);
  });

  it('refuses an option of post() that its wire lacks, and names the right one', async (t) => {
    const { client, sent } = await clientOf(t);
    await assert.rejects(client.post({}, { signature: null }), {
      message: 'post() has no option signature on the wire chat-completions; use key instead',
    });
    const other = createTestClient('http://127.0.0.1:9', { secret: 's' });
    await assert.rejects(other.post({}, { key: null }), {
      message: 'post() has no option key on the wire layercode; use signature instead',
    });
    assert.equal(sent.all.length, 0);
  });

  for (const [options, message] of [
    [{ wire: 'chat-completions', secret: 's' }, /needs the option key on the wire chat-comp/],
    [{ key: 'k' }, /needs the option secret on the wire layercode$/],
    [
      { wire: 'chat-completions', key: 'k', profile: 'vappi' },
      /profile must be one of generic, vapi, .*, got "vappi"$/,
    ],
    [{ wire: 'relay' }, /wire must be one of layercode, chat-completions, got "relay"$/],
  ] as const) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      const wrong = options as unknown as TestClientOptions;
      assert.throws(() => createTestClient('http://127.0.0.1:9', wrong), {
        name: 'TypeError', message,
      });
    });
  }
});

describe('a reply over Chat Completions', () => {
  const goodbye: TestAgent = {
    onMessage: (_turn, reply) => {
      reply.say('Good');
      reply.hangup({ say: 'bye.' });
    },
  };

  it('has events named after what the chunks contain', async (t) => {
    const { client } = served(t, goodbye);
    const [first, second, call, ...rest] = await (await client.say('Bye.')).events();
    assert.deepEqual([first, second, ...rest], [
      { type: 'content', content: 'Good' },
      { type: 'content', content: ' bye.' },
      { type: 'finish', content: 'tool_calls' },
      { type: 'done' },
    ]);
    assert.equal(call?.type, 'tool_call');
    const { name, arguments: args } = call.content as { name: string; arguments: string };
    assert.deepEqual([name, typeof JSON.parse(args)], ['end_call', 'object']);
  });

  it('says whether the agent hangs up', async (t) => {
    const { client } = served(t, {
      ...goodbye, welcome: 'Hello.',
    });
    assert.equal(await (await client.start()).hangsUp(), false);
    assert.equal(await (await client.say('Bye.')).hangsUp(), true);
  });

  it('has events and text even if it is not streamed', async (t) => {
    const { client } = served(t, { onMessage: () => 'Yes.' });
    const reply = await client.say('Hello?', { stream: false });
    assert.equal(await reply.text(), 'Yes.');
    assert.deepEqual(typesOf(await reply.events()), ['content', 'finish', 'usage']);
  });

  it('has no events if it is refused, but an error that can be read', async (t) => {
    const { client } = served(t, {});
    const body = '{"messages":1}';
    assert.deepEqual(await (await client.post(body)).events(), []);
    const answer = (await (await client.post(body)).json()) as { error: { param: string } };
    assert.equal(answer.error.param, 'messages');
  });

  itDropsReplies(served);

  it('lists the tool calls of its turn, even if it is delivered again', async (t) => {
    const { client } = served(t, {
      async onMessage({ journal }) {
        await journal.runTools([{ id: 'c', name: 'price', args: '{}' }], () => ({
          run: () => '{"euros":9}',
        }));
        return 'Nine euros.';
      },
    });
    const calls = [{ tool: 'price', args: {}, result: { euros: 9 }, state: 'completed' }];
    assert.deepEqual(await (await client.say('How much?')).toolCalls(), calls);
    assert.deepEqual(await (await client.deliverAgain()).toolCalls(), calls);
  });
});
