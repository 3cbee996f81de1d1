// The time-outs of a turn.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import { soon } from '../../src/base/awaitable.ts';
import {
  contentsOf,
  deferred,
  errorsIn,
  fired,
  Listener,
  serve,
  within,
} from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { answersTo, APOLOGY, historyAfter } from './single-message.ts';

describe('time-outs of a turn', () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  it('apologise if nothing was spoken within FIRST_WORD_TIMEOUT_SECONDS', async (t) => {
    assert.deepEqual(await answersTo(t, never, { FIRST_WORD_TIMEOUT_SECONDS: '0.1' }), APOLOGY);
  });

  it('do not count data as a word', async (t) => {
    const answers = await answersTo(
      t,
      (_turn, reply) => {
        reply.data(1);
        return never();
      },
      { FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.data', 1], ...APOLOGY]);
  });

  it('do not count blanks as a word', async (t) => {
    const answers = await answersTo(
      t,
      (_turn, reply) => {
        reply.say(' \n');
        return never();
      },
      { FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.tts', ' \n'], ...APOLOGY]);
  });

  it('leave a turn alone after its first word, until TURN_TIMEOUT_SECONDS', async (t) => {
    const gate = deferred();
    const { client } = serve(
      t,
      {
        async *onMessage() {
          yield 'One.';
          await gate.promise;
          yield ' Two.';
        },
      },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '10', TURN_TIMEOUT_SECONDS: '20' } },
    );
    await client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const listener = new Listener(await client.say('Hello?'));
    await listener.next();
    clock.tick(10_000);
    gate.resolve();
    assert.deepEqual(contentsOf(await listener.rest()), [' Two.']);
  });

  it('apologise if a turn that spoke outlasts TURN_TIMEOUT_SECONDS', async (t) => {
    const answers = await answersTo(
      t,
      async function* () {
        yield 'One. ';
        await never();
      },
      { TURN_TIMEOUT_SECONDS: '0.2', FIRST_WORD_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(answers, [['response.tts', 'One. '], ...APOLOGY]);
  });

  it('apologise if TURN_TIMEOUT_SECONDS is the shorter one', async (t) => {
    assert.deepEqual(await answersTo(t, never, { TURN_TIMEOUT_SECONDS: '0.1' }), APOLOGY);
  });

  for (const [reason, says] of [
    ['turn_timeout', 'One.'], ['first_word_timeout', undefined],
  ] as const)
    it(`say what took too long if both are the same: ${reason}`, async (t) => {
      const { client, logLines } = serve(t, {
        async onMessage(_turn, reply) {
          await soon();
          if (says !== undefined) reply.say(says);
          return never();
        },
      }, { environment: { TURN_TIMEOUT_SECONDS: '0.1', FIRST_WORD_TIMEOUT_SECONDS: '0.1' } });
      await (await client.say('Hello?')).text();
      assert.match(logLines.join(''), new RegExp(`"${reason}"`));
    });

  it("apologise at a session's start", async (t) => {
    const { client } = serve(
      t,
      { onSessionStart: never },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.1' } },
    );
    assert.equal(await within((await client.start()).text(), 'the apology'), DEFAULT_APOLOGY);
  });

  it("fire the agent's signal", async (t) => {
    const reason = deferred<unknown>();
    await answersTo(t, ({ signal }) => fired(signal).then((why) => reason.resolve(why)), {
      TURN_TIMEOUT_SECONDS: '0.1',
    });
    assert.equal(((await within(reason.promise, 'the signal')) as Error).name, 'TurnAbortedError');
  });

  it("stop the agent's generator", async (t) => {
    const stopped = deferred();
    await answersTo(
      t,
      async function* ({ signal }) {
        try {
          yield 'One.';
          await fired(signal);
          yield ' Two.';
        } finally {
          stopped.resolve();
        }
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    await within(stopped.promise, "the generator's finally");
  });

  it('leave a failed turn in history', async (t) => {
    const messages = await historyAfter(
      t,
      async function* () {
        yield 'One. ';
        await never();
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', `One. ${DEFAULT_APOLOGY}`, 'failed'],
    ]);
  });

  it("fail an agent whose iterable ends at the abort, as the ai package's does", async (t) => {
    const messages = await historyAfter(
      t,
      async function* ({ signal }) {
        await fired(signal);
      },
      { TURN_TIMEOUT_SECONDS: '0.1' },
    );
    assert.deepEqual(messages, [
      ['user', 'Hello?'],
      ['assistant', DEFAULT_APOLOGY, 'failed'],
    ]);
  });

  it('turn what the agent says afterwards into a no-op', async (t) => {
    const result = deferred<unknown>();
    const { client, history } = serve(
      t,
      {
        onMessage: async ({ signal }, reply) => {
          await fired(signal);
          result.resolve(reply.say('late'));
        },
      },
      { environment: { TURN_TIMEOUT_SECONDS: '0.1' } },
    );
    const text = await (await client.say('Hello?')).text();
    assert.deepEqual(
      [await within(result.promise, 'the late word'), text, (await history())[1]],
      [false, DEFAULT_APOLOGY, ['assistant', DEFAULT_APOLOGY, 'failed']],
    );
  });

  it('leave no turn running', async (t) => {
    const { client, app } = serve(
      t,
      { onMessage: never },
      { environment: { TURN_TIMEOUT_SECONDS: '0.1' } },
    );
    await (await client.say('Hello?')).text();
    assert.equal(app.runningTurns, 0);
  });

  it('end an agent that yields empty texts forever, without holding up other turns', async (t) => {
    const { client, app } = serve(
      t,
      {
        async *onMessage({ text }) {
          if (text !== 'Stuck') yield 'Yes.';
          else for (;;) yield '';
        },
      },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.2' } },
    );
    const stuck = client.say('Stuck');
    const other = await client.say('Hello?', { conversation_id: 'other' });
    assert.equal(await other.text(), 'Yes.');
    assert.equal(await within((await stuck).text(), 'the apology'), DEFAULT_APOLOGY);
    assert.equal(app.runningTurns, 0);
  });

  it('leave a turn alone that has ended', async (t) => {
    const { client, logLines } = serve(t, {});
    await client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    await (await client.say('Hello?')).text();
    clock.tick(120_000);
    assert.deepEqual(errorsIn(logLines), []);
  });
});
