import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn, Reply } from '../../src/agents/agent.ts';
import { CheckBudget } from '../../src/schema/schema.ts';
import { toolRun } from '../../src/tools/tool-request.ts';
import { tool } from '../../src/tools/tool.ts';

describe('toolRun', () => {
  it('does not run a tool whose signal fires between the check and the run', async () => {
    let runs = 0;
    const outcomes: string[] = [];
    const order = tool({
      name: 'order',
      description: 'Orders.',
      parameters: { type: 'object' },
      run: () => (runs += 1),
    });
    const noteToolOutcome = (_name: string, outcome: string): unknown => outcomes.push(outcome);
    const journal = { noteToolOutcome, tellBrowser: () => undefined };
    const turn = { journal } as unknown as MessageTurn;
    const reply = { data: () => true } as unknown as Reply;
    const call = { id: 'call_1', name: 'order', args: '{}' };
    const { run } = toolRun(call, [order], turn, reply, new CheckBudget());
    const caller = new AbortController();
    const running = run({ signal: caller.signal, toolCallId: 'call_1', idempotencyKey: 'key' });
    const left = new Error('the caller left');
    caller.abort(left); // the check is done, and its answer on its way
    await assert.rejects(async () => running, left);
    assert.deepEqual([runs, outcomes], [0, ['interrupted']]);
  });

  it('of a tool that does not exist may run at any time', () => {
    const call = { id: 'call_1', name: 'steal', args: '{}' };
    const { repeatable } = toolRun(
      call, [], {} as MessageTurn, {} as Reply, new CheckBudget(),
    );
    assert.equal(repeatable, true);
  });
});
