// Turns over a store that answers later.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fired, messageEvent, serve, slowStore, Told, within } from '../fixtures/app.ts';
import { dropBeforeWrite, holdWrites } from './held-store.ts';
import { APOLOGY } from './single-message.ts';

describe('turns over a store that answers later', () => {
  it('let only one of three quick turns go on', async (t) => {
    const begun = new Told<string>();
    const store = slowStore();
    const { client } = serve(t, {
      async *onMessage({ text, signal }) {
        begun.tell(text);
        yield `${text}.`;
        await fired(signal);
      },
    }, { store });
    void client.say('A');
    await begun.next();
    // Both find A running. Only the answer of the store says that they are newer.
    const writes = holdWrites(store);
    const replies = ['B', 'C'].map((text) => client.say(text).then((reply) => reply.events()));
    for (let count = 0; count < 2; count++) await writes.asked();
    writes.release();
    const events = await within(Promise.race(replies), 'one of the two to be superseded');
    assert.equal(events.at(-1)?.type, 'response.end');
  });

  it('count a dropped replay once, and do not call it an interruption', async (t) => {
    const store = slowStore();
    const served = serve(t, {}, { store });
    await (await served.client.post(messageEvent())).text();
    await dropBeforeWrite(served, store);
    await (await served.client.post(messageEvent())).text(); // stored after it
    const counts = ['interrupted', 'failed', 'replayed'].map((outcome) => {
      const labels = `event="message",outcome="${outcome}",wire="layercode"`;
      return served.metric(`layercode_turns_total{${labels}}`);
    });
    assert.equal(counts.reduce((sum, count) => sum + count), 2, counts.join(', '));
    assert.deepEqual(served.interrupted.all, []);
  });

  it('apologise when the store fails, and leave no turn running', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client, app } = serve(t, {}, { store });
    assert.equal(await within((await client.say('Hello?')).text(), 'the apology'), APOLOGY);
    assert.equal(app.runningTurns, 0);
  });
});
