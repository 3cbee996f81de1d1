import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { ProfileName } from '../../../src/core/wires/chat-completions/profiles.ts';
import { completionsTestWire } from '../../../src/kit/platform/completions-test-wire.ts';
import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { chunk, DONE } from '../../faults/wire-shapes.ts';
import { serve, Told, type TestAgent } from '../../fixtures/app.ts';
import { foreignServer, type Sent } from '../../fixtures/foreign-server.ts';
import { createCaller as callerOf } from './text-caller.ts';

const KEY = 'key-of-the-session';

interface Options {
  readonly key?: string;
  readonly profile?: ProfileName;
  readonly isRetrying?: boolean;
  readonly isSpeculating?: boolean;
}

function createCaller(
  url: string, { key = KEY, profile = 'generic', ...options }: Options = {},
): ReturnType<typeof callerOf> {
  const wire = completionsTestWire({ key, profile, conversationId: 'c-1' });
  return callerOf(url, { wire, isTraced: true, wordsPerMinute: undefined, ...options });
}

/** A caller of a served agent. */
async function call(
  t: TestContext, agent: TestAgent, options: Options = {},
): Promise<ReturnType<typeof callerOf>> {
  const environment = { CHAT_COMPLETIONS_KEYS: KEY, SETTLE_MS: '0' };
  const { client } = serve(t, agent, { environment });
  return createCaller(`${await client.origin()}/api/agent/chat/completions`, options);
}

const END = chunk({}, 'stop') + DONE;

/** What the caller hears, piece by piece. */
function heard({ all }: Told<ServerFrame>): string[] {
  return all.flatMap((frame) => (frame.type === 'response.text.delta' ? [frame.content] : []));
}

function ends({ all }: Told<ServerFrame>): unknown[] {
  return all.flatMap((frame) => (frame.type === 'local.over' ? [frame.outcome] : []));
}

/** What the caller and the agent said, according to a request. */
function said({ text }: Sent): string[] {
  const { messages } = JSON.parse(text) as { messages: { content: string }[] };
  return messages.slice(1).map(({ content }) => content);
}

describe('CallerSession over Chat Completions', () => {
  it('resends what can have been heard of a reply that the caller spoke over', async (t) => {
    const goOn = new Told<ServerResponse>();
    const { origin, sent } = await foreignServer(t, (response, _sent, count) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: 'One two three.' }));
      if (count === 1) goOn.tell(response);
      else response.end(END);
    });
    const { session, frames } = createCaller(origin);
    const story = session.say('story');
    await goOn.next();
    while (heard(frames).length === 0) await frames.next();
    session.interrupt(); // no word has been spoken in that time
    await session.say('stop');
    await story;
    assert.deepEqual(sent.all.map(said)[1], ['story', 'stop']);
    assert.deepEqual(ends(frames).sort(), ['dropped', 'ended']);
  });

  it('reports a refused request, with what the server says', async (t) => {
    const { session, frames } = await call(t, {}, { key: 'another' });
    await session.say('Hello?');
    const over = frames.all.find(({ type }) => type === 'local.over');
    assert.deepEqual(over?.type === 'local.over' && [over.outcome, over.reason], [
      'failed', '401 Incorrect API key provided',
    ]);
  });

  it('shows where a call is transferred, and ends the call', async (t) => {
    const { session, hangUps, frames } = await call(t, {
      onMessage: (_turn, reply) => void reply.transfer({ to: '+4930333' }),
    });
    await session.say('A person, please.');
    const data = frames.all.find(({ type }) => type === 'response.data');
    assert.deepEqual(data?.type === 'response.data' && data.content, {
      transfer_to_number: { transfer_number: '+4930333', client_message: '', agent_message: '' },
    });
    assert.equal(hangUps.all.length, 1);
  });
});

describe('a CallerSession that retries', () => {
  it('sends each request twice with the same bytes, and hears the reply once', async (t) => {
    const { origin, sent } = await foreignServer(t, (response, _sent, count) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: 'One two' }));
      if (count === 2) response.end(chunk({ content: ' three.' }) + END);
    });
    const { session, frames } = createCaller(origin, { isRetrying: true, profile: 'cartesia' });
    await session.say('Hello?');
    assert.equal(sent.all.length, 2);
    assert.equal(sent.all[1]?.text, sent.all[0]?.text);
    assert.equal(heard(frames).join(''), 'One two three.');
    assert.deepEqual(ends(frames), ['ended']);
  });
});

describe('a CallerSession that speculates', () => {
  it('first sends a message without its last word, and drops that request', async (t) => {
    const { origin, sent } = await foreignServer(t, (response, _sent, count) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: count === 1 ? 'Guessed.' : 'Known.' }));
      if (count === 2) response.end(END);
    });
    const { session, frames } = createCaller(origin, { isSpeculating: true });
    await session.say('Book a table');
    assert.deepEqual(sent.all.map(said), [['Book a'], ['Book a table']]);
    assert.deepEqual(heard(frames), ['Known.']);
  });

  it('sends a single word only once', async (t) => {
    const { origin, sent } = await foreignServer(t, (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(chunk({ content: 'Yes.' }) + END);
    });
    await createCaller(origin, { isSpeculating: true }).session.say('Hello?');
    assert.deepEqual(sent.all.map(said), [['Hello?']]);
  });
});
