import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CheckBudget } from '../../../src/base/schema/schema.ts';
import type { MessageTurn, Reply } from '../../../src/core/agents/agent.ts';
import { toolRun } from '../../../src/core/tools/tool-request.ts';
import type { Tool } from '../../../src/core/tools/tool.ts';
import { looking } from '../agents/weather-tool.ts';

/** What came of a call whose signal fired while it was under way. */
async function interrupted(check?: Tool['check']): Promise<readonly [number, readonly string[]]> {
  let runs = 0;
  const outcomes: string[] = [];
  const look = looking({ run: () => (runs += 1) });
  const noteToolOutcome = (_name: string, outcome: string): unknown => outcomes.push(outcome);
  const journal = { noteToolOutcome, tellBrowser: () => undefined };
  const turn = { journal } as unknown as MessageTurn;
  const reply = { data: () => true } as unknown as Reply;
  const tools = [check === undefined ? look : { ...look, check }];
  const call = { id: 'call_1', name: 'look', args: '{}' };
  const { run } = toolRun(call, tools, turn, reply, new CheckBudget());
  const caller = new AbortController();
  const running = run({ signal: caller.signal, toolCallId: 'call_1', idempotencyKey: 'key' });
  const left = new Error('the caller left');
  caller.abort(left);
  await assert.rejects(async () => running, left);
  return [runs, outcomes];
}

describe('toolRun', () => {
  it('does not run a tool whose signal fires between the check and the run', async () => {
    assert.deepEqual(await interrupted(), [0, ['interrupted']]);
  });

  it('stops waiting for a hanging validator when the signal fires', async () => {
    assert.deepEqual(await interrupted(() => new Promise(() => undefined)), [0, ['interrupted']]);
  });

  it('treats a call of an unknown tool as repeatable', () => {
    const call = { id: 'call_1', name: 'steal', args: '{}' };
    const { repeatable } = toolRun(
      call, [], {} as MessageTurn, {} as Reply, new CheckBudget(),
    );
    assert.equal(repeatable, true);
  });
});
