import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RecentRuns, type RecentRun } from '../../src/observers/recent-runs.ts';
import type { TracedTurn } from '../../src/turns/work/turn-points.ts';

function turnOf(number: number, agent = 'waiter'): TracedTurn {
  return { conversationId: `c-${number}`, turnId: `t-${number}`, wire: 'layercode', agent };
}

function runOf(number: number): RecentRun {
  const span = { traceId: 'trace', spanId: String(number), traceFlags: 1 };
  return { turnId: `t-${number}`, span, outcome: 'completed' };
}

function filled(count: number): RecentRuns {
  const runs = new RecentRuns();
  for (let number = 0; number < count; number++) runs.add(turnOf(number), runOf(number));
  return runs;
}

describe('RecentRuns', () => {
  it('knows the last 10,000 runs', () => {
    for (const count of [10_000, 10_001, 15_000, 20_001, 25_000]) {
      const runs = filled(count);
      const oldest = count - 10_000;
      assert.equal(runs.sameTurn(turnOf(oldest))?.span.spanId, String(oldest), String(count));
    }
  });

  it('forgets those before the last 20,000', () => {
    for (const count of [20_001, 30_000, 45_000]) {
      assert.equal(filled(count).sameTurn(turnOf(count - 20_001)), undefined, String(count));
    }
  });

  it('keeps the conversations of two agents apart', () => {
    const runs = filled(1);
    assert.equal(runs.sameTurn(turnOf(0, 'cook')), undefined);
    assert.equal(runs.turnBefore({ ...turnOf(0, 'cook'), turnId: 't-9' }), undefined);
  });

  it('has the newest run of a conversation, unless that is the same turn', () => {
    const runs = filled(1);
    assert.equal(runs.turnBefore({ ...turnOf(0), turnId: 't-9' })?.turnId, 't-0');
    assert.equal(runs.turnBefore(turnOf(0)), undefined);
  });
});
