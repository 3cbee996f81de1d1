// The client that users test their agents with, over a real socket.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { ToolCall } from '../../src/core/conversations/message.ts';
import { verifySignature } from '../../src/core/wires/layercode/signature.ts';
import { createTestClient, type TestClient } from '../../src/testing.ts';
import {
  contentsOf, deferred, fired, SECRET, serve, typesOf, type Told, type TestAgent,
} from '../fixtures/app.ts';
import { itDropsReplies } from '../fixtures/dropped-reply.ts';
import { foreignServer, type Sent } from '../fixtures/foreign-server.ts';
import { wireBody } from '../fixtures/wire.ts';

/** A client of a server that is not ours, and what that server is sent. */
async function clientOf(
  t: TestContext,
  answer: Parameters<typeof foreignServer>[1] = (response) => response.end(),
): Promise<{ client: TestClient; sent: Told<Sent>; origin: string }> {
  const { origin, sent } = await foreignServer(t, answer);
  return { client: createTestClient(origin, { secret: SECRET }), sent, origin };
}

describe('createTestClient', () => {
  it('signs the exact bytes that it posts', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('Grüezi ☂');
    const { request, text: body } = await sent.next();
    assert.equal(
      verifySignature(body, String(request.headers['layercode-signature']), SECRET),
      true,
    );
  });

  it('posts text and bytes as they are', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.post(wireBody('message'));
    await client.post(Buffer.from(wireBody('message')));
    assert.deepEqual(sent.all.map(({ text }) => text), [wireBody('message'), wireBody('message')]);
  });

  const posts: readonly (readonly [
    what: string, post: (client: TestClient) => Promise<unknown>,
    seen: (sent: Sent) => unknown, expected: unknown,
  ])[] = [
    ['JSON to /api/agent by default', (client) => client.say('Hello?'),
      ({ request: { method, url, headers } }) => [method, url, headers['content-type']],
      ['POST', '/api/agent', 'application/json']],
    ['no signature if it is null', (client) => client.post({}, { signature: null }),
      ({ request }) => request.headers['layercode-signature'], undefined],
    ['additional headers', (client) => client.post({}, { headers: { 'x-tenant': 'acme' } }),
      ({ request }) => request.headers['x-tenant'], 'acme'],
    ["fields in place of the event's own",
      (client) => client.say('Hello?', { turn_id: 't-1', custom_metadata: { plan: 'gold' } }),
      ({ text }) => {
        const { turn_id, custom_metadata, text: said } = JSON.parse(text);
        return [turn_id, custom_metadata, said];
      },
      ['t-1', { plan: 'gold' }, 'Hello?']],
  ];
  for (const [what, post, seen, expected] of posts) {
    it(`posts ${what}`, async (t) => {
      const { client, sent } = await clientOf(t);
      await post(client);
      assert.deepEqual(seen(await sent.next()), expected);
    });
  }

  it('posts to the given agentRoute', async (t) => {
    const { sent, origin } = await clientOf(t);
    const options = { secret: SECRET, agentRoute: '/hooks/voice' };
    await createTestClient(`${origin}/`, options).say('Hello?');
    assert.equal((await sent.next()).request.url, '/hooks/voice');
  });

  it('keeps a conversation of its own, and begins a turn with each event', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.start();
    await client.say('Hello?');
    const events = sent.all.map(
      ({ text: body }) => JSON.parse(body) as { conversation_id: string; turn_id: string },
    );
    assert.deepEqual(
      [
        new Set(events.map(({ conversation_id }) => conversation_id)),
        new Set(events.map(({ turn_id }) => turn_id)).size,
      ],
      [new Set([client.conversationId]), 2],
    );
    const other = createTestClient('http://127.0.0.1:9', { secret: SECRET });
    assert.notEqual(client.conversationId, other.conversationId);
  });

  it('serves an app on a free port at the first request, and only once', async (t) => {
    const { client } = serve(t, {});
    const [first, second] = await Promise.all([
      client.say('One'),
      client.say('Two', { conversation_id: 'another' }),
    ]);
    assert.deepEqual([first.status, second.status], [200, 200]);
  });

  it('closes the app', async (t) => {
    const { client } = serve(t, {});
    const origin = await client.origin();
    await client.close();
    await assert.rejects(fetch(`${origin}/health`));
  });
});

