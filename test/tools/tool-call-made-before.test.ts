// What becomes of calls that were made before, and of those whose claims others know of.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EarlierToolCall } from '../../src/conversations/discarded-turns.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { onceKey } from '../../src/tools/tool-call-key.ts';
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
  const earlier: EarlierToolCall = {
    role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, key: KEY, process: 'own',
    state: 'running', content: UNFINISHED_RESULTS.running,
  };

  it('has an unknown outcome if it should run here and does not', async () => {
    const stage = new Stage();
    const told = await stage.pays(stage.calls({}, [earlier]));
    assert.equal(told, UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.asked], [[], []]);
  });
});
