// Turns over a store that answers later.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DEFAULT_APOLOGY } from '../../src/agents/phrases.ts';
import {
  deferred,
  fired,
  messageEvent,
  rawRequest,
  serve,
  slowStore,
  Told,
  until,
  within,
} from '../fixtures/app.ts';

describe('turns over a store that answers later', () => {
  it('let only one of three quick turns go on', async (t) => {
    const begun = new Told<string>();
    const store = slowStore();
    const { client } = serve(
      t,
      {
        async *onMessage({ text, signal }) {
          begun.tell(text);
          yield `${text}.`;
          await fired(signal);
        },
      },
      { store },
    );
    void client.say('A');
    await begun.next();
    // Both find A running. Only the answer of the store says that they are newer.
    const update = store.update.bind(store);
    const asked = new Told<string>();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.tell(id);
      await gate.promise;
      return update(id, change);
    };
    const replies = ['B', 'C'].map((text) => client.say(text).then((reply) => reply.events()));
    await asked.next();
    await asked.next();
    gate.resolve();
    assert.equal(
      (await within(Promise.race(replies), 'one of the two to be superseded')).at(-1)?.type,
      'response.end',
    );
  });

  it('count a replay that was dropped once', async (t) => {
    const store = slowStore();
    const { client, metric, raw, logLines } = serve(t, {}, { store });
    await (await client.post(messageEvent())).text();
    const connection = await raw();
    const update = store.update.bind(store);
    const asked = deferred();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.resolve();
      await gate.promise;
      return update(id, change);
    };
    connection.write(rawRequest(messageEvent()));
    await within(asked.promise, 'the store to be asked');
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the drop to be noticed',
    );
    gate.resolve();
    await (await client.post(messageEvent())).text(); // stored after it
    const counts = ['interrupted', 'failed', 'replayed'].map((outcome) =>
      metric(`layercode_turns_total{event="message",outcome="${outcome}"}`),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      2,
      `interrupted, failed, replayed: ${counts.join(', ')}`,
    );
  });

  it('tell the agent of no interruption when a replay is dropped', async (t) => {
    const store = slowStore();
    const { client, raw, logLines, interrupted } = serve(t, {}, { store });
    await (await client.post(messageEvent())).text();
    const connection = await raw();
    const update = store.update.bind(store);
    const asked = deferred();
    const gate = deferred();
    store.update = async (id, change) => {
      asked.resolve();
      await gate.promise;
      return update(id, change);
    };
    connection.write(rawRequest(messageEvent()));
    await within(asked.promise, 'the store to be asked');
    connection.socket.destroy();
    await until(
      () => logLines.some((line) => line.includes('"isCutShort":true')),
      'the drop to be noticed',
    );
    gate.resolve();
    await (await client.post(messageEvent())).text();
    assert.deepEqual(interrupted.all, []);
  });

  it('apologise when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client } = serve(t, {}, { store });
    assert.equal(await within((await client.say('Hello?')).text(), 'the apology'), DEFAULT_APOLOGY);
  });

  it('let no turn run on when the store fails', async (t) => {
    const store = slowStore();
    store.update = () => Promise.reject(new Error('the database is gone'));
    const { client, app } = serve(t, {}, { store });
    await (await client.say('Hello?')).text();
    assert.equal(app.runningTurns, 0);
  });
});
