// What becomes of calls that were made before, and of calls whose claims others know.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import type { EarlierToolCall } from '../../../src/core/conversations/discarded-turns.ts';
import type { OnceCall } from '../../../src/core/conversations/once-call.ts';
import { newTurn } from '../../../src/core/conversations/turn-record.ts';
import { UNFINISHED_RESULTS } from '../../../src/core/conversations/unfinished-tool-results.ts';
import { callKey, onceKey } from '../../../src/core/tools/tool-call-key.ts';
import {
  RunningToolCall, type ToolCallResult,
} from '../../../src/core/tools/tool-calls-running.ts';
import { KEY, Stage } from './tool-stage.ts';

describe('a call that acts once', () => {
  const once = { once: () => 'it' } as const;

  it('has its result, and was not "done before", if its own turn made it', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 't' } };
    assert.equal(await stage.pays(stage.calls({}), once), '7');
  });

  it('was "done before" if another turn made it', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 'other' } };
    const told = await stage.pays(stage.calls({}), once);
    assert.equal(told, '{"status":"done before","result":7}');
  });

  const running = {
    state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
    turnId: 'other', runId: 1, toolCallId: 'x', process: 'p',
  } as const;
  /** A stage where another turn makes the call, and what the key has when that is waited for. */
  const waiting = (claim?: OnceCall, fields: Partial<Stage> = {}): Stage => {
    const key = onceKey('c', 'pay', 'it');
    const stored = claim === undefined ? {} : { onceCalls: { [key]: claim } };
    const stage = Object.assign(new Stage(), { claim: { kind: 'running', call: running }, stored });
    return Object.assign(stage, fields);
  };

  it('is "done before" if its process remembers that, even if the store is away', async () => {
    const stage = new Stage();
    const done = { ...running, state: 'completed', content: '7' } as const;
    stage.remembered = { onceCalls: { [onceKey('c', 'pay', 'it')]: done } };
    stage.storing = () => {
      throw new Error('the store does not answer');
    };
    const told = await stage.pays(stage.calls({}), once);
    assert.equal(told, '{"status":"done before","result":7}');
  });

  it("joins another turn's call, and ends as unknown if that call's process is gone", async () => {
    const stage = waiting(running, { isGone: true });
    const joined: unknown[] = [];
    stage.waiting = () => void joined.push(stage.spoken[0]?.joins);
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.lost, stage.unknown], [stage.spoken.map(({ key }) => key), ['pay']]);
    assert.deepEqual(joined, [true], 'the record says that it waits');
  });

  it('is reported as unknown by the claim that finds it lost', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'lost', call: { ...running, state: 'unknown' } };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual(stage.unknown, ['pay']);
  });

  it('is reported as unknown once, by the process that finds it lost first', async () => {
    const stage = waiting(running, { isGone: true, isFirst: false });
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.lost.length, stage.unknown], [1, []]);
  });

  it('has an unknown outcome if nobody knows which process is running it', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: { ...running, process: undefined } };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.awaited], [[], []]);
  });

  it('does not wait for another call if its turn is over by then', async () => {
    const stage = waiting();
    stage.storing = () => {
      stage.isOver = true;
    };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.interrupted);
    assert.deepEqual([stage.awaited, stage.spoken[0]?.process], [[], 'own']);
  });

  it('acts if the call that it waited for was given back', async () => {
    const stage = waiting({ ...running, state: 'released' });
    stage.waiting = () => {
      stage.claim = { kind: 'claimed', attempt: 1 };
    };
    assert.equal(await stage.pays(stage.calls({}), once), '"paid"');
    assert.deepEqual(stage.progress, [1, 1]);
  });

  it('is not started if the store does not confirm its second claim', async () => {
    const stage = waiting();
    stage.storing = () => {
      if (stage.progress.length > 1) throw new Error('the store does not answer');
    };
    assert.equal(await stage.pays(stage.calls({}), once), '{"error":"not started"}');
    assert.deepEqual(stage.acts, []);
  });

  it('is not claimed again after its turn, even if the call it awaited did nothing', async () => {
    const stage = waiting();
    const calls = stage.calls({});
    stage.waiting = () => calls.turnEnded(new Error('the turn ended'), 0, false);
    assert.equal(await stage.pays(calls, once), UNFINISHED_RESULTS.interrupted);
    assert.deepEqual([stage.acts, stage.progress], [[], [1]]);
  });
});

