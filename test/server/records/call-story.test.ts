import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ToolCall } from '../../../src/core/conversations/message.ts';
import type {
  CallRecord, RecordedMessage, RecordedTurn,
} from '../../../src/server/records/call-record.ts';
import { slowestOf, storyOf } from '../../../src/server/records/call-story.ts';

function recordOf(...turns: readonly RecordedTurn[]): CallRecord {
  const time = '2026-11-25T12:00:00.000Z';
  return {
    format: 2, conversationId: 'c', sessionId: 's', agent: 'bakery', startedAt: time,
    endedAt: time, durationMs: 0, outcome: 'ended', tokens: {}, turns,
  };
}

const AT = '2026-11-25T12:00:07.120Z';
const TURN: RecordedTurn = {
  turnId: 't', outcome: 'completed', startedAt: AT, durationMs: 6_000,
  firstSpeechMs: 900, firstWordMs: 5_400, storeMs: 12,
  fillers: [{ text: 'One moment.', afterMs: 900 }],
  requests: [
    { model: 'a:slow', startedMs: 2, durationMs: 300, failure: 'rate_limited', fellBackTo: 'b:c' },
    { model: 'b:c', startedMs: 303, firstTokenMs: 200, durationMs: 250 },
    { model: 'b:c', startedMs: 5_000, firstTokenMs: 390, durationMs: 700, inputTokens: 9 },
  ],
  tools: [
    { toolCallId: 'x', tool: 'stock', startedMs: 560, durationMs: 4_400, outcome: 'failed' },
  ],
  messages: [
    { role: 'user', content: 'Rye?' },
    {
      role: 'assistant', content: '',
      toolCalls: [{ id: 'x', name: 'stock', args: '{"bread":"rye"}' }],
    },
    { role: 'tool', content: '{"error":"no"}', toolCallId: 'x', state: 'completed' },
    { role: 'assistant', content: 'Sorry.' },
  ],
};

/** A turn of which only these fields matter. */
function turnOf(fields: Partial<RecordedTurn>): RecordedTurn {
  return { turnId: 't', outcome: 'completed', messages: [], ...fields };
}

function told(turn: RecordedTurn): string[] {
  const [first] = storyOf(recordOf(turn));
  return (first?.lines ?? []).map(({ kind, text }) => `${kind} ${text}`);
}

function kindsIn(turn: RecordedTurn): (string | undefined)[] {
  return told(turn).map((line) => line.split(' ')[0]);
}

