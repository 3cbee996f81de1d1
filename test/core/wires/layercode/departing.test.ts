// Complete replies depart together, after all requests of a round of the event loop. What concerns
// one caller must not affect another, nor anyone who acts between end and departure.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { IncomingMessage, ServerResponse } from 'node:http';
import { describe, it } from 'node:test';

import type { Awaitable } from '../../../../src/base/awaitable.ts';
import type { Middleware, Next } from '../../../../src/base/http/compose.ts';
import type { Context } from '../../../../src/base/http/context.ts';
import {
  errorsIn,
  messageEvent,
  rawRequest,
  serve,
  until,
  type Served,
} from '../../../fixtures/app.ts';
import { signed } from '../../../fixtures/kernel.ts';

/**
 * Posts the events on connections of their own. The server has already answered a GET on each, so
 * that it reads the events in one round. Layers must therefore act on POST alone.
 */
async function postTogether(
  served: Served,
  events: readonly Parameters<typeof rawRequest>[0][],
): Promise<{ texts: () => readonly string[] }> {
  const connections = await Promise.all(events.map(() => served.raw()));
  for (const connection of connections) connection.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
  await until(() => connections.every(({ text }) => text.endsWith('}')), 'an answer on each');
  const read = connections.map(({ text }) => text.length);
  for (const [index, event] of events.entries()) connections[index]?.write(rawRequest(event));
  return { texts: () => connections.map(({ text }, index) => text.slice(read[index])) };
}

/** A layer for events. `act` is called with the number of each, and runs the rest of the chain. */
function onPost(
  act: (context: Context, next: Next, number: number) => Awaitable<void>,
): Middleware {
  let count = 0;
  return (context, next) => (context.method === 'POST' ? act(context, next, ++count) : next());
}

function eventsOf(count: number): Parameters<typeof rawRequest>[0][] {
  return Array.from({ length: count }, (_, index) =>
    messageEvent({ conversation_id: `c-${index}`, turn_id: `t-${index}` }),
  );
}

const IS_WHOLE = /HTTP\/1\.1 200[^]*Yes\.[^]*response\.end/;

describe('replies of one round', () => {
  it('arrive whole, and are in history, even if a layer throws after next()', async (t) => {
    const served = serve(t, {});
    served.app.use(
      onPost(async (_context, next) => {
        await next();
        throw new Error('too late');
      }),
    );
    const { texts } = await postTogether(served, [messageEvent({ conversation_id: 'c-1' })]);
    await until(() => texts().every((text) => IS_WHOLE.test(text)), 'the reply');
    assert.deepEqual((await served.history('c-1'))[1], ['assistant', 'Yes.', 'completed']);
  });

  it('are closed in the AsyncLocalStorage of their own request', async (t) => {
    const served = serve(t, {});
    const storage = new AsyncLocalStorage<object>();
    const seen: boolean[] = [];
    served.app.use(
      onPost((context, next) =>
        storage.run(context, () => {
          context.onClose(() => seen.push(storage.getStore() === context));
          return next();
        }),
      ),
    );
    await postTogether(served, eventsOf(3));
    await until(() => seen.length === 3, 'three ends');
    assert.deepEqual(seen, [true, true, true]);
  });

  it('are not cut by a reply in their conversation that cannot be sent', async (t) => {
    const served = serve(t, {});
    served.app.use(
      onPost(({ response }, next, number) => {
        const passed = next();
        if (number === 1 && response instanceof ServerResponse) response.flushHeaders();
        return passed;
      }),
    );
    const events = ['t-1', 't-2'].map((turn_id) => messageEvent({ turn_id }));
    const { texts } = await postTogether(served, events);
    await until(() => IS_WHOLE.test(texts()[1] ?? ''), 'the second reply');
    assert.deepEqual(errorsIn(served.logLines), ['a reply could not be sent']);
  });

  it('are counted only once if their request is aborted before they depart', async (t) => {
    const leaving = new AbortController();
    const served = serve(t, {
      onMessage() {
        queueMicrotask(() => leaving.abort()); // the reply is complete by then
        return 'Yes.';
      },
    });
    const request = new Request('http://localhost/api/agent', {
      ...signed(JSON.stringify(messageEvent())),
      signal: leaving.signal,
    });
    await assert.rejects(served.app.fetch(request));
    const turns = 'layercode_turns_total{event="message",outcome="interrupted",wire="layercode"}';
    await until(() => served.metric(turns) === 1, 'the turn that was cut');
    assert.equal(served.metric('layercode_open_streams'), 0);
  });

  it('give up their places to events that arrive meanwhile', async (t) => {
    const served = serve(t, {}, { environment: { MAX_STREAMS: '2' } });
    const { texts } = await postTogether(served, eventsOf(6));
    await until(() => texts().every((text) => IS_WHOLE.test(text)), 'six replies');
    await until(() => served.metric('layercode_open_streams') === 0, 'no open stream');
  });
});

describe('a turn that is taken over before its first words depart', () => {
  it('has said them, because they are still sent', async (t) => {
    const served = serve(t, {
      async onMessage({ signal }, reply) {
        reply.say('First words.');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });
    served.app.use(
      onPost(({ request }, next, number) => {
        const passed = next();
        if (number === 2 && request instanceof IncomingMessage) request.destroy();
        return passed;
      }),
    );
    const event = messageEvent({ conversation_id: 'c-1' });
    const { texts } = await postTogether(served, [event, event]);
    assert.equal((await served.interrupted.next()).text, 'First words.');
    await until(() => /First words\./.test(texts()[0] ?? ''), 'the words on the first stream');
    const history = await served.history('c-1');
    assert.deepEqual(history[1], ['assistant', 'First words.', 'interrupted']);
  });
});
