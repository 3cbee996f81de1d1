// What is noted about calls that run in this process.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UNFINISHED_RESULTS } from '../../../src/core/conversations/unfinished-tool-results.ts';
import type { ToolCallContext } from '../../../src/core/tools/tool-run.ts';
import { deferred } from '../../fixtures/app.ts';
import { Stage } from './tool-stage.ts';

describe('a call that runs here', () => {
  it('is noted as begun only after the turn has waited for the store to claim it', async () => {
    const stage = new Stage();
    await stage.pays(stage.calls({}), { once: () => 'it' });
    assert.deepEqual(stage.noted, ['waited for tool_calls', 'pay began', 'completed']);
  });

  it('is told how often it may have begun before if it acts once', async () => {
    const attempts: unknown[] = [];
    const run = ({ attempt }: ToolCallContext): string => {
      attempts.push(attempt);
      return '"paid"';
    };
    const stage = new Stage();
    stage.claim = { kind: 'claimed', isRepeat: false, attempt: 3 };
    await stage.pays(stage.calls({}), { once: () => 'it', run });
    await stage.pays(stage.calls({}), { run });
    assert.deepEqual(attempts, [3, undefined]);
  });

  it('is noted as failed if it throws, and the model is told why', async () => {
    const stage = new Stage();
    const run = (): never => {
      throw new Error('declined');
    };
    assert.equal(await stage.pays(stage.calls({}), { run }), '{"error":"declined"}');
    assert.deepEqual(stage.noted, ['pay began', 'failed']);
  });

  it('puts into the reply the result that its tool returned late', async () => {
    const stage = new Stage();
    const late = deferred<string>();
    const run = (): never => {
      throw new Error('its time was up');
    };
    const told = await stage.pays(stage.calls({}), {
      once: () => 'it', run, late: () => late.promise,
    });
    const states = [stage.spoken[0]?.state];
    late.resolve('"paid late"');
    await stage.running.ended();
    states.push(stage.spoken[0]?.state);
    assert.deepEqual([told, states, stage.spoken[0]?.content], [
      UNFINISHED_RESULTS.unknown, ['unknown', 'completed'], '"paid late"',
    ]);
  });
});
