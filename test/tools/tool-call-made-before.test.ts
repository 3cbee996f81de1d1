// What becomes of calls that were made before, and of those whose claims others know of.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EarlierToolCall } from '../../src/conversations/discarded-turns.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { onceKey } from '../../src/tools/tool-call-key.ts';
import { RunningToolCall, type ToolCallResult } from '../../src/tools/tool-calls-running.ts';
import { KEY, Stage } from './tool-stage.ts';

describe('a call that acts once', () => {
  const once = { once: () => 'it' } as const;

  it('that its own turn has made has its result, and not one from before', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 't' } };
    assert.equal(await stage.pays(stage.calls({}), once), '7');
  });

  it('that another turn has made was done before', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 'other' } };
    const told = await stage.pays(stage.calls({}), once);
    assert.equal(told, '{"status":"done before","result":7}');
  });

  const running = {
    state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
    turnId: 'other', runId: 1, toolCallId: 'x', process: 'p',
  };

  it('has an unknown outcome for all if the process that made it is gone', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    stage.answer = { ...stage.answer, isCallRunning: () => false };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.lost, stage.unknown], [stage.spoken.map(({ key }) => key), ['pay']]);
  });

  it('is told as unknown by the claim that finds it lost', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'lost', call: { ...running, state: 'unknown' } };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual(stage.unknown, ['pay']);
  });

  it('is told as unknown once, by the process that finds it lost first', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    stage.isFirst = false;
    stage.answer = { ...stage.answer, isCallRunning: () => false };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.lost.length, stage.unknown], [1, []]);
  });

  it('has an unknown outcome if nobody knows which process runs it', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: { ...running, process: undefined } };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.asked], [[], []]);
  });

  it('says in the record that it waits for the call of another turn', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    const joined: unknown[] = [];
    const isIdle = (): boolean => {
      joined.push(stage.spoken[0]?.joins);
      return true;
    };
    stage.answer = { ...stage.answer, isIdle, isCallRunning: () => false };
    await stage.pays(stage.calls({}), once);
    assert.deepEqual(joined, [true]);
  });

  it('waits for none if its turn is over by then', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    stage.storing = () => {
      stage.isOver = true;
    };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.interrupted);
    assert.deepEqual([stage.asked, stage.spoken[0]?.runner], [[], undefined]);
  });

  it('is not started if the store does not confirm its second claim', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    stage.answer = { ...stage.answer, isIdle: () => true };
    stage.storing = () => {
      if (stage.progress.length > 1) throw new Error('the store does not answer');
    };
    assert.equal(await stage.pays(stage.calls({}), once), '{"error":"not started"}');
    assert.deepEqual(stage.acts, []);
  });

  it('is not claimed again after its turn, though what it waited for did nothing', async () => {
    const stage = new Stage();
    const calls = stage.calls({});
    stage.claim = { kind: 'running', call: running };
    stage.answer = {
      ...stage.answer,
      isIdle: () => {
        calls.turnEnded(new Error('the turn ended'), 0, false);
        return true;
      },
    };
    assert.equal(await stage.pays(calls, once), UNFINISHED_RESULTS.interrupted);
    assert.deepEqual([stage.acts, stage.progress], [[], [1]]);
  });
});

