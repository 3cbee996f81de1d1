import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { OpenStage } from '../../../src/kit/eval/play-options.ts';
import { problems } from './eval-stage.ts';

const parameters = {
  type: 'object',
  properties: { card: { type: 'string', pattern: '^[0-9]+$' } },
  required: ['card'],
  additionalProperties: false,
} as const;
const pay = tool({ name: 'pay', description: 'Pays.', parameters, once: true, run: () => 1 });
const charge = tool({ name: 'charge', description: 'Pays.', parameters, raw: true, run: () => 1 });
const till = defineAgent({
  name: 'till', prompt: 'Take money.', tools: [pay, charge], redact: ['cards'],
});

describe('problemsOf', () => {
  const script = (tool: string, ...lines: readonly string[]): string =>
    ['real pay charge', 'say Hi', `model calls ${tool} {"card": "x"}`, ...lines].join('\n');

  it('finds a scripted call that does not fit its tool', async () => {
    assert.deepEqual(await problems(till, script('pay', 'expect Hi')), [
      'line 3: pay would refuse this: arguments.card must match the pattern ^[0-9]+$; '
        + 'if that is intended, add "expect-tool pay refused"',
    ]);
  });

  it('accepts a call whose refusal is expected in the turn, or later "in all"', async () => {
    for (const lines of [
      ['expect-tool pay refused'],
      ['deliver-again', 'expect-tool pay refused'],
      ['say Ho', 'expect-tool pay once in all refused'],
    ]) assert.deepEqual(await problems(till, script('pay', ...lines)), []);
    const [late] = await problems(till, script('pay', 'say Ho', 'expect-tool pay refused'));
    assert.match(late ?? '', /^line 3: pay would refuse this/);
  });

  it('leaves the arguments of a raw tool alone: a placeholder stands for a value', async () => {
    assert.deepEqual(await problems(till, script('charge', 'expect Hi')), []);
  });

  it('requires a tool with once, or the name of a tool, for never-acts-twice', async () => {
    const look = tool({ name: 'look', description: 'Looks.', parameters, run: () => 1 });
    const free = defineAgent({ name: 'free', prompt: 'Look.', tools: [look] });
    const [problem] = await problems(free, 'expect Hi\nnever-acts-twice');
    assert.match(problem ?? '', /^line 2: no tool sets "once", so this cannot fail; name one/);
    assert.deepEqual(await problems(free, 'expect Hi\nnever-acts-twice look'), []);
    const [unknown] = await problems(free, 'expect Hi\nnever-acts-twice pay');
    assert.match(unknown ?? '', /^line 2: the agent has no tool pay; it has look$/);
    assert.deepEqual(await problems(till, 'expect Hi\nnever-acts-twice'), []);
  });

  it('accepts never-acts-twice for an agent that chooses its tools for each turn', async () => {
    const chooser = defineAgent({ name: 'chooser', prompt: 'Take money.', tools: () => [pay] });
    assert.deepEqual(await problems(chooser, 'expect Hi\nnever-acts-twice'), []);
  });

  // The new process could not open the store, and the whole eval ended with "database is locked".
  it('refuses a step that begins a process while the store is away', async () => {
    const openStage: OpenStage = () => assert.fail('nothing is played');
    const found = (...lines: readonly string[]): Promise<readonly string[]> =>
      problems(till, ['say Hi', ...lines, 'expect Hi'].join('\n'), { openStage });
    const why = 'starts a process, which cannot open a store that is away: '
      + 'add "store is back" above it';
    for (const [lines, expected] of [
      [['store is away', 'kill'], [`line 3: kill ${why}`]],
      [['store is away', 'say Ho', 'kill as pay begins'], [`line 4: kill ${why}`]],
      [['store is away', 'elsewhere', 'elsewhere'], [`line 3: elsewhere ${why}`]],
      [['elsewhere', 'store is away', 'elsewhere'], []],
      [['store is away', 'store is back', 'kill', 'elsewhere'], []],
      [['store is away', 'kill as pay begins'], []], // in the reply above
    ] as const) assert.deepEqual(await found(...lines), expected, lines.join(' · '));
  });
});
