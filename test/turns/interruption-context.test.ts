import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deferred, Listener, serve, Told, until, within } from '../fixtures/app.ts';
import { wireBody } from '../fixtures/wire.ts';
import { dropHeld, heard, hold, holding } from './held-turns.ts';

describe('interruption_context', () => {
  it('cuts the interrupted turn to what was heard', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('cuts the turn that still runs, if the drop was not noticed', async (t) => {
    const served = holding(t);
    await hold(served);
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('cuts a completed turn: its text was sent, its voice was cut', async (t) => {
    const served = holding(t);
    await (await served.client.say('It rains in Spain')).text();
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('calls onInterrupted for a turn that was completed', async (t) => {
    const served = holding(t);
    await (await served.client.say('It rains in Spain', { turn_id: 't-1' })).text();
    await (await served.client.say('next', heard('It rains'))).text();
    assert.deepEqual(served.interrupted.all, [
      { conversationId: served.client.conversationId, turnId: 't-1', text: 'It rains' },
    ]);
  });

  it('cuts a welcome', async (t) => {
    const served = holding(t, [], { welcome: 'Hello there, dear caller.' });
    await (await served.client.start()).text();
    await (await served.client.say('next', heard('Hello'))).text();
    assert.deepEqual((await served.history())[0], ['assistant', 'Hello', 'interrupted']);
  });

  it('begins at the turn that assistant_turn_id names, and keeps the newer one', async (t) => {
    const served = holding(t);
    await (await served.client.say('On Tuesday', { turn_id: 't-1' })).text();
    await (await served.client.say('Anything else', { turn_id: 't-2' })).text();
    const report = heard('On Tue', { assistant_turn_id: 't-1' });
    await (await served.client.say('next', report)).text();
    assert.deepEqual((await served.history()).slice(0, 4), [
      ['user', 'On Tuesday'],
      ['assistant', 'On Tue', 'interrupted'],
      ['user', 'Anything else'],
      ['assistant', 'Anything else!', 'completed'],
    ]);
  });

  it('cuts the newest turn if assistant_turn_id is not ours', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    await (await served.client.say('Two', { turn_id: 't-2' })).text();
    await (
      await served.client.say('next', heard('Tw', { assistant_turn_id: 'never-seen' }))
    ).text();
    assert.deepEqual((await served.history()).slice(0, 4), [
      ['user', 'One'],
      ['assistant', 'One!', 'completed'],
      ['user', 'Two'],
      ['assistant', 'Tw', 'interrupted'],
    ]);
  });

  it('ignores an earlier turn that assistant_turn_id names if it said other words', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    await (await served.client.say('Two', { turn_id: 't-2' })).text();
    await (await served.client.say('next', heard('Tw', { assistant_turn_id: 't-1' }))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  for (const text of ['', ' \n']) {
    it(`with ${JSON.stringify(text)} as text_heard keeps no message of the reply`, async (t) => {
      const served = holding(t);
      await dropHeld(served);
      await (await served.client.say('next', heard(text))).text();
      assert.deepEqual(await served.history(), [
        ['user', 'hold'],
        ['user', 'next'],
        ['assistant', 'next!', 'completed'],
      ]);
    });
  }

  it('with empty text_heard leaves the turn before the silenced one alone', async (t) => {
    const served = holding(t, []);
    await (await served.client.say('One')).text();
    void served.client.say('hold');
    await served.begun.next();
    await served.begun.next();
    await (await served.client.say('next', heard(''))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  it('without text_heard keeps what was sent, as interrupted', async (t) => {
    const served = holding(t);
    await (await served.client.say('One')).text();
    await (await served.client.say('next', heard(undefined))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'interrupted']);
  });

  it('with text_heard that is not a prefix of what was sent keeps what was heard', async (t) => {
    const served = holding(t);
    await dropHeld(served);
    await (await served.client.say('next', heard('it rains, in'))).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'it rains, in', 'interrupted']);
  });

  it('that says nothing was interrupted cuts nothing', async (t) => {
    const served = holding(t);
    await (await served.client.say('One')).text();
    await (
      await served.client.say('next', heard('On', { previous_turn_interrupted: false }))
    ).text();
    assert.deepEqual((await served.history())[1], ['assistant', 'One!', 'completed']);
  });

  it('in a conversation without a reply is not an error', async (t) => {
    const served = holding(t);
    assert.equal(
      await (await served.client.say('next', heard('One', { assistant_turn_id: 'x' }))).text(),
      'next!',
    );
  });

  it('is not undone by a late write of the dropped turn', async (t) => {
    const gate = deferred();
    const over = deferred();
    const { client, history } = serve(t, {
      async onMessage({ text }, reply) {
        reply.say(`${text} and more.`);
        if (text !== 'old') return;
        await gate.promise;
        reply.say(' Even more.');
        reply.end();
        over.resolve();
      },
    });
    await new Listener(await client.say('old')).next();
    await (await client.say('new', heard('old and'))).text();
    gate.resolve();
    await within(over.promise, 'the stale agent');
    assert.deepEqual((await history())[1], ['assistant', 'old and', 'interrupted']);
  });

  it('is not undone when the drop is noticed afterwards', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served);
    await (await served.client.say('next', heard('It rains'))).text();
    drop();
    await until(() => served.metric('layercode_open_streams') === 0, 'the streams to be closed');
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('reaches the agent, which sees the cut text in its history', async (t) => {
    const seen = new Told<readonly string[]>();
    const { client } = serve(t, {
      onMessage: ({ text, history }) => {
        seen.tell(history.map(({ content }) => content));
        return `${text}!`;
      },
    });
    await (await client.say('One two three')).text();
    await (await client.say('next', heard('One two'))).text();
    await seen.next();
    assert.deepEqual(await seen.next(), ['One two three', 'One two', 'next']);
  });

  it('as the platform posts it cuts the turn before', async (t) => {
    const { client, history } = serve(t, {
      onMessage: () => 'It rains in Zürich, as it does so often.',
    });
    await (await client.post(wireBody('message'))).text();
    await (await client.post(wireBody('message-after-interruption'))).text();
    assert.deepEqual((await history('conv_xyz789'))[1], ['assistant', 'It rains', 'interrupted']);
  });

  it('of a turn that is delivered twice cuts once', async (t) => {
    const served = holding(t);
    await (await served.client.say('One', { turn_id: 't-1' })).text();
    for (let delivery = 0; delivery < 2; delivery++)
      await (await served.client.say('next', { turn_id: 't-2', ...heard('On') })).text();
    assert.deepEqual(await served.history(), [
      ['user', 'One'],
      ['assistant', 'On', 'interrupted'],
      ['user', 'next'],
      ['assistant', 'next!', 'completed'],
    ]);
  });

  it('of an older turn that runs again leaves later turns alone', async (t) => {
    // The caller spoke over t-1 with t-2, which failed. Then came t-3, and t-2 once more, whose
    // context still reports on t-1.
    let failing = true;
    const { client, history } = serve(t, {
      onMessage: ({ text }) => {
        if (text === 'Two' && failing) throw new Error('x');
        return `${text}!`;
      },
    });
    await (await client.say('One', { turn_id: 't-1' })).text();
    await (await client.say('Two', { turn_id: 't-2', ...heard('On') })).text();
    await (await client.say('Three', { turn_id: 't-3' })).text();
    failing = false;
    await (await client.say('Two', { turn_id: 't-2', ...heard('On') })).text();
    assert.deepEqual((await history()).at(-1), ['assistant', 'Three!', 'completed']);
  });
});