const threeWords = (response: ServerResponse): unknown =>
  response.writeHead(200, { 'content-type': 'text/event-stream' })
    .end('data: {"type":"response.tts","content":"One, two three"}\n\n');

/** Speaks for as long as somebody listens. */
const endless: TestAgent = {
  async *onMessage({ text, signal }) {
    if (text !== 'Go on.') {
      yield 'Yes?';
      return;
    }
    yield 'One two';
    yield ', three ';
    yield 'four.';
    await fired(signal);
  },
};

describe('createTestClient with interruptAfterWords or interruptWhen', () => {
  it('cuts the reply after that many words', async (t) => {
    const { client } = serve(t, endless);
    const reply = await client.say('Go on.', { interruptAfterWords: 3 });
    assert.equal(await reply.text(), 'One two, three');
    assert.deepEqual(contentsOf(await reply.events()), ['One two', ', three']);
  });

  it('makes the next message say what was heard', async (t) => {
    const { client, sent } = await clientOf(t, threeWords);
    await client.say('Go on.', { turn_id: 't-1', interruptAfterWords: 1 });
    await client.say('Wait.');
    await client.say('Yes.');
    const contexts = sent.all.map(
      ({ text: body }) => (JSON.parse(body) as Record<string, unknown>)['interruption_context'],
    );
    assert.deepEqual(contexts, [
      undefined,
      {
        previous_turn_interrupted: true,
        words_heard: 1,
        text_heard: 'One,',
        assistant_turn_id: 't-1',
      },
      undefined,
    ]);
  });

  it('cuts a reply before any of it is heard', async (t) => {
    const { client, history } = serve(t, {
      *onMessage({ text }) {
        yield ' ';
        yield text;
      },
    });
    const reply = await client.say('One.', { interruptAfterWords: 0 });
    assert.equal((await reply.text()).trim(), '');
    await (await client.say('Two.')).text();
    assert.deepEqual(await history(), [
      ['user', 'One.'], ['user', 'Two.'], ['assistant', ' Two.', 'completed'],
    ]);
  });

  // The client used to wait for the headers, which come with the first event, so it left only after
  // a filler or an apology.
  it('interrupts a turn while a silent tool is running', async (t) => {
    const running = new AbortController();
    const stopped = deferred<unknown>();
    const { client, history } = serve(t, {
      async onMessage({ text, signal }, reply) {
        if (text === 'Two.') return void reply.say('Yes.');
        running.abort();
        await fired(signal);
        stopped.resolve(signal.reason);
      },
    });
    const reply = await client.say('One.', { interruptWhen: running.signal });
    assert.equal(await reply.text(), '');
    assert.match(String(await stopped.promise), /the caller left/); // nothing else was posted yet
    await (await client.say('Two.')).text();
    assert.deepEqual(await history(), [
      ['user', 'One.'], ['user', 'Two.'], ['assistant', 'Yes.', 'completed'],
    ]);
  });

  for (const [what, options] of [
    ['ends before the signal fires', { interruptWhen: new AbortController().signal }],
    ['has fewer words', { interruptAfterWords: 3 }],
  ] as const) {
    it(`leaves alone a reply that ${what}`, async (t) => {
      const { client, history } = serve(t, { onMessage: ({ text }) => text });
      const reply = await client.say('One two.', options);
      assert.deepEqual(typesOf(await reply.events()), ['response.tts', 'response.end']);
      await (await client.say('Three.')).text();
      assert.deepEqual((await history())[1], ['assistant', 'One two.', 'completed']);
    });
  }

  it('refuses two interruptions of one reply', async (t) => {
    const { client } = serve(t, { onMessage: ({ text }) => text });
    const { signal } = new AbortController();
    const both = client.say('One.', { interruptAfterWords: 1, interruptWhen: signal });
    await assert.rejects(both, /a reply is interrupted once/);
  });

  it('leaves alone a turn in which nothing is said', async (t) => {
    const { client } = serve(t, { onMessage: (_turn, reply) => void reply.data('no') });
    const reply = await client.say('Hello?', { interruptAfterWords: 0 });
    assert.deepEqual(typesOf(await reply.events()), ['response.data', 'response.end']);
  });

  it('reports no interruption with a session.start, nor with a message after it', async (t) => {
    const { client, sent } = await clientOf(t, threeWords);
    await client.say('Go on.', { interruptAfterWords: 1 });
    await client.start();
    await client.say('Hi.');
    assert.equal(sent.all.length, 3);
    assert.ok(sent.all.every(({ text: body }) => !body.includes('interruption_context')));
  });

  it('reports an interruption only to the interrupted conversation', async (t) => {
    const { client, history } = serve(t, { onMessage: ({ text }) => text });
    await client.say('One two.', { conversation_id: 'a', interruptAfterWords: 1 });
    await (await client.say('Three four.', { conversation_id: 'b' })).text();
    await (await client.say('Five.', { conversation_id: 'a' })).text();
    assert.deepEqual((await history('a'))[1], ['assistant', 'One', 'interrupted']);
    assert.deepEqual((await history('b'))[1], ['assistant', 'Three four.', 'completed']);
  });

  it('prefers an interruption_context from the test', async (t) => {
    const { client, history } = serve(t, { onMessage: ({ text }) => text });
    await client.say('One two.', { interruptAfterWords: 1 });
    await (await client.say('Three.', { interruption_context: null })).text();
    assert.deepEqual((await history())[1], ['assistant', 'One two.', 'completed']);
  });

  it('gives no text for a refused request, but says why', async (t) => {
    const { client } = await clientOf(t, (response) => {
      response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"no"}');
    });
    const message = 'the request was refused with status 401: {"error":"no"}';
    await assert.rejects((await client.say('Hello?')).text(), { message });
  });

  it('does not consume an answer that is not a stream', async (t) => {
    const { client } = await clientOf(t, (response) => {
      response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":"full"}');
    });
    const reply = await client.say('Hello?', { interruptAfterWords: 1 });
    assert.deepEqual(await reply.json(), { error: 'full' });
  });

  for (const count of [-1, 1.5, Number.NaN]) {
    it(`refuses ${count} words, before anything is sent`, async (t) => {
      const { client, sent } = await clientOf(t);
      await assert.rejects(client.say('Hello?', { interruptAfterWords: count }), {
        name: 'RangeError',
        message: `interruptAfterWords must be an integer of at least 0, got ${count}`,
      });
      assert.equal(sent.all.length, 0);
    });
  }
});

