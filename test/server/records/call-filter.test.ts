import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isMeant, type CallFilter } from '../../../src/server/records/call-filter.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';

const call = { id: 'x', name: 'stock', args: '{}' };
const RECORD: CallRecord = {
  format: 2, conversationId: 'c', sessionId: 's', agent: 'bakery', from: '+1', to: '+2',
  startedAt: '2026-11-25T23:59:59.999Z', endedAt: '2026-11-26T00:01:00.000Z', durationMs: 60_001,
  outcome: 'hung up', tokens: {},
  turns: [
    {
      turnId: 'a', outcome: 'completed', firstSpeechMs: 100, firstWordMs: 3_500,
      messages: [
        { role: 'assistant', content: '', toolCalls: [call] },
        { role: 'tool', content: '{}', toolCallId: 'x', state: 'completed' },
        { role: 'assistant', content: 'Hi.', agent: 'stockist' },
      ],
      tools: [{ toolCallId: 'x', tool: 'stock', startedMs: 1, outcome: 'failed' }],
    },
    {
      turnId: 'u', outcome: 'completed', firstSpeechMs: 1,
      messages: [
        { role: 'assistant', content: '', toolCalls: [{ ...call, name: 'pay' }] },
        { role: 'tool', content: '{}', toolCallId: 'x', state: 'unknown' },
      ],
    },
    { turnId: 'b', outcome: 'failed', messages: [] },
  ],
};

const cases: readonly (readonly [CallFilter, boolean])[] = [
  [{}, true],
  [{ from: '+1' }, true], [{ from: '+2' }, false],
  [{ number: '+1' }, true], [{ number: '+2' }, true], [{ number: '+' }, false],
  [{ from: ' 1' }, true], [{ number: '(2)' }, true],
  [{ day: '2026-11-25' }, true], [{ day: '2026-11-26' }, false],
  [{ outcome: 'hung up' }, true], [{ outcome: 'ended' }, false],
  [{ agent: 'bakery' }, true], [{ agent: 'stockist' }, true], [{ agent: 'bake' }, false],
  [{ tool: 'stock' }, true], [{ tool: 'order' }, false],
  [{ toolOutcome: 'unknown' }, true], [{ toolOutcome: 'failed' }, true],
  [{ tool: 'pay', toolOutcome: 'unknown' }, true], [{ tool: 'pay', toolOutcome: 'failed' }, false],
  [{ tool: 'stock', toolOutcome: 'unknown' }, false],
  [{ slowerThanMs: 3_499 }, true], [{ slowerThanMs: 3_500 }, false],
  [{ hasFailed: true }, true],
  [{ number: '+1', tool: 'order' }, false],
];

describe('isMeant', () => {
  for (const [filter, expected] of cases) {
    it(`is ${expected} for ${JSON.stringify(filter)}`, () =>
      assert.equal(isMeant(RECORD, filter), expected));
  }

  it('finds no failed turn if all have completed', () => {
    const turns = RECORD.turns.slice(0, 1);
    assert.equal(isMeant({ ...RECORD, turns }, { hasFailed: true }), false);
  });

  // The caller had waited for 4 s, and heard a filler and the apology, or nothing at all.
  for (const more of [
    { outcome: 'failed', firstSpeechMs: 1_200, fillers: [{ text: 'Hm.', afterMs: 1_200 }] },
    { outcome: 'failed' },
    { outcome: 'interrupted' },
  ] as const)
    it(`takes a turn's end as its first word if it had none: ${JSON.stringify(more)}`, () => {
      const turn = { turnId: 'a', durationMs: 4_000, messages: [], ...more };
      const record: CallRecord = { ...RECORD, turns: [turn] };
      assert.equal(isMeant(record, { slowerThanMs: 3_999 }), true);
      assert.equal(isMeant(record, { slowerThanMs: 4_000 }), false);
    });

  it('finds a turn that was silent when its process died, but no others without times', () => {
    const silent = { turnId: 'a', outcome: 'open', messages: [] } as const;
    const hello = { role: 'assistant', content: 'Hello.' } as const;
    const found = [silent, { ...silent, messages: [hello] }].map((turn) =>
      isMeant({ ...RECORD, turns: [turn] }, { slowerThanMs: 999_999_999 }));
    assert.deepEqual(found, [true, false]);
  });

  it('takes the first sound as the first word in a record of format 1', () => {
    const turn = { turnId: 'a', outcome: 'completed', firstSpeechMs: 100, messages: [] } as const;
    const old: CallRecord = { ...RECORD, format: 1, turns: [turn] };
    assert.equal(isMeant(old, { slowerThanMs: 99 }), true);
    assert.equal(isMeant(old, { slowerThanMs: 100 }), false);
  });
});
