// What a run knows about calls that were made before it, and what it learns about them later.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EarlierToolCall } from '../../../src/core/conversations/discarded-turns.ts';
import type { ToolMessage } from '../../../src/core/conversations/message.ts';
import { UNFINISHED_RESULTS } from '../../../src/core/conversations/unfinished-tool-results.ts';
import { EarlierToolCalls } from '../../../src/core/tools/tool-calls-earlier.ts';
import { RunningToolCall, RunningToolCalls } from '../../../src/core/tools/tool-calls-running.ts';

const CALL = { id: 'x', name: 'book', args: '{"day":1}' } as const;
const RUNNING: ToolMessage = {
  role: 'tool', turnId: 't', toolCallId: 'x', runId: 1, process: 'a', key: 'of reception',
  state: 'running', content: UNFINISHED_RESULTS.running,
};
const BOOKED: ToolMessage = { ...RUNNING, state: 'completed', content: '"booked"' };
const OF = { call: CALL, agent: 'reception', isOtherPlace: false } as const;

const LEARNT: EarlierToolCall = { ...BOOKED, of: OF };
const ASKED = { ...CALL, id: 'y' } as const;

// Billing's own key for the call is different: a key contains the agent's name.
describe('a call of another agent that the run learns of', () => {
  for (const known of [[{ ...BOOKED, of: OF }], [{ ...RUNNING, of: OF }], []])
    it(`is found by what it called, known before: ${known[0]?.state ?? 'no'}`, () => {
      const earlier = new EarlierToolCalls(new RunningToolCalls(), known);
      earlier.learn([LEARNT], () => undefined);
      const taken = earlier.take('of billing', ASKED, 'billing');
      assert.equal(taken?.message.content, '"booked"');
    });

  it('stands for the call with its key that the run made itself, and for no other', () => {
    const earlier = new EarlierToolCalls(new RunningToolCalls(), []);
    earlier.learn([LEARNT], () => new RunningToolCall());
    assert.equal(earlier.take('of billing', ASKED, 'billing'), undefined);
    assert.equal(earlier.take('of reception', ASKED, undefined)?.message.content, '"booked"');
  });
});
