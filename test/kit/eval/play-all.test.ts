import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { getAgent } from '../../../src/agents/built-in/registry.ts';
import { playAll } from '../../../src/kit/eval/play-all.ts';
import { scenarioOf } from '../../../src/kit/eval/scenario.ts';
import { parseScript } from '../../../src/kit/eval/script.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';

describe('playAll', () => {
  it('notes an error that nobody awaits while the models of a run finish', async () => {
    const scenario = scenarioOf(parseScript('say Hi\nexpect Hi', 'a.txt'), 'a.txt');
    const staged = {
      scenario,
      cast: { settings: parseSettings({}, []), agent: getAgent('echo') },
      async play() {
        // As the process would: thrown, it would end this test, too.
        const tell = process.listeners('uncaughtException').at(-1);
        tell?.(new Error('out of order'), 'uncaughtException');
        return {
          file: 'a.txt', name: 'a', outcome: 'passed', failures: [], undecided: [], turns: [],
          durationMs: 1,
        } as const;
      },
    };
    const [runs] = await playAll([staged], 1, () => undefined);
    assert.match(runs?.results[0]?.failures[0]?.reasons[0] ?? '', /nobody awaits: out of order/);
  });
});
