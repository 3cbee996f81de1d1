// What becomes of calls whose turn may not act, was replaced, or is over.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { UNFINISHED_RESULTS } from '../../../src/core/conversations/unfinished-tool-results.ts';
import type { ToolCalls } from '../../../src/core/tools/tool-calls.ts';
import type { ToolRun } from '../../../src/core/tools/tool-run.ts';
import { deferred } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { idle } from '../turns/plain-deliveries.ts';
import { KEY, Stage } from './tool-stage.ts';

const NOT_STARTED = '{"error":"not started"}';

describe('a call in a late copy of a request', () => {
  it('is not started', async () => {
    const stage = new Stage();
    assert.equal(await stage.pays(stage.calls({ mayAct: false })), NOT_STARTED);
    assert.deepEqual(stage.acts, []);
  });

  it('is started if it may be repeated: it changes nothing', async () => {
    const stage = new Stage();
    const calls = stage.calls({ mayAct: false });
    assert.equal(await stage.pays(calls, { repeatable: true }), '"paid"');
  });
});

describe('a call that acts once', () => {
  it('is not started in a turn that history does not keep', async () => {
    const stage = new Stage();
    const told = await stage.pays(stage.calls({ isStored: false }), { once: () => 'it' });
    assert.equal(told, NOT_STARTED);
    assert.deepEqual([stage.acts, stage.progress], [[], []]);
  });

  it('goes on when its turn ends, whatever the agent says about it', async () => {
    const stage = new Stage();
    const calls = stage.calls({});
    const [begun, ended] = [deferred<AbortSignal>(), deferred<string>()];
    const run: ToolRun['run'] = ({ signal }) => {
      begun.resolve(signal);
      return ended.promise;
    };
    const paid = stage.pays(calls, { once: () => 'it', run, whenInterrupted: 'abort' });
    const signal = await begun.promise;
    calls.turnEnded(new Error('the turn ended'), 60_000, false);
    assert.equal(signal.aborted, false);
    ended.resolve('"paid late"');
    assert.equal(await paid, '"paid late"');
  });
});

describe('a call of a turn that the platform may replace', () => {
  function settling(t: TestContext): { readonly stage: Stage; readonly calls: ToolCalls } {
    mockTimers(t, ['setTimeout']);
    const stage = new Stage();
    const settlesAtMs = performance.now() + 60_000;
    return { stage, calls: stage.calls({ mayBeReplaced: true, settlesAtMs }) };
  }

  it('has not begun, for others and for history, before the turn has settled', async (t) => {
    const { stage, calls } = settling(t);
    const paid = stage.pays(calls);
    await idle();
    assert.equal(stage.running.isRunning(KEY), false);
    assert.deepEqual(stage.spoken.map(({ state }) => state), ['interrupted']);
    stage.abort.abort();
    assert.equal(await paid, '"paid"'); // the turn itself goes on
  });

  for (const [what, tool] of [['', {}], [', even if it acts once', { once: () => 'it' }]] as const)
    it(`is not stored if the turn was replaced by then${what}`, async (t) => {
      const { stage, calls } = settling(t);
      const paid = stage.pays(calls, tool);
      await idle();
      stage.isOver = true;
      stage.abort.abort();
      assert.equal(await paid, UNFINISHED_RESULTS.interrupted);
      assert.deepEqual([stage.acts, stage.progress], [[], []]);
      assert.equal(stage.spoken.some(({ key }) => stage.running.isRunning(key ?? '')), false);
    });
});

describe('a call of a run that has lost its turn, as the store says,', () => {
  for (const [ownership, end] of [['taken over', 'giveAway'], ['closed', 'interrupt']] as const)
    it(`never begins, and its run ends: the turn is ${ownership}`, async () => {
      const stage = new Stage();
      stage.ownership = ownership;
      const ended: string[] = [];
      const noteEnd = (): void => {
        ended.push(end);
        stage.isOver = true;
      };
      const told = await stage.pays(stage.calls({ [end]: noteEnd }));
      assert.equal(told, UNFINISHED_RESULTS.interrupted);
      assert.deepEqual([ended, stage.acts], [[end], []]);
    });
});

describe('a turn without a word', () => {
  for (const [what, tool, mayGoOn] of [
    ['may go on while a tool that finishes anyway is running', { whenInterrupted: 'finish' }, true],
    ['may not go on while a tool that it aborts is running', { whenInterrupted: 'abort' }, false],
    ['may not go on while a tool that says neither is running', {}, false],
    ['may go on while a tool that acts once is running', { once: () => 'it' }, true],
  ] as const)
    it(what, async () => {
      const stage = new Stage();
      const calls = stage.calls({});
      const [begun, ended] = [deferred(), deferred<string>()];
      const run: ToolRun['run'] = () => {
        begun.resolve();
        return ended.promise;
      };
      const paid = stage.pays(calls, { ...tool, run });
      await begun.promise;
      assert.equal(calls.isFinishing, mayGoOn);
      ended.resolve('"paid"');
      await paid;
      assert.equal(calls.isFinishing, false);
    });
});

describe('the result of a call', () => {
  it('says which erasure its turn has seen: what was erased since does not come back', async () => {
    const stage = new Stage();
    await stage.pays(stage.calls({ erasedAt: 7 }));
    assert.deepEqual(stage.results.map(({ erasedAt }) => erasedAt), [7]);
  });
});
