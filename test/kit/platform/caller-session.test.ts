import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import type { SessionEndEvent } from '../../../src/core/wires/layercode/events.ts';
import type { ServerFrame } from '../../../src/kit/platform/frames.ts';
import { deferred, fired, within } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { foreignServer } from '../../fixtures/foreign-server.ts';
import {
  AT_ONCE,
  call,
  createCaller,
  inTwoParts,
  NEVER,
  shapes,
} from './text-caller.ts';

describe('CallerSession', () => {
  it("reports the caller's words before the reply, with the webhook's turn_id", async (t) => {
    const { session, frames, posted } = await call(t, {});
    await session.say('Hello?');
    assert.deepEqual(shapes(frames.all), [
      'turn.start user',
      'user.transcript "Hello?"',
      'turn.end user',
      'turn.start assistant',
      'response.text.delta "Yes."',
      'response.text "Yes."',
      'response.end',
      'turn.end assistant',
    ]);
    const ids = new Set(frames.all.map((frame) => ('turn_id' in frame ? frame.turn_id : '')));
    assert.deepEqual([ids.size, ids.has(posted[0]?.turn_id ?? 'none')], [2, true]);
  });

  it('posts nothing for blank text', async (t) => {
    const { session, frames } = await call(t, {});
    await session.say(' \n');
    assert.deepEqual(frames.all, []);
  });

  it("begins the assistant's turn with the first text, not before", async (t) => {
    const asked = deferred();
    const gate = deferred();
    const { session, frames } = await call(t, {
      async onMessage() {
        asked.resolve();
        await gate.promise;
        return 'At last.';
      },
    });
    const said = session.say('Hello?');
    await asked.promise;
    assert.equal(shapes(frames.all).at(-1), 'turn.end user');
    gate.resolve();
    await said;
    assert.ok(shapes(frames.all).includes('turn.start assistant'));
  });

  it('gives a silent turn a beginning and an end', async (t) => {
    const { session, frames } = await call(t, { onSessionStart: () => '' });
    await session.start();
    assert.deepEqual(shapes(frames.all), [
      'turn.start assistant',
      'response.end',
      'turn.end assistant',
    ]);
  });

  it('sends silent audio during a reply, for clients that wait for a voice', async (t) => {
    const { gate, onMessage } = inTwoParts();
    const { session, next, frames } = await call(t, { onMessage });
    const said = session.say('Hello?');
    assert.equal((await next('response.audio')).content, '');
    gate.resolve();
    await said;
    assert.equal(shapes(frames.all).at(-1), 'turn.end assistant');
  });

  it('passes data between the agent and the front end, in both directions', async (t) => {
    const data: unknown[] = [];
    const { session, next } = await call(t, {
      onMessage: (_turn, reply) => void reply.data({ page: 2 }),
      onData: (occasion) => void data.push(occasion.data),
    });
    await session.say('Hello?');
    assert.deepEqual((await next('response.data')).content, { page: 2 });
    await session.data({ clicked: true });
    assert.deepEqual(data, [{ clicked: true }]);
  });

  it('stops reading while the front end has no room', async (t) => {
    const room = deferred();
    const frames: ServerFrame[] = [];
    const { session } = await call(
      t,
      { onMessage: () => ['One. ', 'Two.'] },
      {
        onFrame: (frame) => {
          frames.push(frame);
          return frame.type === 'response.text.delta' ? room.promise : undefined;
        },
      },
    );
    const said = session.say('Hello?');
    while (frames.every(({ type }) => type !== 'response.text.delta'))
      await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(shapes(frames).at(-1), 'response.text.delta "One. "');
    room.resolve();
    await said;
    assert.equal(shapes(frames).at(-1), 'turn.end assistant');
  });
});

