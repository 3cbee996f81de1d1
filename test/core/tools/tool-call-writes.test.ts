// Claims that the store does not confirm.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UnsafeClaim } from '../../../src/core/conversations/store.ts';
import { onceKey } from '../../../src/core/tools/tool-call-key.ts';
import { NotDone } from '../../../src/core/tools/tool-not-done.ts';
import { jumpingClock, quickClock } from '../../fixtures/clock.ts';
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

  it('is given back if confirmed only after two seconds: others may think us dead', async (t) => {
    const jump = jumpingClock(t);
    for (const [ms, content] of [[1_900, '"paid"'], [2_001, NOT_STARTED]] as const) {
      const stage = new Stage();
      stage.claim = { kind: 'claimed', isRepeat: false, attempt: 1 };
      stage.storing = () => jump(ms);
      assert.equal(await stage.pays(stage.calls({}), once), content);
      assert.equal(stage.released.length, content === NOT_STARTED ? 1 : 0);
    }
  });

  it('may wait for others before it is sent', async (t) => {
    const jump = jumpingClock(t);
    const stage = new Stage();
    stage.claim = { kind: 'claimed', isRepeat: false, attempt: 1 };
    stage.storing = ({ onSent }) => {
      jump(1_500);
      onSent?.();
      jump(1_900);
    };
    assert.equal(await stage.pays(stage.calls({}), once), '"paid"');
  });

  it('is made again, once the store has all others, if it might not be the first', async (t) => {
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

  it('is no longer waited for when the turn ends', async () => {
    const stage = new Stage();
    stage.storing = () => {
      stage.isOver = true;
      stage.abort.abort();
      throw new UnsafeClaim('lost', { safeInMs: 3_600_000 });
    };
    assert.match(await stage.pays(stage.calls({}), once) ?? '', /interrupted/);
    assert.deepEqual([stage.progress, stage.acts], [[1], []]);
  });

  // A caller who had last heard 24 euros used to be charged 21: a process added a cola.
  it('is made anew if the state on which it depends changes while it is stored', async () => {
    const stage = new Stage();
    let euros = 21;
    stage.storing = () => {
      euros = 24;
    };
    const paid: number[] = [];
    const pay = { once: () => `order of ${euros}`, run: () => String(paid.push(euros)) };
    await stage.pays(stage.calls({ liveState: stage.liveState }), pay);
    assert.deepEqual([paid, stage.progress], [[24], [1, 1]]);
    const key = (text: string): string => onceKey('c', 'pay', text);
    assert.deepEqual(stage.released, [{ key: key('order of 21'), runId: 1, toolCallId: 'y' }]);
    assert.equal(stage.spoken[0]?.key, key('order of 24'));
  });

  it('is given back if the state then forbids the call', async () => {
    const stage = new Stage();
    let isOpen = true;
    stage.storing = () => {
      isOpen = false;
    };
    const once = (): string => {
      if (!isOpen) throw new NotDone('the kitchen has closed');
      return 'the order';
    };
    const told = await stage.pays(stage.calls({ liveState: stage.liveState }), { once });
    assert.equal(told, '{"error":"the kitchen has closed"}');
    assert.deepEqual([stage.acts, stage.released.length], [[], 1]);
  });

  it('is not repeated forever if its text is never the same', async () => {
    const stage = new Stage();
    let texts = 0;
    const once = (): string => `text ${texts++}`;
    const told = await stage.pays(stage.calls({ liveState: stage.liveState }), { once });
    assert.equal(told, NOT_STARTED);
    assert.deepEqual([stage.acts, stage.progress.length <= 5], [[], true]);
  });
});
