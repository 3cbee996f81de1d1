// How a call is shown on a terminal. What is said about its turns:
// test/server/records/call-story.test.ts.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { describedCall } from '../../../src/kit/commands/described-call.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';

const TIME = '2026-11-25T12:00:07.000Z';
const RECORD: CallRecord = {
  format: 2, conversationId: 'c-1', sessionId: 's-1', agent: 'bakery', startedAt: TIME,
  endedAt: TIME, durationMs: 900, outcome: 'ended', tokens: {},
  turns: [{
    turnId: 't', outcome: 'completed', startedAt: TIME, durationMs: 800, storeMs: 60,
    requests: [{ model: 'm', startedMs: 70, durationMs: 700 }],
    captured: {
      bytes: 99,
      requests: [{
        request: 0, fields: { seed: 7 }, sameMessages: 2, messages: [{ role: 'user' }],
        answer: 'Yes.',
      }],
    },
    messages: [],
  }],
};
const DETAILS = [
  '  seed: 7', '  the same 2 messages as before, then', '  sent: {"role":"user"}',
  '  answered: "Yes."',
];

describe('describedCall', () => {
  for (const hasRequests of [true, false]) {
    it(`says what happened and what took longest, with hasRequests=${hasRequests}`, () => {
      const lines = describedCall(RECORD, hasRequests).split('\n');
      assert.deepEqual(lines.slice(lines.indexOf('') + 1), [
        '[12:00:07] completed after 800 ms, turn t',
        'waited for the store (60 ms)',
        'model: m (700 ms)',
        ...(hasRequests ? DETAILS : []),
        '',
        'slowest',
        '      700 ms  model m, in the turn at 12:00:07',
        '       60 ms  the store, in the turn at 12:00:07',
        '',
      ]);
    });
  }
});
