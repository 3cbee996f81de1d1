// The numbers of a telephone call, as the agent sees them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve } from '../fixtures/app.ts';

const NUMBERS = { from_phone_number: '+15550100', to_phone_number: '+15550199' };
const CALLER = '{"from":"+15550100","to":"+15550199"}';

const telling = {
  onMessage: ({ caller }: { caller: unknown }) => JSON.stringify(caller) ?? 'a browser',
};

describe('turn.caller', () => {
  it('is undefined for a browser', async (t) => {
    const { client } = serve(t, telling);
    assert.equal(await (await client.say('Hi')).text(), 'a browser');
  });

  it('has the numbers that the event carries', async (t) => {
    const { client } = serve(t, telling);
    assert.equal(await (await client.say('Hi', NUMBERS)).text(), CALLER);
  });

  it('is remembered for the rest of the call, whose events may leave it out', async (t) => {
    const { client } = serve(t, telling);
    await (await client.start(NUMBERS)).text();
    for (const text of ['One', 'Two'])
      assert.equal(await (await client.say(text)).text(), CALLER);
  });

  it('is undefined if a browser continues the conversation', async (t) => {
    const { client } = serve(t, telling);
    await (await client.start(NUMBERS)).text();
    assert.equal(await (await client.say('Hi', { session_id: 'browser' })).text(), 'a browser');
  });

  it('is remembered in the call dialect too', async (t) => {
    const { client } = serve(t, telling);
    await (await client.post({ type: 'call_started', call_id: 'k', ...NUMBERS })).text();
    const said = await client.post({ type: 'transcript', call_id: 'k', transcript: 'Hi' });
    assert.equal(await said.text(), CALLER);
  });

  it("is not a property of a browser's turn: an open stream does not pay for it", async (t) => {
    const { client } = serve(t, { onMessage: (turn) => String('caller' in turn) });
    assert.equal(await (await client.say('Hi')).text(), 'false');
    assert.equal(await (await client.say('Hi', NUMBERS)).text(), 'true');
  });
});
