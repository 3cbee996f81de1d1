import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { deferred, fired, within } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import {
  AT_ONCE,
  call,
  createCaller,
  inTwoParts,
  NEVER,
  shapes,
  startWebhook,
  type Waiting,
} from './text-caller.ts';

/** A call in which the agent has said a part of its reply, and waits for its signal. */
async function speaking(t: TestContext): Promise<{
  session: Waiting; said: Promise<unknown>; signal: AbortSignal;
}> {
  const signal = deferred<AbortSignal>();
  const { session, next } = await call(t, {
    onMessage: async function* (turn) {
      signal.resolve(turn.signal);
      yield 'One two ';
      await fired(turn.signal);
    },
  });
  const said = session.say('Hello?');
  await next('response.text.delta');
  return { session, said, signal: await signal.promise };
}

describe('CallerSession at a barge-in', () => {
  it("drops the request, and the agent's signal fires", async (t) => {
    const { session, said, signal } = await speaking(t);
    session.interrupt();
    await within(fired(signal), 'the signal');
    await said;
  });

  it('ends the turn without a whole text', async (t) => {
    const { session, next, frames } = await call(t, { onMessage: inTwoParts().onMessage });
    const said = session.say('Hello?');
    await next('response.text.delta');
    session.interrupt();
    await said;
    assert.deepEqual(shapes(frames.all).slice(-2), [
      'response.text.delta "One two "',
      'turn.end assistant',
    ]);
  });

  const heard: readonly (readonly [rate: number, words: number, text: string])[] = [
    [AT_ONCE, 2, 'One two'],
    [NEVER, 0, ''],
  ];
  for (const [rate, words, text] of heard) {
    it(`tells with the next message what was heard at ${rate} words a minute`, async (t) => {
      const pass = jumpingClock(t);
      const { session, next, posted } = await call(
        t,
        { onMessage: inTwoParts().onMessage },
        { wordsPerMinute: rate },
      );
      const first = session.say('Hello?');
      await next('response.text.delta');
      pass(1_000);
      void session.say('Wait!');
      await first;
      await next('turn.end');
      while (posted.length < 2) await next('turn.start');
      assert.deepEqual(posted[1]?.interruption_context, {
        previous_turn_interrupted: true,
        words_heard: words,
        text_heard: text,
        assistant_turn_id: posted[0]?.turn_id,
      });
      await session.end();
    });
  }

  it('knows no interruption when all has been spoken', async (t) => {
    const pass = jumpingClock(t);
    const { session, posted } = await call(t, {});
    await session.say('Hello?');
    pass(1_000);
    await session.say('And?');
    assert.equal(posted[1]?.interruption_context, undefined);
  });

  it('is none when the reply was delivered again and has been heard', async (t) => {
    const { session, posted, next } = await call(t, {
      async *onMessage({ signal }) {
        yield 'One two ';
        if (posted.length === 1) await fired(signal);
      },
    });
    void session.say('Hello?');
    await next('response.text.delta');
    session.interrupt();
    await session.redeliver();
    session.finishPlaying();
    await session.say('And?');
    assert.deepEqual(
      [posted.length, posted[2]?.interruption_context], [3, undefined],
    );
  });

  it('counts as one while the voice would still speak, though the text is all there', async (t) => {
    const { session, posted } = await call(t, {}, { wordsPerMinute: NEVER });
    await session.say('Hello?');
    await session.say('And?');
    assert.deepEqual(posted[1]?.interruption_context?.words_heard, 0);
  });

  it('is none when the front end has said that it played the reply', async (t) => {
    const { session, posted } = await call(t, {}, { wordsPerMinute: NEVER });
    await session.say('Hello?');
    session.finishPlaying(posted[0]?.turn_id ?? '');
    await session.say('And?');
    assert.equal(posted[1]?.interruption_context, undefined);
  });

  it('still is one when the front end said so of another turn', async (t) => {
    const { session, posted } = await call(t, {}, { wordsPerMinute: NEVER });
    await session.say('Hello?');
    session.finishPlaying('another');
    await session.say('And?');
    assert.notEqual(posted[1]?.interruption_context, undefined);
  });

  it('goes on streaming when the front end says in mid-reply that it has played it', async (t) => {
    const { gate, onMessage } = inTwoParts();
    const { session, next, frames } = await call(t, { onMessage });
    const said = session.say('Hello?');
    await next('response.text.delta');
    session.finishPlaying();
    gate.resolve();
    await said;
    assert.ok(shapes(frames.all).includes('response.text "One two three."'));
  });
});

describe('CallerSession where the webhook fails', () => {
  it('says why, and ends the turn', async () => {
    const { session, next } = createCaller('http://127.0.0.1:9/api/agent', { isTraced: true });
    await session.say('Hello?');
    await next('response.end');
    assert.match((await next('local.over')).reason ?? '', /ECONNREFUSED|bad port/);
  });

  it('keeps what it had of a stream that breaks off', async (t) => {
    const url = await startWebhook(t, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"type":"response.tts","content":"One "}\n\n', () =>
        response.destroy(),
      );
    });
    const { session, next } = createCaller(url, { isTraced: true });
    await session.say('Hello?');
    assert.equal((await next('response.text')).content, 'One ');
    assert.equal((await next('local.over')).outcome, 'failed');
  });

  it('says so of a stream that holds no JSON', async (t) => {
    const url = await startWebhook(t, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: <html>\n\n');
    });
    const { session, next } = createCaller(url, { isTraced: true });
    await session.say('Hello?');
    assert.match((await next('local.over')).reason ?? '', /JSON/);
  });

  it('shows an answer that is no JSON as it is', async (t) => {
    const url = await startWebhook(t, (_request, response) =>
      response.writeHead(502).end('<h1>Bad gateway</h1>'),
    );
    const { session, next } = createCaller(url, { isTraced: true });
    await session.say('Hello?');
    assert.equal((await next('local.event')).event, '<h1>Bad gateway</h1>');
    assert.equal((await next('local.over')).reason, '502');
  });

  it('follows no redirect with what it signed', async (t) => {
    const url = await startWebhook(t, (_request, response) =>
      response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end(),
    );
    const { session, next } = createCaller(url, { isTraced: true });
    await session.say('Hello?');
    assert.equal((await next('local.over')).outcome, 'failed');
  });
});
