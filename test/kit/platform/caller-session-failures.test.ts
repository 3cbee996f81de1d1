import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fired } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { foreignServer } from '../../fixtures/foreign-server.ts';
import {
  AT_ONCE,
  call,
  createCaller,
  inTwoParts,
  NEVER,
  shapes,
  type Call,
} from './text-caller.ts';

describe('CallerSession after a barge-in', () => {
  it('ends the turn without the whole text', async (t) => {
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
    it(`reports with the next message what was heard at ${rate} words a minute`, async (t) => {
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

  it('reports no interruption if the reply is delivered again and heard', async (t) => {
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

  const whole: readonly (readonly [
    what: string, rate: number, finish: (call: Call) => void, isOne: boolean,
  ])[] = [
    ['all of it has been spoken', AT_ONCE, () => undefined, false],
    ['a voice would still be speaking it', NEVER, () => undefined, true],
    ['the front end has played it', NEVER,
      ({ session, posted }) => session.finishPlaying(posted[0]?.turn_id ?? ''), false],
    ['the front end has played another turn', NEVER,
      ({ session }) => session.finishPlaying('another'), true],
  ];
  for (const [what, rate, finish, isOne] of whole) {
    it(`${isOne ? 'interrupts' : 'does not interrupt'} a complete reply if ${what}`, async (t) => {
      const pass = jumpingClock(t);
      const called = await call(t, {}, { wordsPerMinute: rate });
      await called.session.say('Hello?');
      pass(1_000);
      finish(called);
      await called.session.say('And?');
      const { words_heard: words } = called.posted[1]?.interruption_context ?? {};
      assert.equal(words, isOne ? 0 : undefined);
    });
  }
});

describe('CallerSession when the webhook fails', () => {
  it('says why, and ends the turn', async () => {
    const { session, next } = createCaller('http://127.0.0.1:9/api/agent', { isTraced: true });
    await session.say('Hello?');
    await next('response.end');
    assert.match((await next('local.over')).reason ?? '', /ECONNREFUSED|bad port/);
  });

  const stream = { 'content-type': 'text/event-stream' };
  const cases: readonly (readonly [
    what: string, answer: Parameters<typeof foreignServer>[1], reason: RegExp,
  ])[] = [
    ['a stream without JSON',
      (response) => response.writeHead(200, stream).end('data: <html>\n\n'), /JSON/],
    ['a redirect, which it does not follow',
      (response) => response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end(), /redirect/],
  ];
  for (const [what, answer, reason] of cases) {
    it(`says why after ${what}`, async (t) => {
      const { origin } = await foreignServer(t, answer);
      const { session, next } = createCaller(origin, { isTraced: true });
      await session.say('Hello?');
      assert.match((await next('local.over')).reason ?? '', reason);
    });
  }

  it('keeps what has arrived of a stream that breaks off', async (t) => {
    const { origin } = await foreignServer(t, (response) => {
      response.writeHead(200, stream);
      response.write('data: {"type":"response.tts","content":"One "}\n\n', () =>
        response.destroy(),
      );
    });
    const { session, next } = createCaller(origin, { isTraced: true });
    await session.say('Hello?');
    assert.equal((await next('response.text')).content, 'One ');
    assert.equal((await next('local.over')).outcome, 'failed');
  });

  it('shows an answer that is not JSON as it is', async (t) => {
    const { origin } = await foreignServer(t, (response) =>
      response.writeHead(502).end('<h1>Bad gateway</h1>'));
    const { session, next } = createCaller(origin, { isTraced: true });
    await session.say('Hello?');
    assert.equal((await next('local.event')).event, '<h1>Bad gateway</h1>');
    assert.equal((await next('local.over')).reason, '502');
  });
});
