// The time-outs of a turn.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { contentsOf, deferred, fired, Listener, serve, within } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { APOLOGY, hears, type OnMessage } from './single-message.ts';

const never = (): Promise<never> => new Promise(() => undefined);
const FIRST_WORD = { FIRST_WORD_TIMEOUT_SECONDS: '0.1' };
const TURN = { TURN_TIMEOUT_SECONDS: '0.1' };
const speaks: OnMessage = async function* () {
  yield 'One. ';
  await never();
};

describe('the time-outs of a turn', () => {
  const CASES: readonly (readonly [
    when: string, onMessage: OnMessage, heard: string, environment: object,
  ])[] = [
    ['if nothing has been spoken within FIRST_WORD_TIMEOUT_SECONDS', never, APOLOGY, FIRST_WORD],
    ['if only data has been sent within FIRST_WORD_TIMEOUT_SECONDS',
      (_turn, { data }) => { void data(1); return never(); }, `<data 1>|${APOLOGY}`, FIRST_WORD],
    ['if only white space has been said within FIRST_WORD_TIMEOUT_SECONDS',
      (_turn, { say }) => { void say(' \n'); return never(); }, ` \n|${APOLOGY}`, FIRST_WORD],
    ['if a turn that has spoken outlasts TURN_TIMEOUT_SECONDS',
      speaks, `One. |${APOLOGY}`, { ...FIRST_WORD, TURN_TIMEOUT_SECONDS: '0.2' }],
    ['if TURN_TIMEOUT_SECONDS is the shorter of the two', never, APOLOGY, TURN],
    ["if the agent's iterable ends at the abort, as the ai package's does",
      async function* ({ signal }) { await fired(signal); }, APOLOGY, TURN],
  ];
  for (const [when, onMessage, heard, environment] of CASES)
    it(`cause the apology ${when}`, async (t) => {
      await hears(t, onMessage, heard, 'failed', { ...environment });
    });

  for (const [reason, says] of [
    ['turn_timeout', 'One.'], ['first_word_timeout', undefined],
  ] as const)
    it(`name what took too long, even if both are equal: ${reason}`, async (t) => {
      const { client, logLines } = serve(t, {
        async onMessage(_turn, reply) {
          await soon();
          if (says !== undefined) reply.say(says);
          return never();
        },
      }, { environment: { ...FIRST_WORD, ...TURN } });
      await (await client.say('Hello?')).text();
      assert.match(logLines.join(''), new RegExp(`"${reason}"`));
    });

  it("cause the apology at a session's start, too", async (t) => {
    const { client } = serve(t, { onSessionStart: never }, { environment: FIRST_WORD });
    assert.equal(await within((await client.start()).text(), 'the apology'), APOLOGY);
  });

  it('leave a turn alone after its first word, until TURN_TIMEOUT_SECONDS', async (t) => {
    const gate = deferred();
    const environment = { FIRST_WORD_TIMEOUT_SECONDS: '10', TURN_TIMEOUT_SECONDS: '20' };
    const { client } = serve(t, {
      async *onMessage() {
        yield 'One.';
        await gate.promise;
        yield ' Two.';
      },
    }, { environment });
    await client.origin();
    const clock = mockTimers(t, ['setTimeout']);
    const listener = new Listener(await client.say('Hello?'));
    await listener.next();
    clock.tick(10_000);
    gate.resolve();
    assert.deepEqual(contentsOf(await listener.rest()), [' Two.']);
  });

  it("fire the agent's signal, and later words have no effect", async (t) => {
    const told = deferred<unknown>();
    const { history } = await hears(t, async ({ signal }, { say }) => {
      const { name } = (await fired(signal)) as Error;
      told.resolve([name, await say('late')]);
    }, APOLOGY, 'failed', TURN);
    assert.deepEqual(await within(told.promise, 'the late word'), ['TurnAbortedError', false]);
    assert.deepEqual((await history())[1], ['assistant', APOLOGY, 'failed']);
  });

  it('end an agent that yields empty texts forever, without holding up other turns', async (t) => {
    const environment = { FIRST_WORD_TIMEOUT_SECONDS: '0.2' };
    const { client, app } = serve(t, {
      async *onMessage({ text }) {
        if (text !== 'Stuck') yield 'Yes.';
        else for (;;) yield '';
      },
    }, { environment });
    const stuck = client.say('Stuck');
    const other = await client.say('Hello?', { conversation_id: 'other' });
    assert.equal(await other.text(), 'Yes.');
    assert.equal(await within((await stuck).text(), 'the apology'), APOLOGY);
    assert.equal(app.runningTurns, 0);
  });
});
