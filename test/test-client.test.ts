// The client that users test their agents with, over a real socket.

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { verifySignature } from '../src/layercode/signature.ts';
import * as testing from '../src/testing.ts';
import { createTestClient, type TestClient } from '../src/testing.ts';
import { fired, Listener, SECRET, serve, Told } from './fixtures/app.ts';
import { wireBody } from './fixtures/wire.ts';

/** What a client sent: the request and its bytes. */
interface Sent {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** A client of a server that is none of ours, and what it is sent. */
async function clientOf(
  t: TestContext,
  answer: RequestListener = (_request, response) => response.end(),
): Promise<{ client: TestClient; sent: Told<Sent>; origin: string }> {
  const sent = new Told<Sent>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      sent.tell({ request, body: Buffer.concat(chunks).toString('utf8') });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: createTestClient(origin, { secret: SECRET }), sent, origin };
}

describe('layercode-microserver/testing', () => {
  it('exports the client, its reply and a model', () => {
    assert.deepEqual(Object.keys(testing).sort(), [
      'TestClient', 'TestReply', 'createTestClient', 'scriptedModel',
    ]);
  });
});

describe('createTestClient', () => {
  it('signs the exact bytes that it posts', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('Grüezi ☂');
    const { request, body } = await sent.next();
    assert.equal(
      verifySignature(body, String(request.headers['layercode-signature']), SECRET),
      true,
    );
  });

  it('posts text and bytes as they are', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.post(wireBody('message'));
    await client.post(Buffer.from(wireBody('message')));
    assert.deepEqual(
      [(await sent.next()).body, (await sent.next()).body],
      [wireBody('message'), wireBody('message')],
    );
  });

  it('posts JSON to /api/agent by default', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('Hello?');
    const { request } = await sent.next();
    assert.deepEqual(
      [request.method, request.url, request.headers['content-type']],
      ['POST', '/api/agent', 'application/json'],
    );
  });

  it('posts to the agentRoute that it is given', async (t) => {
    const { sent, origin } = await clientOf(t);
    await createTestClient(`${origin}/`, { secret: SECRET, agentRoute: '/hooks/voice' }).say(
      'Hello?',
    );
    assert.equal((await sent.next()).request.url, '/hooks/voice');
  });

  it('sends no signature where that is null', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.post({}, { signature: null });
    assert.equal((await sent.next()).request.headers['layercode-signature'], undefined);
  });

  it("sends headers of the caller's", async (t) => {
    const { client, sent } = await clientOf(t);
    await client.post({}, { headers: { 'x-tenant': 'acme' } });
    assert.equal((await sent.next()).request.headers['x-tenant'], 'acme');
  });

  it('keeps one conversation, and begins a turn with each event', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.start();
    await client.say('Hello?');
    const events = [await sent.next(), await sent.next()].map(
      ({ body }) => JSON.parse(body) as { conversation_id: string; turn_id: string },
    );
    assert.deepEqual(
      [
        new Set(events.map(({ conversation_id }) => conversation_id)),
        new Set(events.map(({ turn_id }) => turn_id)).size,
      ],
      [new Set([client.conversationId]), 2],
    );
  });

  it('replaces fields of the event', async (t) => {
    const { client, sent } = await clientOf(t);
    await client.say('Hello?', { turn_id: 't-1', custom_metadata: { plan: 'gold' } });
    const event = JSON.parse((await sent.next()).body) as Record<string, unknown>;
    assert.deepEqual(
      [event['turn_id'], event['custom_metadata'], event['text']],
      ['t-1', { plan: 'gold' }, 'Hello?'],
    );
  });

  it('has another conversation than another client', async () => {
    const [one, two] = [1, 2].map(() => createTestClient('http://127.0.0.1:9', { secret: SECRET }));
    assert.notEqual(one?.conversationId, two?.conversationId);
  });

  it('serves an app on a free port the first time, and once', async (t) => {
    const { client } = serve(t, {});
    const [first, second] = await Promise.all([
      client.say('One'),
      client.say('Two', { conversation_id: 'another' }),
    ]);
    assert.deepEqual([first.status, second.status], [200, 200]);
  });

  it("gives an app's origin, for requests of one's own", async (t) => {
    const { client } = serve(t, {});
    assert.equal((await fetch(`${await client.origin()}/health`)).status, 200);
  });

  it('closes the app', async (t) => {
    const { client } = serve(t, {});
    const origin = await client.origin();
    await client.close();
    await assert.rejects(fetch(`${origin}/health`));
  });

  it('closes an app that was never asked', async (t) => {
    const { client } = serve(t, {});
    await client.close();
  });
});

describe('TestReply', () => {
  it('yields events while they come', async (t) => {
    const { client } = serve(t, {
      async *onMessage({ signal }) {
        yield 'One.';
        await fired(signal);
      },
    });
    const listener = new Listener(await client.say('Hello?', { turn_id: 't-1' }));
    assert.deepEqual(await listener.next(), {
      type: 'response.tts',
      content: 'One.',
      turn_id: 't-1',
    });
  });

  it('.text is all that was spoken, in the session dialect', async (t) => {
    const { client } = serve(t, {
      onMessage: (_turn, reply) => {
        reply.say('One.');
        reply.data('no');
        reply.say(' Two.');
      },
    });
    assert.equal(await (await client.say('Hello?')).text(), 'One. Two.');
  });

  it('.text is all that was spoken, in the call dialect', async (t) => {
    const { client } = serve(t, {
      onMessage: (_turn, reply) => {
        reply.say('One.');
        reply.data('no');
        reply.say(' Two.');
      },
    });
    assert.equal(await (await client.post(wireBody('transcript'))).text(), 'One. Two.');
  });

  it('.text is what was spoken in the call dialect, though it looks like an event', async (t) => {
    const { client } = serve(t, { onMessage: () => '{"type":"response.end"}' });
    assert.equal(
      await (await client.post(wireBody('transcript'))).text(),
      '{"type":"response.end"}',
    );
  });

  it('.text survives speech in the call dialect that only begins like JSON', async (t) => {
    const { client } = serve(t, { onMessage: () => '{"type": is how JSON begins' });
    assert.equal(
      await (await client.post(wireBody('transcript'))).text(),
      '{"type": is how JSON begins',
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

  it('.json is the answer of an event that is no turn', async (t) => {
    const { client } = serve(t, { onData: () => ({ a: 1 }) });
    assert.deepEqual(await (await client.post(wireBody('data'))).json(), { a: 1 });
  });

  it('.drop closes the connection, as LayerCode does', async (t) => {
    const { client, interrupted } = serve(t, {
      async *onMessage({ signal }) {
        yield 'One.';
        await fired(signal);
      },
    });
    const reply = await client.say('Hello?');
    await new Listener(reply).next();
    reply.drop();
    assert.equal((await interrupted.next()).text, 'One.');
  });

  it('of an empty answer has no events', async (t) => {
    const { client } = await clientOf(t, (_request, response) => response.writeHead(204).end());
    assert.deepEqual(await (await client.say('Hello?')).events(), []);
  });
});
