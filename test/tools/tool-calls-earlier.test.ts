// What a run knows of calls that were made before it, and what it learns of them later.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EarlierToolCall } from '../../src/conversations/discarded-turns.ts';
import type { ToolMessage } from '../../src/conversations/message.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { EarlierToolCalls } from '../../src/tools/tool-calls-earlier.ts';
import { RunningToolCalls } from '../../src/tools/tool-calls-running.ts';

const CALL = { id: 'x', name: 'book', args: '{"day":1}' } as const;
const RUNNING: ToolMessage = {
  role: 'tool', turnId: 't', toolCallId: 'x', runId: 1, process: 'a', key: 'of reception',
  state: 'running', content: UNFINISHED_RESULTS.running,
};
const BOOKED: ToolMessage = { ...RUNNING, state: 'completed', content: '"booked"' };
const OF = { call: CALL, agent: 'reception', isOtherPlace: false } as const;

// Billing's own key of the call is another one: a key has the name of the agent.
describe('a call of another agent that the run knew of when it began', () => {
  for (const known of [BOOKED, RUNNING])
    it(`is still found by what it called, once its result is learnt: ${known.state}`, () => {
      const found: EarlierToolCall = { ...known, of: OF };
      const earlier = new EarlierToolCalls(new RunningToolCalls(), [found]);
      earlier.learn([BOOKED], () => undefined);
      const taken = earlier.take('of billing', { ...CALL, id: 'y' }, 'billing');
      assert.equal(taken?.message.content, '"booked"');
    });
});