describe('deliverAgain', () => {
  it('posts the last turn with the same bytes, whatever else has been posted since', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.start();
    await client.say('Hello?', { custom_metadata: { plan: 'gold' } });
    await client.post({ type: 'data' });
    await client.deliverAgain();
    const [, said, , again] = sent.all;
    assert.equal(again?.text, said?.text);
    assert.ok(again);
  });

  it('fails if there has been no turn', async () => {
    const client = createTestClient('http://127.0.0.1:9', { secret: SECRET });
    await assert.rejects(client.deliverAgain(), {
      message: 'deliverAgain() needs a turn: say something',
    });
  });
});

/** Calls tools as a model would, and says how many. */
function callingAgent(...calls: readonly ToolCall[]): TestAgent {
  return {
    async onMessage({ journal }) {
      const outcomes = await journal.runTools(calls, ({ name }) => ({
        run: () => {
          if (name === 'break') throw new Error('broken');
          return '{"euros":9}';
        },
      }));
      return `${outcomes.length} calls.`;
    },
  };
}

describe('TestReply.toolCalls', () => {
  const price = { id: 'c', name: 'price', args: '{"stems":3}' };

  it('lists the calls of the turn with what the model wrote and received', async (t) => {
    const broken = { id: 'c', name: 'break', args: 'stems' };
    const { client } = serve(t, callingAgent(price, broken));
    const reply = await client.say('How much?');
    assert.deepEqual(await reply.toolCalls(), [
      { tool: 'price', args: { stems: 3 }, result: { euros: 9 }, state: 'completed' },
      { tool: 'break', args: 'stems', result: { error: 'broken' }, state: 'completed' },
    ]);
  });

  it('can be called before and after the text, and after a loop over the events', async (t) => {
    const { client } = serve(t, callingAgent(price));
    const first = await client.say('One.');
    assert.equal((await first.toolCalls()).length, 1);
    assert.equal(await first.text(), '1 calls.');
    const second = await client.say('Two.');
    assert.equal(await second.text(), '1 calls.');
    assert.equal((await second.toolCalls()).length, 1);
    const third = await client.say('Three.');
    for await (const { type } of third) assert.match(type, /^response\./);
    assert.equal((await third.toolCalls()).length, 1);
  });

  // The client made the turn's id from the raw words, and found no call: a test that no payment was
  // made could not fail.
  for (const wire of ['layercode', 'chat-completions'] as const)
    it(`lists them over ${wire} after words that are redacted`, async (t) => {
      const { app } = serve(t, { ...callingAgent(price), redact: ['cards'] }, {
        environment: { CHAT_COMPLETIONS_KEYS: SECRET },
      });
      const client = createTestClient(app, { wire, secret: SECRET, key: SECRET });
      const reply = await client.say('My card is 4111 1111 1111 1111.');
      assert.equal((await reply.toolCalls()).length, 1);
    });

  it('fails if history no longer has the turn', async (t) => {
    const { client, app } = serve(t, callingAgent(price));
    const reply = await client.say('How much?');
    await reply.text();
    await app.conversations.clear(client.conversationId);
    await assert.rejects(reply.toolCalls(), { message: /^toolCalls\(\): history has no turn / });
  });

  it('does not list calls of another turn', async (t) => {
    const { client } = serve(t, { ...callingAgent(price), onSessionStart: () => 'Hello.' });
    await (await client.say('How much?')).text();
    assert.deepEqual(await (await client.start()).toolCalls(), []);
  });

  it('lists the calls of an interrupted turn, and how far each of them got', async (t) => {
    const { client } = serve(t, {
      async onMessage({ journal }, reply) {
        reply.say('Let me see.');
        await journal.runTools([price], () => ({
          run: ({ signal }) => fired(signal).then((reason) => Promise.reject(reason as Error)),
        }));
      },
    });
    const reply = await client.say('How much?', { interruptAfterWords: 1 });
    const [call] = await reply.toolCalls();
    assert.equal(call?.tool, 'price');
    await (await client.say('Wait.', { interruptAfterWords: 3 })).text();
    assert.equal((await reply.toolCalls())[0]?.state, 'interrupted');
  });

  it('lists calls in the call dialect if the event has a turn_id', async (t) => {
    const { client } = serve(t, callingAgent(price));
    const body = JSON.parse(wireBody('transcript')) as object;
    const reply = await client.post(JSON.stringify({ ...body, turn_id: 't-1' }));
    assert.equal((await reply.toolCalls()).length, 1);
  });

  it('fails if the event has no turn_id', async (t) => {
    const { client } = serve(t, callingAgent(price));
    const reply = await client.say('How much?', { turn_id: undefined });
    await assert.rejects(reply.toolCalls(), {
      message: 'toolCalls() needs an event with a turn_id',
    });
  });

  it('fails if the client has only an origin: the wire shows no calls', async (t) => {
    const { client } = serve(t, callingAgent(price));
    const other = createTestClient(await client.origin(), { secret: SECRET });
    await assert.rejects((await other.say('How much?')).toolCalls(), {
      message:
        'toolCalls() needs a client of the app itself: ' +
        'with an origin, read app.conversations.getHistory(id)',
    });
  });
});

