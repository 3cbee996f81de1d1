// Claims that the store does not confirm.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UnsafeClaim } from '../../src/conversations/store.ts';
import { jumpingClock, quickClock } from '../fixtures/clock.ts';
import { Stage } from './tool-stage.ts';

const once = { once: () => 'it' } as const;
const NOT_STARTED = '{"error":"not started"}';

describe('a claim', () => {
  it('that the store has not confirmed is given back, and nothing starts', async () => {
    const stage = new Stage();
    stage.storing = () => {
      throw new Error('the store does not answer');
    };
    assert.equal(await stage.pays(stage.calls({}), once), NOT_STARTED);
    const [{ key } = { key: undefined }] = stage.spoken;
    assert.deepEqual(stage.released, [{ key, runId: 1, toolCallId: 'y' }]);
    assert.deepEqual(stage.acts, []);
  });

  it('that was confirmed after two seconds is given back: others may think us dead', async (t) => {
    const jump = jumpingClock(t);
    for (const [ms, content] of [[1_900, '"paid"'], [2_001, NOT_STARTED]] as const) {
      const stage = new Stage();
      stage.claim = { kind: 'claimed', isRepeat: false, attempt: 1 };
      stage.storing = () => jump(ms);
      assert.equal(await stage.pays(stage.calls({}), once), content);
      assert.equal(stage.released.length, content === NOT_STARTED ? 1 : 0);
    }
  });

  it('that may not be the first is made again once the store has all others', async (t) => {
    quickClock(t);
    const stage = new Stage();
    const fromMs = performance.now();
    stage.storing = () => {
      if (stage.progress.length === 1) throw new UnsafeClaim('lost', { safeInMs: 3_000 });
    };
    assert.equal(await stage.pays(stage.calls({}), once), '"paid"');
    assert.deepEqual([stage.progress, stage.released.length], [[1, 1], 1]);
    assert.ok(performance.now() - fromMs >= 3_000);
  });

  it('is not waited for when the turn ends', async () => {
    const stage = new Stage();
    stage.storing = () => {
      stage.isOver = true;
      stage.abort.abort();
      throw new UnsafeClaim('lost', { safeInMs: 3_600_000 });
    };
    assert.match(await stage.pays(stage.calls({}), once) ?? '', /interrupted/);
    assert.deepEqual([stage.progress, stage.acts], [[1], []]);
  });
});