describe('a call that an earlier run of the turn has made', () => {
  const unplaced: EarlierToolCall = {
    role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, key: KEY,
    state: 'running', content: UNFINISHED_RESULTS.running,
  };
  const earlier = { ...unplaced, process: 'own' };

  const elsewhere = { ...earlier, process: 'p' };
  const storedAs = (call: EarlierToolCall): Partial<Conversation> =>
    ({ turns: [{ ...newTurn('t', 'open', 2), messages: [call] }] });
  const completed = { ...earlier, state: 'completed', content: '"earlier"' } as const;
  const interrupted = { state: 'interrupted', content: UNFINISHED_RESULTS.interrupted } as const;

  /** The same call also runs here, and ends with this outcome. */
  function runsHere(stage: Stage, outcome: ToolCallResult): void {
    const call = new RunningToolCall();
    stage.running.add(KEY, call);
    call.end(outcome);
  }

  it('has the result from here, even if the record names another process', async () => {
    const stage = new Stage();
    runsHere(stage, { state: 'completed', content: '"here"' });
    assert.equal(await stage.pays(stage.calls({}, [elsewhere])), '"here"');
    assert.deepEqual([stage.acts, stage.awaited], [[], []]);
  });

  it('has the result in the record, even if it was interrupted here', async () => {
    const stage = new Stage();
    runsHere(stage, interrupted);
    assert.equal(await stage.pays(stage.calls({}, [completed])), '"earlier"');
  });

  // Seeds 60001698 and 60004921 of the fleet.
  it('has the result from elsewhere, even if it was interrupted here', async () => {
    const stage = new Stage();
    runsHere(stage, interrupted);
    stage.stored = storedAs({ ...elsewhere, state: 'completed', content: '"there"' });
    assert.equal(await stage.pays(stage.calls({}, [elsewhere])), '"there"');
    assert.deepEqual(stage.acts, []);
  });

  // The turn came back from another process while this one stored its calls.
  for (const [what, pay] of [['calls', {}], ['claims', { once: () => 'it' }]] as const)
    it(`is waited for if the store reported it with the ${what}`, async () => {
      const stage = new Stage();
      const booked = { ...elsewhere, key: callKey('c', 't', 'book', '{}', 0, undefined) };
      stage.stored = storedAs({ ...booked, state: 'completed', content: '"booked there"' });
      stage.learnt = [booked];
      const calls = ['book', 'pay'].map((name) => ({ id: name, name, args: '{}' }));
      const outcomes = await stage.calls({}).run(calls, ({ name }) => ({
        name, run: () => '"done here"', ...(name === 'pay' ? pay : {}),
      }));
      const contents = outcomes.map(({ content }) => content);
      assert.deepEqual(contents, ['"booked there"', '"done here"']);
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
    stage.stored = storedAs(elsewhere);
    stage.waiting = () => calls.turnEnded(new Error('the turn ended'), 0, false);
    assert.equal(await stage.pays(calls), UNFINISHED_RESULTS.running);
    assert.deepEqual(stage.acts, []);
  });

  it('is no longer recorded as waiting if it is repeated', async () => {
    const stage = new Stage();
    stage.stored = storedAs(elsewhere);
    stage.isGone = true;
    const joins: unknown[] = [];
    const run = (): string => {
      joins.push(stage.spoken[0]?.joins);
      return '"paid"';
    };
    await stage.pays(stage.calls({}, [elsewhere]), { repeatable: true, run });
    assert.deepEqual([stage.awaited, joins], [['p'], [undefined]]);
  });

  it('hands the conversation over again', async () => {
    const stage = new Stage();
    const calls = stage.calls({}, [{ ...completed, handOver: 'sales' }]);
    assert.equal((await stage.outcome(calls))?.handOver, 'sales');
    assert.equal(calls.takeNextAgent(), 'sales');
  });

  it('has an unknown outcome if it should be running here and is not', async () => {
    const stage = new Stage();
    const told = await stage.pays(stage.calls({}, [earlier]));
    assert.equal(told, UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.awaited], [[], []]);
  });
});