describe('a call that acts once, which other processes know of', () => {
  const once = { once: () => 'it' } as const;
  const key = onceKey('c', 'pay', 'it');
  const running = {
    state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
    turnId: 't', runId: 1, toolCallId: 'y',
  } as const;

  it('counts as asking while it asks them: of two that do, only one may go ahead', async () => {
    const stage = new Stage();
    await stage.pays(stage.calls({}), once);
    assert.deepEqual([stage.wasAsking, stage.running.isAsking(key)], [true, false]);
  });

  // Others would wait for it, which does nothing itself.
  it('does not count as asking any more while it waits for one of them', async () => {
    const stage = new Stage();
    stage.runner = 'p';
    const asking: boolean[] = [];
    const calls = stage.calls({});
    const isIdle = (): boolean => {
      asking.push(stage.running.isAsking(key));
      calls.turnEnded(new Error('the turn ended'), 0, false);
      return false;
    };
    stage.answer = { ...stage.answer, isIdle };
    await stage.pays(calls, once);
    assert.equal(asking[0], false);
  });

  // Seed 100001532 of the fleet: its process said that it was about to pay, and died.
  it('does not count as asking if its turn is over by then: it claims nothing', async () => {
    const stage = new Stage();
    stage.meanwhile = () => {
      stage.isOver = true;
    };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.interrupted);
    assert.equal(stage.wasAsking, false);
  });

  it('acts if the claim is its own: the others may be waiting for this process', async () => {
    const stage = new Stage();
    stage.claims = { [key]: { ...running, process: 'own' } };
    stage.runner = 'q';
    assert.equal(await stage.pays(stage.calls({}), once), '"paid"');
    assert.deepEqual(stage.asked, []);
  });

  for (const [what, isAlive, awaited] of [
    ['the process of the claim', true, 'p'],
    ['a process that runs it, if that of the claim is gone', false, 'q'],
  ] as const)
    it(`waits for ${what}`, async () => {
      const stage = new Stage();
      stage.claims = { [key]: { ...running, turnId: 'other', process: 'p' } };
      stage.runner = 'q';
      const calls = stage.calls({});
      const ends = (): boolean => {
        calls.turnEnded(new Error('the turn ended'), 0, false);
        return false;
      };
      stage.answer = { ...stage.answer, isAlive: () => isAlive, isIdle: ends };
      await stage.pays(calls, once);
      assert.deepEqual(new Set(stage.asked), new Set([awaited]));
      assert.equal(stage.spoken[0]?.runner, awaited);
    });
});

describe('a call that an earlier run of the turn has made', () => {
  const unplaced: EarlierToolCall = {
    role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, key: KEY,
    state: 'running', content: UNFINISHED_RESULTS.running,
  };
  const earlier = { ...unplaced, process: 'own' };

  const elsewhere = { ...earlier, process: 'p' };
  const completed = { ...earlier, state: 'completed', content: '"earlier"' } as const;
  const interrupted = { state: 'interrupted', content: UNFINISHED_RESULTS.interrupted } as const;

  /** The same call runs here, too, and ends so. */
  function runsHere(stage: Stage, outcome: ToolCallResult): void {
    const call = new RunningToolCall();
    stage.running.add(KEY, call);
    call.end(outcome);
  }

  it('has the result that it has here, though the record names another process', async () => {
    const stage = new Stage();
    runsHere(stage, { state: 'completed', content: '"here"' });
    assert.equal(await stage.pays(stage.calls({}, [elsewhere])), '"here"');
    assert.deepEqual([stage.acts, stage.asked], [[], []]);
  });

  it('has the result of the record, though it was interrupted here', async () => {
    const stage = new Stage();
    runsHere(stage, interrupted);
    assert.equal(await stage.pays(stage.calls({}, [completed])), '"earlier"');
  });

  for (const [what, known] of [['this process', earlier], ['no process', unplaced]] as const)
    it(`runs again if it was interrupted here, and the record names ${what}`, async () => {
      const stage = new Stage();
      runsHere(stage, interrupted);
      assert.equal(await stage.pays(stage.calls({}, [known])), '"paid"');
    });

  it('goes on elsewhere when this turn ends', async () => {
    const stage = new Stage();
    const calls = stage.calls({}, [elsewhere]);
    const isIdle = (): boolean => {
      calls.turnEnded(new Error('the turn ended'), 0, false);
      return false;
    };
    stage.answer = { ...stage.answer, isIdle };
    assert.equal(await stage.pays(calls), UNFINISHED_RESULTS.running);
    assert.deepEqual(stage.acts, []);
  });

  it('no longer waits for that one in the record if it is repeated', async () => {
    const stage = new Stage();
    stage.answer = { ...stage.answer, isCallRunning: () => false };
    const joins: unknown[] = [];
    const run = (): string => {
      joins.push(stage.spoken[0]?.joins);
      return '"paid"';
    };
    await stage.pays(stage.calls({}, [elsewhere]), { repeatable: true, run });
    assert.deepEqual([stage.asked, joins], [['p'], [undefined]]);
  });

  it('hands the conversation over again', async () => {
    const stage = new Stage();
    const calls = stage.calls({}, [{ ...completed, handOver: 'sales' }]);
    assert.equal((await stage.outcome(calls))?.handOver, 'sales');
    assert.equal(calls.takeNextAgent(), 'sales');
  });

  it('has an unknown outcome if it should run here and does not', async () => {
    const stage = new Stage();
    const told = await stage.pays(stage.calls({}, [earlier]));
    assert.equal(told, UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.asked], [[], []]);
  });
});
