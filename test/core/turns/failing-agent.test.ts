// What is spoken, kept and logged when an agent fails.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TurnFailure } from '../../../src/core/agents/agent.ts';
import { ModelError } from '../../../src/core/models/model.ts';
import { serve, slowStore, Told, within } from '../../fixtures/app.ts';
import { APOLOGY, fails, hears, type Case } from './single-message.ts';

const cycle: Record<string, unknown> = {};
cycle['cycle'] = cycle;

describe('a failing agent', () => {
  const FAILURES: readonly Case[] = [
    ['throws at once', () => fails(), APOLOGY],
    ['rejects', () => Promise.reject(new Error('x')), APOLOGY],
    ['throws something that is not an Error', () => { throw undefined; }, APOLOGY],
    ['throws in its generator before the first word', async function* () { fails(); }, APOLOGY],
    ['throws in a plain generator', function* () { fails(); }, APOLOGY],
    ['returns an empty array', () => [], APOLOGY],
    ['returns an async iterable without a word', async function* () {}, APOLOGY],
    ['returns an iterable of empty strings', () => ['', ''], APOLOGY],
    ['returns a number', () => 7 as unknown as string, APOLOGY],
    ['returns null', () => null as unknown as string, APOLOGY],
    ['returns an object', () => ({ text: 'One.' }) as unknown as string, APOLOGY],
    ['yields a number', () => [7 as unknown as string], APOLOGY],
    ['yields undefined', () => [undefined as unknown as string], APOLOGY],
    ['says a number', (_turn, { say }) => void say(7 as unknown as string), APOLOGY],
    ['sends undefined as data',
      (_turn, { data }) => void data(undefined as unknown as null), APOLOGY],
    ['sends a cycle as data', (_turn, { data }) => void data(cycle as never), APOLOGY],
    ['says nothing but white space', () => [' ', '\n'], ` |\n|${APOLOGY}`],
    ['throws in mid-speech',
      async function* () { yield 'Well, '; fails(); }, `Well, |${APOLOGY}`],
    ['throws in the middle of a sentence',
      async function* () { yield 'Your balance is 1'; fails(); },
      `Your balance is 1| |${APOLOGY}`],
    ['says more than a reply may hold',
      (_turn, { say }) => { void say('Well, '); void say('x'.repeat(1_048_576)); },
      `Well, |${APOLOGY}`],
    ['hangs up with a goodbye that is too long',
      (_turn, { hangup }) => hangup({ say: 'x'.repeat(1_048_577) }), APOLOGY],
  ];
  for (const [what, onMessage, heard] of FAILURES)
    it(`that ${what} apologises, and history keeps a failed turn`, async (t) => {
      await hears(t, onMessage, heard, 'failed');
    });

  it('that exceeds MAX_REPLY_WORDS apologises', async (t) => {
    await hears(t, () => 'One two three.', APOLOGY, 'failed', { MAX_REPLY_WORDS: '2' });
  });

  it('whose store fails apologises, and leaves no turn running', async (t) => {
    const update = (): Promise<never> => Promise.reject(new Error('the database is gone'));
    const { client, app } = serve(t, {}, { store: { ...slowStore(), update } });
    assert.equal(await within((await client.say('Hello?')).text(), 'the apology'), APOLOGY);
    assert.equal(app.runningTurns, 0);
  });

  it('that has called end() leaves the turn completed', async (t) => {
    await hears(t, (_turn, { say, end }) => { void say('Bye.'); end(); fails(); }, 'Bye.');
  });

  it('speaks its own apology, which may depend on the failure', async (t) => {
    const model = new ModelError('no_credit', 'the vendor wants money');
    const behind = new Error('no answer', { cause: model });
    const thrown: unknown[] = [model, behind, new RangeError('x'), 'no error'];
    const failures: TurnFailure[] = [];
    const closed = 'We are closed for today.';
    const { client } = serve(t, {
      apology: (_turn, failure) => {
        failures.push(failure);
        return failure.code === 'no_credit' ? closed : 'Pardon?';
      },
      onMessage: () => fails(thrown[failures.length]),
    });
    const said: string[] = [];
    for (const _ of thrown) said.push(await (await client.say('Hello?')).text());
    assert.deepEqual(said, [closed, closed, 'Pardon?', 'Pardon?']);
    assert.deepEqual(failures, [
      { reason: 'model', code: 'no_credit', error: model },
      { reason: 'model', code: 'no_credit', error: behind },
      { reason: 'agent', code: undefined, error: thrown[2] },
      { reason: 'agent', code: undefined, error: 'no error' },
    ]);
    await hears(t, { apology: 'Oh dear.', onMessage: () => fails() }, 'Oh dear.', 'failed');
  });

  it("apologises at a session's start, too, and its apology is given that turn", async (t) => {
    const { client } = serve(t, { onSessionStart: () => fails() });
    assert.equal(await (await client.start()).text(), APOLOGY);
    const own = serve(t, {
      apology: (turn) => `Sorry, ${'text' in turn ? 'message' : 'start'} of ${turn.wire}.`,
      onSessionStart: () => fails(),
    });
    assert.equal(await (await own.client.start()).text(), 'Sorry, start of layercode.');
  });

  it('has its signal aborted and the detail logged, and answers the next turn', async (t) => {
    const signals = new Told<AbortSignal>();
    const { client, logLines } = serve(t, {
      onMessage: ({ text, signal }) => {
        signals.tell(signal);
        return text === 'fail' ? fails(new Error('secret detail')) : 'Yes.';
      },
    });
    await (await client.say('fail')).text();
    assert.equal((await signals.next()).aborted, true);
    assert.match(logLines.find((line) => line.includes('"turn failed"')) ?? '', /secret detail/);
    assert.equal(await (await client.say('again')).text(), 'Yes.');
  });
});