describe('TestReply', () => {
  for (const [dialect, event] of [
    ['session', 'message'],
    ['call', 'transcript'],
  ] as const) {
    it(`.text is everything that was spoken, in the ${dialect} dialect`, async (t) => {
      const { client } = serve(t, {
        onMessage: (_turn, reply) => {
          reply.say('One.');
          reply.data('no');
          reply.say(' Two.');
        },
      });
      assert.equal(await (await client.post(wireBody(event))).text(), 'One. Two.');
    });
  }

  it('.text is what was spoken in the call dialect, even if it looks like an event', async (t) => {
    const { client } = serve(t, { onMessage: () => '{"type":"response.end"}' });
    assert.equal(
      await (await client.post(wireBody('transcript'))).text(),
      '{"type":"response.end"}',
    );
  });

  it(".events are named after the stream's events, in the call dialect", async (t) => {
    const { client } = serve(t, {
      onMessage: (_turn, reply) => {
        reply.data({ a: 1 });
        reply.hangup({ say: 'Bye.' });
      },
    });
    assert.deepEqual(await (await client.post(wireBody('transcript'))).events(), [
      { type: 'data', content: { a: 1 } },
      { type: 'message', content: 'Bye.' },
      { type: 'hangup', content: {} },
      { type: 'done' },
    ]);
  });

  itDropsReplies(serve);

  it('of an empty answer has no events', async (t) => {
    const { client } = await clientOf(t, (response) => response.writeHead(204).end());
    assert.deepEqual(await (await client.say('Hello?')).events(), []);
  });
});
