import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { CallEvent } from '../../../../src/core/calls/call-event.ts';
import { isKnownEvent, parseEvent } from '../../../../src/core/wires/layercode/events.ts';
import { callEventOf } from '../../../../src/core/wires/layercode/our-events.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What a posted event means, once its fields have passed the check. */
function translated(posted: Fields): CallEvent {
  const event = parseEvent(Buffer.from(JSON.stringify(posted)));
  assert.ok(isKnownEvent(event));
  return callEventOf(event);
}

const SESSION = { session_id: 's', conversation_id: 'c', turn_id: 't' } as const;
const CALL = { call_id: 'k', turn_id: 't' } as const;

describe('callEventOf', () => {
  for (const [posted, type] of [
    [{ type: 'session.start', ...SESSION }, 'start'],
    [{ type: 'call_started', ...CALL }, 'start'],
    [{ type: 'message', ...SESSION, text: 'Hi' }, 'message'],
    [{ type: 'transcript', ...CALL, transcript: 'Hi' }, 'message'],
    [{ type: 'user_interrupted', ...CALL }, 'interruption'],
    [{ type: 'data', ...SESSION, data: { page: 1 } }, 'data'],
    [{ type: 'session.update', ...SESSION }, 'change'],
    [{ type: 'session.end', ...SESSION }, 'end'],
    [{ type: 'call_ended', ...CALL }, 'end'],
  ] as const) {
    it(`gives "${type}" for ${posted.type}, with the posted event as it is`, () => {
      const event = translated(posted);
      assert.equal(event.type, type);
      assert.deepEqual(event.raw, posted);
      assert.deepEqual([event.turnId, event.language, event.wire], ['t', undefined, 'layercode']);
      if (event.type === 'message') assert.equal(event.text, 'Hi');
      if (event.type === 'data') assert.deepEqual(event.data, { page: 1 });
    });
  }

  it('gives no turn id if the platform sent none', () => {
    for (const turn_id of [undefined, null]) {
      const event = translated({ ...SESSION, type: 'message', text: '', turn_id });
      assert.equal(event.turnId, undefined);
    }
  });

  for (const [fields, conversationId, sessionId] of [
    [{ type: 'message', session_id: 's', conversation_id: 'c', text: 'x' }, 'c', 's'],
    [{ type: 'message', session_id: 's', text: 'x' }, 's', 's'],
    [{ type: 'message', session_id: 's', conversation_id: null, text: 'x' }, 's', 's'],
    [{ type: 'transcript', call_id: 'k', transcript: 'x' }, 'k', 'k'],
    [{ type: 'call_ended', call_id: 'k', conversation_id: 'c', session_id: 's' }, 'k', 'k'],
  ] as const) {
    const posted = JSON.stringify(fields);
    it(`gives conversation ${conversationId} and session ${sessionId} for ${posted}`, () => {
      const event = translated(fields);
      assert.deepEqual([event.conversationId, event.sessionId], [conversationId, sessionId]);
    });
  }

  for (const [fields, metadata] of [
    [{}, {}],
    [{ metadata: null, custom_metadata: null }, {}],
    [{ metadata: { a: 1 } }, { a: 1 }],
    [{ metadata: null, custom_metadata: { a: 1 } }, { a: 1 }],
    [
      { metadata: { a: 1, b: 1 }, custom_metadata: { b: 2, c: 2 } },
      { a: 1, b: 2, c: 2 },
    ],
  ] as const) {
    it(`gives the metadata ${JSON.stringify(metadata)} for ${JSON.stringify(fields)}`, () => {
      const event = translated({ type: 'session.start', session_id: 's', ...fields });
      assert.deepEqual(event.metadata, metadata);
    });
  }

  it('gives the metadata of a call', () => {
    const event = translated({ type: 'call_started', call_id: 'c', metadata: { a: 1 } });
    assert.deepEqual(event.metadata, { a: 1 });
  });

  const [from, to] = ['+15550100', '+15550199'];
  for (const [fields, caller] of [
    [{}, undefined],
    [{ from_phone_number: null, to_phone_number: null }, undefined],
    [{ from_phone_number: '', to_phone_number: '' }, undefined],
    [{ from_phone_number: from, to_phone_number: to }, { from, to }],
    [{ from_phone_number: from }, { from, to: undefined }],
    [{ from_phone_number: '', to_phone_number: to }, { from: undefined, to }],
  ] as const) {
    const numbers = JSON.stringify(fields);
    it(`gives the caller ${JSON.stringify(caller)} for ${numbers}, in both dialects`, () => {
      for (const event of [
        { type: 'session.start', session_id: 's' },
        { type: 'message', session_id: 's', text: 'Hi' },
        { type: 'call_started', call_id: 'c' },
        { type: 'transcript', call_id: 'c', transcript: 'Hi' },
      ])
        assert.deepEqual(translated({ ...event, ...fields }).caller, caller);
    });
  }

  for (const wrong of [5, {}, 'x'.repeat(257), '+1\n2']) {
    it(`does not accept ${JSON.stringify(wrong).slice(0, 20)} as a phone number`, () => {
      const event = { type: 'call_started', call_id: 'c', from_phone_number: wrong };
      assert.equal(translated(event).caller, undefined);
    });
  }

  for (const [context, interruption] of [
    [undefined, undefined],
    [null, undefined],
    [{ previous_turn_interrupted: false, text_heard: 'x' }, undefined],
    [{ previous_turn_interrupted: true }, { textHeard: undefined, turnId: undefined }],
    [{ previous_turn_interrupted: true, text_heard: '' }, { textHeard: '', turnId: undefined }],
    [
      { previous_turn_interrupted: true, text_heard: 'Hel', assistant_turn_id: 't0' },
      { textHeard: 'Hel', turnId: 't0' },
    ],
  ] as const) {
    it(`gives interruption ${JSON.stringify(interruption)} for ${JSON.stringify(context)}`, () => {
      const fields = { ...SESSION, text: 'x', interruption_context: context };
      const event = translated({ type: 'message', ...fields });
      assert.deepEqual(event.type === 'message' && event.interruption, interruption);
    });
  }

  for (const [posted, isBeside] of [
    [{ type: 'session.start', session_id: 's' }, true],
    [{ type: 'session.start', session_id: 's', turn_id: null }, true],
    [{ type: 'session.start', session_id: 's', turn_id: 't' }, false],
    [{ type: 'call_started', call_id: 'k' }, false],
  ] as const) {
    it(`gives isBeside ${isBeside} for ${JSON.stringify(posted)}`, () => {
      const event = translated(posted);
      assert.equal(event.type === 'start' && event.isBeside, isBeside);
    });
  }

  const NOON = Date.UTC(2026, 0, 1, 12);
  for (const [time, ms] of [
    [NOON, NOON],
    ['2026-01-01T12:00:00.000Z', NOON],
    ['at noon', undefined],
    [null, undefined],
    [undefined, undefined],
  ] as const) {
    it(`gives the end ${ms} for ended_at ${JSON.stringify(time)}`, () => {
      const fields = { ...SESSION, started_at: time, ended_at: time };
      const event = translated({ type: 'session.end', ...fields });
      assert.ok(event.type === 'end');
      assert.deepEqual([event.startedAt, event.endedAt], [ms, ms]);
    });
  }

  it('gives the timestamp of call_ended as the end, and no beginning', () => {
    const event = translated({ type: 'call_ended', ...CALL, timestamp: '2026-01-01T12:00:00Z' });
    assert.deepEqual(event.type === 'end' && [event.startedAt, event.endedAt], [undefined, NOON]);
  });
});
