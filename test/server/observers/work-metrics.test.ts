// What models and tools did, as /metrics counts it.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { ScriptedAnswer } from '../../../src/kit/scripted-answer.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { calls, serveModel, spoken } from '../../core/agents/model-app.ts';
import { fails, says, silentAfter, type Answer } from '../../faults/model-server.ts';
import { chunk } from '../../faults/wire-shapes.ts';
import { fired, serve, until, type Served } from '../../fixtures/app.ts';

const parameters = { type: 'object', properties: { n: { type: 'number' } } } as const;
const described = { description: 'Acts.', parameters };

const agent = defineAgent({
  name: 'tested',
  prompt: 'You act.',
  tools: [
    tool({ name: 'act', ...described, run: () => ({ done: true }) }),
    tool({ name: 'break', ...described, run: () => Promise.reject(new Error('broken')) }),
    tool({
      name: 'wait',
      ...described,
      run: async (_args, { signal, reply }) => {
        reply.say('Waiting.');
        throw await fired(signal);
      },
    }),
  ],
});

function withScript(t: TestContext, ...script: readonly ScriptedAnswer[]): Served {
  return serve(t, withModel(agent, scriptedModel(script)));
}

/** The samples of a metric, without its name. */
function samplesOf({ app }: Pick<Served, 'app'>, name: string): string[] {
  const lines = app.metrics.text().split('\n');
  return lines.flatMap((line) => (line.startsWith(`${name}{`) ? [line.slice(name.length)] : []));
}

const TOOL_CALLS = 'layercode_tool_calls_total';
const UNKNOWN = 'layercode_tool_outcomes_unknown_total';
const MODEL_REQUESTS = 'layercode_model_requests_total';

describe('layercode_call_limits_reached_total', () => {
  it('begins at 0 for both limits, so that an alert sees the first case', (t) => {
    const samples = samplesOf(withScript(t, 'Hello.'), 'layercode_call_limits_reached_total');
    assert.deepEqual(samples, ['{limit="cost"} 0', '{limit="tokens"} 0']);
  });
});

describe(TOOL_CALLS, () => {
  const outcomes: readonly (readonly [what: string, call: ScriptedAnswer, sample: string])[] = [
    ['a call that returned', { call: 'act' }, '{tool="act",outcome="completed"} 1'],
    ['a call that threw', { call: 'break' }, '{tool="break",outcome="failed"} 1'],
    [
      'a call whose arguments do not fit',
      { call: 'act', args: { n: 'one' } },
      '{tool="act",outcome="failed"} 1',
    ],
    [
      "a call of a missing tool, but not under the model's name for it",
      { call: 'made_up' },
      '{tool="unknown",outcome="failed"} 1',
    ],
  ];
  for (const [what, call, sample] of outcomes) {
    it(`counts ${what}`, async (t) => {
      const served = withScript(t, call, 'Done.');
      await (await served.client.say('Act.')).text();
      assert.deepEqual(samplesOf(served, TOOL_CALLS), [sample]);
    });
  }

  it('counts an interrupted call even if its turn is over by then', async (t) => {
    const served = withScript(t, { call: 'wait' }, 'Done.');
    await served.client.say('Wait.', { interruptAfterWords: 1 });
    await until(() => samplesOf(served, TOOL_CALLS).length > 0, 'a count');
    assert.deepEqual(samplesOf(served, TOOL_CALLS), ['{tool="wait",outcome="interrupted"} 1']);
  });

  it('counts a call once in a turn that is delivered again', async (t) => {
    const served = withScript(t, { call: 'act' }, 'Done.');
    await (await served.client.say('Act.')).text();
    await (await served.client.deliverAgain()).text();
    assert.deepEqual(samplesOf(served, TOOL_CALLS), ['{tool="act",outcome="completed"} 1']);
  });
});

describe(MODEL_REQUESTS, () => {
  const model = '{model="openai:gpt-6-luna",outcome=';
  const requests: readonly (readonly [
    what: string, script: [Answer, ...Answer[]], samples: readonly string[],
  ])[] = [
    [
      'each request that was answered',
      [calls([['c', 'act', '{}']]), says('Hi.')], [`${model}"completed"} 2`],
    ],
    [
      'a request that failed and was made again, by the code of its error',
      [fails(503, '{}'), says('Hi.')], [`${model}"http_error"} 1`, `${model}"completed"} 1`],
    ],
  ];
  for (const [what, script, samples] of requests) {
    it(`counts ${what}`, async (t) => {
      const app = await serveModel(t, agent, script, { DEFAULT_MODEL: 'openai:gpt-6-luna' });
      await spoken(app.client.say('Hi.'));
      assert.deepEqual(samplesOf(app, MODEL_REQUESTS), samples);
    });
  }

  it('counts an interrupted request even if its turn is over by then', async (t) => {
    const app = await serveModel(t, agent, [silentAfter(chunk({ content: 'One two three. ' }))]);
    await app.client.say('Hi.', { interruptAfterWords: 1 });
    await until(() => samplesOf(app, MODEL_REQUESTS).length > 0, 'a count');
    assert.deepEqual(samplesOf(app, MODEL_REQUESTS), [
      '{model="openai:gpt-6-luna",outcome="interrupted"} 1',
    ]);
  });

  it("counts a request to a custom model by its usage", async (t) => {
    const served = withScript(t, 'Hi.');
    await (await served.client.say('Hi.')).text();
    assert.deepEqual(samplesOf(served, MODEL_REQUESTS), [
      '{model="scripted:model",outcome="completed"} 1',
    ]);
  });
});

describe(UNKNOWN, () => {
  it('begins at 0 for a once tool, so that an alert sees the first case', async (t) => {
    const pay = tool({ name: 'pay', ...described, once: true, run: () => undefined });
    const once = defineAgent({ name: 'cashier', prompt: 'You act.', tools: [pay] });
    const served = serve(t, withModel(once, scriptedModel([])));
    assert.deepEqual(samplesOf(served, UNKNOWN), ['{tool="pay"} 0']);
    assert.deepEqual(samplesOf(withScript(t), UNKNOWN), []);
  });
});