describe('storyOf', () => {
  it('places requests, tools and fillers where they happened', () => {
    assert.deepEqual(told(TURN), [
      'caller Rye?',
      'store ',
      'model a:slow, rate_limited, b:c was asked instead',
      'model b:c, first token after 200 ms',
      'tool stock {"bread":"rye"}',
      'result {"error":"no"} (failed)',
      'filler One moment.',
      'model b:c, first token after 390 ms, 9 in, ? out',
      'agent Sorry.',
    ]);
  });

  it('says how late the first sound and the first word were', () => {
    const [first] = storyOf(recordOf(TURN));
    const times = 'first sound after 900 ms, first word after 5400 ms';
    assert.equal(first?.heading, `[12:00:07] completed after 6000 ms, ${times}, turn t`);
  });

  const request = { model: 'm', startedMs: 0 };
  const refused = { ...request, durationMs: 9, failure: 'http_error' };
  const result = { role: 'tool', content: '{}', toolCallId: 'x', state: 'completed' } as const;
  const cut = { ...request, durationMs: 95, inputTokens: 9, outputTokens: 2 } as const;

  for (const [what, fields, lines] of [
    ['says that the tokens of a request that was cut off are estimated',
      { requests: [{ ...cut, failure: 'interrupted', isEstimated: true }] },
      ['model m, interrupted, 9 in, 2 out, estimated']],
    ['ends a failed turn with the reason',
      { outcome: 'failed', failure: { reason: 'agent', detail: 'TypeError at pick' } },
      ['failure agent: TypeError at pick']],
    ['says what a vendor answered instead of a reply',
      { requests: [{ ...refused, reason: 'm answered HTTP 500', retriedAfterMs: 200 }, refused] },
      ['model m, http_error: answered HTTP 500, asked again after 200 ms', 'model m, http_error']],
    ["says that an answer was cut at the model's limit",
      { requests: [{ ...request, outputTokens: 9, finishReason: 'length' }, request] },
      ["model m, cut at the model's limit, ? in, 9 out", 'model m']],
    ['shows a result that came after all',
      {
        tools: [{ toolCallId: 'x', tool: 'pay', startedMs: 1, outcome: 'unknown' }],
        messages: [result],
      }, ['result {}']],
    ['says before the goodbye that the call has reached a limit',
      {
        firstSpeechMs: 5, firstWordMs: 5, limit: 'tokens',
        messages: [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Goodbye.' }],
      }, ['caller Hi', 'limit the call has reached its limit of tokens', 'agent Goodbye.']],
    // The log had the limit before the goodbye was spoken, and the store failed after it.
    ['says both that a limit was reached and why the turn failed',
      { outcome: 'failed', limit: 'cost', failure: { reason: 'store' } },
      ['limit the call has reached its limit of cost', 'failure store']],
  ] as const)
    it(what, () => assert.deepEqual(told(turnOf(fields)), lines));

  for (const [what, tools, cause] of [
    ['process ended', [], 'its process ended'],
    ['tool threw', [{ outcome: 'failed', detail: 'Error ECONNRESET' }], 'Error ECONNRESET'],
    ['tool threw a non-error', [{ outcome: 'unknown' }], 'it threw something that is not an error'],
    ['turn ended first', [{}], 'it went on after its turn'],
  ] as const)
    it(`says why the outcome of a call is unknown: its ${what}`, () => {
      const turn = turnOf({
        durationMs: 9, // of a later run
        tools: tools.map((tool) => ({ toolCallId: 'x', tool: 'pay', startedMs: 1, ...tool })),
        messages: [{ ...result, state: 'unknown', idempotencyKey: 'k' }],
      });
      assert.deepEqual(told(turn), [`result {} (unknown: ${cause}, key k)`]);
    });

  it('says if a call did not run because an identical one has an unknown outcome', () => {
    const lost = { ...result, state: 'unknown', idempotencyKey: 'k' } as const;
    const turn = turnOf({ messages: [lost, { ...lost, idempotencyKey: 'other' }] });
    const stories = storyOf(recordOf(turn, turnOf({ durationMs: 9, messages: [lost] })));
    const causes = stories.flatMap(({ lines }) => lines.map(({ text }) => text));
    assert.deepEqual(causes, [
      '{} (unknown: its process ended, key k)',
      '{} (unknown: its process ended, key other)',
      '{} (unknown: an identical earlier call has an unknown outcome, key k)',
    ]);
  });

  const said = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello.' }] as const;
  const failed = {
    outcome: 'failed', durationMs: 210, failure: { reason: 'model' }, messages: said,
    requests: [{ ...refused, retriedAfterMs: 190 }, { ...refused, startedMs: 200 }],
  } as const;

  for (const [what, fields, kinds] of [
    ['puts words that precede a tool call after the request that produced them', {
      firstSpeechMs: 90, firstWordMs: 90,
      requests: [
        { ...request, firstTokenMs: 90, durationMs: 95 },
        { model: 'm', startedMs: 200, firstTokenMs: 50, durationMs: 60 },
      ],
      tools: [{ toolCallId: 'y', tool: 'order', startedMs: 100, durationMs: 90 }],
      messages: [
        {
          role: 'assistant', content: 'Let me see.',
          toolCalls: [{ id: 'y', name: 'order', args: '{}' }],
        },
        { ...result, toolCallId: 'y' },
        { role: 'assistant', content: 'Done.' },
      ],
    }, 'model agent tool result model agent'],
    // The apology was once placed between the requests that it apologises for.
    ['puts the apology after the requests that failed', failed, 'caller model model agent failure'],
    ['puts the apology after the requests that failed, and after a filler',
      { ...failed, firstSpeechMs: 90, fillers: [{ text: 'One moment.', afterMs: 90 }] },
      'caller model filler model agent failure'],
    ['puts the wait for SETTLE_MS before the tool, and after the model that calls it', {
      settleMs: 690, settlingFromMs: 11,
      requests: [{ model: 'm', startedMs: 2, firstTokenMs: 5, durationMs: 8 }],
      tools: [{ toolCallId: 'x', tool: 'book', startedMs: 701, durationMs: 90 }],
      messages: [
        { role: 'user', content: 'Book!' },
        { role: 'assistant', content: '', toolCalls: [{ id: 'x', name: 'book', args: '{}' }] },
      ],
    }, 'caller model settling tool'],
    ['puts a request before its answer, even within one millisecond', {
      firstSpeechMs: 5, firstWordMs: 5, messages: said,
      requests: [{ model: 'm', startedMs: 5, firstTokenMs: 0, durationMs: 1 }],
    }, 'caller model agent'],
  ] as const)
    it(what, () => assert.equal(kindsIn(turnOf(fields)).join(' '), kinds));

  // It once had no time, so it came before the model that made it.
  it('puts a call that did not run between its model request and the next request', () => {
    const asking = (id: string, ...others: readonly ToolCall[]): RecordedMessage => (
      { role: 'assistant', content: '', toolCalls: [{ id, name: 'pay', args: '{}' }, ...others] }
    );
    const result = (toolCallId: string): RecordedMessage => (
      { role: 'tool', content: '1', toolCallId, state: 'completed' }
    );
    const turn = turnOf({
      durationMs: 2_000, storeMs: 3, settleMs: 600, settlingFromMs: 110,
      firstSpeechMs: 1_500, firstWordMs: 1_500, failure: { reason: 'agent' },
      requests: [
        { model: 'm', startedMs: 10, firstTokenMs: 90, durationMs: 99 },
        { model: 'm', startedMs: 800, firstTokenMs: 90, durationMs: 99 },
        { model: 'm', startedMs: 1_400, firstTokenMs: 100, durationMs: 110 },
        { model: 'm', startedMs: 1_700, firstTokenMs: 100, durationMs: 110 },
      ],
      tools: [{ toolCallId: 'z', tool: 'look', startedMs: 711, durationMs: 9 }],
      messages: [
        { role: 'user', content: 'Pay!' },
        asking('x', { id: 'z', name: 'look', args: '{}' }), result('x'), result('z'),
        asking('y'), result('y'),
        { ...asking('u'), content: 'Once more.' }, result('u'),
        asking('v'), result('v'),
      ],
    });
    assert.deepEqual(kindsIn(turn), [
      'caller', 'store', 'model', 'settling', 'tool', 'tool', 'result', 'result',
      'model', 'tool', 'result', 'model', 'agent', 'tool', 'result', 'model', 'tool', 'result',
      'failure',
    ]);
  });

  it('shows a record of format 1, whose filler has no time', () => {
    const turn = turnOf({ firstSpeechMs: 50, filler: 'One moment.', messages: said });
    assert.deepEqual(told(turn), ['caller Hi', 'filler One moment.', 'agent Hello.']);
    assert.match(storyOf(recordOf(turn))[0]?.heading ?? '', /^\[\?\] completed/);
  });
});

describe('slowestOf', () => {
  it('names what took longest over all turns, the slowest first', () => {
    assert.deepEqual(slowestOf(recordOf(TURN, TURN), 3).map(({ what, durationMs, turn }) => [
      what, durationMs, turn,
    ]), [
      ['tool stock', 4_400, '12:00:07'], ['tool stock', 4_400, '12:00:07'],
      ['model b:c', 700, '12:00:07'],
    ]);
  });

  const asked = [
    { model: 'm', startedMs: 0, durationMs: 9, failure: 'rate_limited', retriedAfterMs: 1_000 },
    { model: 'm', startedMs: 1_009, firstTokenMs: 5, durationMs: 30 },
  ];
  for (const [what, fields, durationMs] of [
    ['the wait for SETTLE_MS', { settleMs: 690 }, 690],
    ['the wait before model m was asked again', { requests: asked }, 1_000],
  ] as const)
    it(`counts ${what}`, () => {
      const [slowest] = slowestOf(recordOf(turnOf({ startedAt: AT, ...fields })), 1);
      assert.deepEqual(slowest, { what, durationMs, turn: '12:00:07' });
    });

  it('is empty for a record of format 1, which has no times', () => {
    assert.deepEqual(slowestOf(recordOf(turnOf({})), 3), []);
  });
});
