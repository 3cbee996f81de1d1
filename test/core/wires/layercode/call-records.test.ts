// What the end of a session leaves of a call, in an app that is serving.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { createApp } from '../../../../src/server/app/create-app.ts';
import type { CallRecord } from '../../../../src/server/records/call-record.ts';
import { parseSettings } from '../../../../src/server/settings/parse-settings.ts';
import {
  Listener, messageEvent, SECRET, serve, slowStore, until, type Served, type ServeOptions,
  type TestAgent,
} from '../../../fixtures/app.ts';
import { mockTimers } from '../../../fixtures/clock.ts';
import type { CallArchiveInMemory } from '../../../server/records/call-archive-in-memory.ts';
import { openRecorder } from '../../../server/records/recorded-calls.ts';

const ids = { session_id: 's-1', conversation_id: 'c-1' };

interface Recording extends Served {
  readonly archive: CallArchiveInMemory;
  /** Posts an end of the session, and resolves with its record. */
  end(fields?: object): Promise<CallRecord>;
}

function record(t: TestContext, agent: TestAgent, options: ServeOptions = {}): Recording {
  const { recorder: records, archive } = openRecorder();
  const served = serve(t, agent, { ...options, records });
  const end = async (fields: object = {}): Promise<CallRecord> => {
    const event = { type: 'session.end', ...ids, ...fields };
    assert.equal((await served.client.post(event)).status, 200);
    return archive.kept.next('the record of the call');
  };
  return { ...served, archive, end };
}

function saidIn({ turns }: CallRecord): (readonly string[])[] {
  return turns.flatMap(({ outcome, messages }) =>
    messages.map(({ role, content }) => [outcome, role, content]),
  );
}

describe('the end of a session, where calls are recorded,', () => {
  for (const [kind, options] of [
    ['memory', () => ({})],
    ['a store that answers later', () => ({ store: slowStore() })],
  ] as const) {
    it(`leaves a record of who called, when, and what was said: ${kind}`, async (t) => {
      const { client, end } = record(t, { welcome: 'Welcome.' }, options());
      const numbers = { from_phone_number: '+15550100', to_phone_number: '+15550199' };
      const start = { type: 'session.start', ...ids, ...numbers, turn_id: 't-0' };
      await (await client.post(start)).text();
      await (await client.post(messageEvent({ turn_id: 't-1', text: 'Hello?' }))).text();
      const kept = await end({
        started_at: '2026-11-25T12:00:00Z', ended_at: '2026-11-25T12:01:05Z',
      });
      assert.deepEqual(saidIn(kept), [
        ['completed', 'assistant', 'Welcome.'],
        ['completed', 'user', 'Hello?'],
        ['completed', 'assistant', 'Yes.'],
      ]);
      const { sessionId, conversationId, agent, from, to, durationMs, outcome } = kept;
      assert.deepEqual(
        [sessionId, conversationId, agent, from, to, durationMs, outcome],
        ['s-1', 'c-1', 'tested', '+15550100', '+15550199', 65_000, 'ended'],
      );
      for (const { startedAt, durationMs, firstSpeechMs } of kept.turns) {
        assert.ok(Math.abs(Date.parse(startedAt ?? '') - Date.now()) < 60_000, startedAt);
        assert.ok(durationMs !== undefined && firstSpeechMs !== undefined);
      }
    });
  }

  it('ends the running turn before it makes the record', async (t) => {
    const { client, end } = record(t, {
      async *onMessage({ signal }) {
        yield 'Let me think. ';
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    });
    const listener = new Listener(await client.post(messageEvent({ turn_id: 't-1' })));
    await listener.next();
    assert.deepEqual(saidIn(await end()), [
      ['interrupted', 'user', 'Hello?'],
      ['interrupted', 'assistant', 'Let me think. '],
    ]);
  });

  it('makes no record of a conversation that is cleared before it can be written', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder: records, archive } = openRecorder();
    const { app, client } = serve(t, {}, { records });
    await (await client.post(messageEvent())).text();
    archive.failWith = new Error('no space left on device');
    await client.post({ type: 'session.end', ...ids });
    await until(() => archive.tries === 1, 'the first try');
    await new Promise((resolve) => setImmediate(resolve));
    await app.conversations.clear('c-1');
    archive.failWith = undefined;
    clock.tick(2_000);
    await until(() => records.counts().waiting === 0, 'the second try');
    assert.deepEqual(archive.kept.all, []);
  });

  it('makes one record, however often it is delivered', async (t) => {
    const { client, end, archive } = record(t, {});
    await (await client.post(messageEvent())).text();
    await end();
    await client.post({ type: 'session.end', ...ids });
    await (await client.post(messageEvent({ turn_id: 't-2', session_id: 's-2' }))).text();
    await end({ session_id: 's-2' });
    assert.deepEqual(archive.kept.all.map(({ sessionId }) => sessionId), ['s-1', 's-2']);
  });

  it('records a call whose agent fails when told of it', async (t) => {
    const { client, archive } = record(t, {
      onSessionEnd: () => {
        throw new Error('no');
      },
    });
    await (await client.post(messageEvent())).text();
    assert.equal((await client.post({ type: 'session.end', ...ids })).status, 500);
    assert.equal((await archive.kept.next()).sessionId, 's-1');
  });

  it('records a call in the call dialect', async (t) => {
    const { client, archive } = record(t, {});
    const call = { call_id: 'call-1', timestamp: '2026-11-25T12:00:00Z' };
    await (await client.post({ type: 'transcript', ...call, transcript: 'Hello?' })).text();
    await (await client.post({ type: 'call_ended', ...call })).text();
    const kept = await archive.kept.next();
    assert.deepEqual([kept.conversationId, kept.sessionId, kept.endedAt], [
      'call-1', 'call-1', '2026-11-25T12:00:00.000Z',
    ]);
    assert.deepEqual(saidIn(kept).map(([, , words]) => words), ['Hello?', 'Yes.']);
  });

  it('notes in the records of a turn and of its call that the store is away', async (t) => {
    const said: boolean[] = [];
    const isDegraded = { isDegraded: true, turnsWaiting: 0, failures: 0, conflicts: 0 };
    const { client } = serve(t, {}, {
      store: Object.assign(slowStore(), { health: () => isDegraded }),
      records: {
        turnEnded: (_call, _process, _read, isStoreAway) => said.push(isStoreAway?.() === true),
        ended: (_call, _read, isStoreAway) => said.push(isStoreAway?.() === true),
        counts: () => ({ written: 0, lost: 0, waiting: 0 }),
        close: () => Promise.resolve(),
      },
    });
    await (await client.post(messageEvent())).text();
    await client.post({ type: 'session.end', ...ids });
    assert.deepEqual(said, [true, true]);
  });
});

describe('an app that keeps no records', () => {
  it('keeps no figures for turns, and has no metrics for records', async (t) => {
    const { app, client } = serve(t, {});
    await (await client.post(messageEvent())).text();
    const conversation = await app.conversations.read('c-1');
    assert.deepEqual(conversation?.turns.map((turn) => 'figures' in turn), [false]);
    assert.doesNotMatch(app.metrics.text(), /call_records/);
  });

  it('is not created if the settings ask for records', () => {
    const settings = parseSettings(
      { LAYERCODE_WEBHOOK_SECRET: SECRET, CALL_RECORDS: 'file:calls.jsonl' }, [],
    );
    const agent = defineAgent({ name: 'tested', onMessage: () => 'Yes.' });
    assert.throws(() => createApp(settings, agent), /settings\.callRecords is set: pass/);
  });
});