describe('CallerSession at its end', () => {
  it('posts session.end once, with the transcript', async (t) => {
    const ends: SessionEndEvent[] = [];
    const { session } = await call(t, {
      welcome: 'Hi.',
      onSessionEnd: ({ event }) => void ends.push(event as SessionEndEvent),
    });
    await session.start();
    await session.say('Hello?');
    session.finishPlaying();
    await Promise.all([session.end(), session.end()]);
    const [end] = ends;
    assert.deepEqual(
      [ends.length, end?.agent_id, end?.transcript?.map(({ role, text }) => `${role}: ${text}`)],
      [1, 'ag-1', ['assistant: Hi.', 'user: Hello?', 'assistant: Yes.']],
    );
  });

  it('traces session.end as it was posted, without a turn', async (t) => {
    const { session, next } = await call(t, {}, { isTraced: true });
    await session.end();
    const { event } = await next('local.request');
    assert.deepEqual([event['type'], 'turn_id' in event], ['session.end', false]);
  });

  const endings: readonly (readonly [
    what: string, onMessage: Agent['onMessage'], frame: ServerFrame['type'], rate: number,
    said: string[],
  ])[] = [
    ['what was heard of an interrupted reply', inTwoParts().onMessage, 'response.text.delta',
      AT_ONCE, ['Hi', 'One two']],
    ['all the words that the agent hung up with',
      (_turn, reply) => reply.hangup({ say: 'Bye!' }), 'turn.end', NEVER, ['Hi', 'Bye!']],
  ];
  for (const [what, onMessage, frame, rate, said] of endings) {
    it(`has ${what} in the transcript`, async (t) => {
      const ended = deferred<SessionEndEvent>();
      const { session, next } = await call(t, {
        onMessage, onSessionEnd: ({ event }) => ended.resolve(event as SessionEndEvent),
      }, { wordsPerMinute: rate });
      void session.say('Hi');
      await next('turn.end');
      await next(frame);
      await session.end();
      assert.deepEqual((await ended.promise).transcript?.map(({ text }) => text), said);
    });
  }

  it('abandons data that the agent has not answered', async (t) => {
    const signal = deferred<AbortSignal>();
    const { session } = await call(t, {
      async onData(occasion) {
        signal.resolve(occasion.signal);
        await fired(occasion.signal);
      },
    });
    const answered = session.data({ a: 1 });
    const hookSignal = await signal.promise;
    await session.end();
    await within(fired(hookSignal), 'the signal');
    await within(answered, 'the end of data()');
  });

  it('ends every request when it is abandoned, even one that a redelivery replaced', async (t) => {
    const { origin, sent } = await foreignServer(t, () => undefined);
    const { session } = createCaller(origin);
    const said = session.say('Hello?');
    await sent.next('the first request');
    const again = session.redeliver();
    await sent.next('the second request');
    session.abandon();
    await within(Promise.all([said, again]), 'the end of both');
  });

  it('posts nothing afterwards', async (t) => {
    const { session, posted } = await call(t, { welcome: 'Hi.' });
    await session.end();
    await Promise.all([
      session.start(),
      session.say('Hello?'),
      session.data({}),
      session.redeliver(),
      session.forge('wrong'),
    ]);
    assert.deepEqual(posted, []);
  });
});

describe('CallerSession provoking faults', () => {
  it('redelivers a streaming turn, but asks the agent and sends everything once', async (t) => {
    const gate = deferred();
    const { session, next, frames, posted } = await call(t, {
      async onMessage(_turn, reply) {
        void reply.data({ page: 1 });
        reply.say('One ');
        await gate.promise;
        void reply.data({ page: 2 });
        reply.say('two.');
      },
    }, { isTraced: true });
    const said = session.say('Hello?');
    await next('response.text.delta');
    const again = [session.redeliver(), session.redeliver()];
    await next('local.over'); // an older response ends when the newer one takes over the stream
    await next('local.over');
    gate.resolve();
    await Promise.all([said, ...again]);
    assert.equal(posted.length, 1);
    assert.deepEqual(
      shapes(frames.all).filter((shape) => String(shape).startsWith('response.')),
      [
        'response.data {"page":1}',
        'response.text.delta "One "',
        'response.data {"page":2}',
        'response.text.delta "two."',
        'response.text "One two."',
        'response.end',
      ],
    );
  });

  it('redelivers a completed turn for the trace only', async (t) => {
    const { session, frames, posted } = await call(t, {}, { isTraced: true });
    await session.say('Hello?');
    const before = frames.all.length;
    await session.redeliver();
    assert.equal(posted.length, 1);
    assert.deepEqual(
      frames.all.slice(before).map(({ type }) => type),
      ['local.request', 'local.answer', 'local.event', 'local.event', 'local.over'],
    );
  });

  it('redelivers a dropped turn, which then runs again', async (t) => {
    const { session, next, posted, frames } = await call(t, {
      onMessage: ({ signal }) =>
        messages.length === 0 ? (messages.push(''), held(signal)) : 'Anew.',
    });
    const messages: string[] = [];
    async function* held(signal: AbortSignal) {
      yield 'One two ';
      await fired(signal);
    }
    const said = session.say('Hello?');
    await next('response.text.delta');
    session.drop();
    await said;
    await session.redeliver();
    assert.equal(posted.length, 2);
    assert.ok(shapes(frames.all).includes('response.text "Anew."'));
  });

  it('drops a reply, which the next message does not report as interrupted', async (t) => {
    const pass = jumpingClock(t);
    const { session, next, posted } = await call(t, { onMessage: inTwoParts().onMessage });
    const said = session.say('Hello?');
    await next('response.text.delta');
    session.drop();
    await said;
    pass(1_000);
    void session.say('And?');
    await next('response.text.delta');
    assert.equal(posted[1]?.interruption_context, undefined);
    await session.end();
  });

  for (const signature of ['wrong', 'stale'] as const) {
    it(`forges a ${signature} signature, which is refused`, async (t) => {
      const { session, next, posted } = await call(t, {}, { isTraced: true });
      await session.forge(signature);
      assert.equal((await next('local.request')).signature, signature);
      assert.equal((await next('local.answer')).status, 401);
      const over = await next('local.over');
      assert.deepEqual(
        [over.outcome, over.reason, posted.length],
        ['failed', '401 Invalid signature', 0],
      );
    });
  }
});
