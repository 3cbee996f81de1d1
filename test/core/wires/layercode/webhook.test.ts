// The webhook as the platform meets it: what the agent is told, and what is sent over the wire.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EventContext, MessageTurn } from '../../../../src/core/agents/agent.ts';
import type { SessionUpdateEvent } from '../../../../src/core/wires/layercode/events.ts';
import {
  deferred,
  errorsIn,
  fired,
  Listener,
  messageEvent,
  rawRequest,
  serve,
  Told,
  until,
  within,
} from '../../../fixtures/app.ts';
import { wireBody } from '../../../fixtures/wire.ts';

describe('among webhook events that are not turns,', () => {
  for (const name of ['data', 'session-update', 'session-end']) {
    it(`${name} is answered with {"status":"ok"} by default`, async (t) => {
      const { client } = serve(t, {});
      const reply = await client.post(wireBody(name));
      assert.deepEqual(
        [reply.status, reply.response.headers.get('content-type'), await reply.json()],
        [200, 'application/json; charset=utf-8', { status: 'ok' }],
      );
    });
  }

  it('data is answered with what the agent returns', async (t) => {
    const { client } = serve(t, { onData: async ({ data }) => ({ echo: data, list: [1, null] }) });
    const reply = await client.post(wireBody('data'));
    assert.deepEqual(await reply.json(), { echo: { clicked: 'buy', count: 2 }, list: [1, null] });
  });

  for (const value of [false, 0, '', [], undefined] as const)
    it(`data is answered even if the agent returns ${JSON.stringify(value)}`, async (t) => {
      const { client } = serve(t, { onData: async () => value });
      const answer = await (await client.post(wireBody('data'))).json();
      assert.deepEqual(answer, value === undefined ? { status: 'ok' } : value);
    });

  it('data whose request is dropped leaves no error in the log', async (t) => {
    const begun = deferred();
    const { raw, client, logLines } = serve(t, {
      onData: ({ signal }) => (begun.resolve(), fired(signal).then(() => null)),
    });
    const connection = await raw();
    connection.write(rawRequest(wireBody('data')));
    await within(begun.promise, 'the hook');
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the end of the request',
    );
    await client.start();
    assert.deepEqual(errorsIn(logLines), []);
  });

  it('session.update reaches the agent as it was posted', async (t) => {
    const told = new Told<EventContext<SessionUpdateEvent>>();
    const { client } = serve(t, { onSessionUpdate: told.tell });
    await client.post(wireBody('session-update'));
    assert.deepEqual((await told.next()).event, JSON.parse(wireBody('session-update')));
  });

  it('session.end reaches the agent as it was posted, with its transcript', async (t) => {
    const told = new Told<EventContext>();
    const { client } = serve(t, { onSessionEnd: told.tell });
    await client.post(wireBody('session-end'));
    const { event } = await told.next();
    assert.deepEqual(event, JSON.parse(wireBody('session-end')));
  });

  const endOfOlder = { ...(JSON.parse(wireBody('session-end')) as object), conversation_id: 'c-1' };
  for (const [what, body] of [
    ['data', wireBody('data')],
    ['session.update', wireBody('session-update')],
    ['an unknown type', wireBody('interim-transcript')],
    ['the end of an older session', JSON.stringify({ ...endOfOlder, session_id: 's-1' })],
  ] as const) {
    it(`${what} leaves a running turn alone`, async (t) => {
      const { client, app } = serve(t, {
        async *onMessage({ signal }) {
          yield 'One.';
          await fired(signal);
        },
      });
      const { conversation_id = 'c-1' } = JSON.parse(body) as { conversation_id?: string };
      const ids = { session_id: 's-2', conversation_id };
      await new Listener(await client.post(messageEvent(ids))).next();
      assert.equal((await client.post(body)).status, 200);
      assert.equal(app.runningTurns, 1);
    });
  }

  it('an unknown type is ignored and logged: part of its name and fields, no values', async (t) => {
    const { client, logLines } = serve(t, {});
    const reply = await client.post(wireBody('interim-transcript'));
    assert.deepEqual([reply.status, await reply.json()], [200, { status: 'ignored' }]);
    const fields = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`f${n}`, n]));
    await client.post({ type: 'x'.repeat(256), ...fields });
    const lines = logLines.filter((candidate) => candidate.includes('unknown type'));
    assert.match(lines[0] ?? '', /"content"/);
    assert.doesNotMatch(lines[0] ?? '', /What is/);
    const logged = JSON.parse(lines[1] ?? '{}') as { event?: string; fields?: string[] };
    assert.deepEqual([logged.event?.length, logged.fields?.length], [100, 50]);
  });
});

describe('what the agent is given', () => {
  it('is the turn with its ids and words, the request headers and the posted event', async (t) => {
    const turns = new Told<MessageTurn>();
    const { client } = serve(t, { onMessage: (turn) => turns.tell(turn) });
    await (await client.post(wireBody('message'), { headers: { 'X-Tenant': 'acme' } })).events();
    const { conversationId, turnId, text, headers, event } = await turns.next();
    assert.deepEqual(
      [conversationId, turnId, text, headers['x-tenant'], event],
      [
        'conv_xyz789',
        'turn_002',
        'What’s the weather in Zürich? ☂',
        'acme',
        JSON.parse(wireBody('message')),
      ],
    );
  });
});
