// `tool({ timeoutMs })`: one tool is given less time than the turn.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { inTime, ToolTimeout } from '../../../src/core/tools/tool-time-limit.ts';
import { tool, type Tool, type ToolContext } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { serve, type Served } from '../../fixtures/app.ts';

const named = {
  name: 'look_up', description: 'Looks something up.', parameters: { type: 'object' },
} as const;
const TIMED_OUT = { error: 'the tool took longer than 20 ms' };

const listens = async (_args: unknown, { signal }: ToolContext): Promise<never> => {
  await once(signal, 'abort');
  throw signal.reason;
};
const ignores = (_args: unknown, _context: ToolContext): Promise<never> =>
  new Promise(() => undefined);

function serveTool(t: TestContext, look: Tool): Served {
  const model = scriptedModel([{ call: 'look_up', args: {} }, 'Sorry.']);
  return serve(t, defineAgent({ name: 'slow', prompt: 'Be brief.', model, tools: [look] }));
}

describe('a tool with a time limit', () => {
  for (const [what, ends] of [['listens to', listens], ['ignores', ignores]] as const) {
    it(`fails in time for the model if it ${what} its signal`, async (t) => {
      let reason: unknown;
      const { client, metric } = serveTool(t, tool({
        ...named,
        timeoutMs: 20,
        run: (args, context) => {
          context.signal.addEventListener('abort', () => (reason = context.signal.reason));
          return ends(args, context);
        },
      }));
      const reply = await client.say('Hello?');
      assert.equal(await reply.text(), 'Sorry.');
      assert.deepEqual((await reply.toolCalls())[0]?.result, TIMED_OUT);
      assert.ok(reason instanceof ToolTimeout);
      assert.equal(metric('layercode_tool_calls_total{tool="look_up",outcome="failed"}'), 1);
    });
  }

  it("ends with its turn's reason, even if the turn is over before it begins", async () => {
    const controller = new AbortController();
    const over = new Error('the caller left');
    const signals: AbortSignal[] = [];
    const run = (signal: AbortSignal): Promise<never> => {
      signals.push(signal);
      return listens({}, { signal } as ToolContext);
    };
    const running = inTime(60_000, controller.signal, run);
    assert.equal(signals[0]?.aborted, false);
    controller.abort(over);
    await assert.rejects(running, over);
    await assert.rejects(inTime(60_000, controller.signal, async (signal) => {
      signal.throwIfAborted();
    }), over);
  });

  for (const timeoutMs of [0, Number.NaN, 86_400_001, '5' as unknown as number]) {
    it(`refuses ${JSON.stringify(timeoutMs)} as a limit`, () =>
      assert.throws(() => tool({ ...named, timeoutMs, run: () => 1 }), {
        name: 'TypeError',
        message: /^tool look_up: timeoutMs must be a number of milliseconds from 1 to 86400000/,
      }));
  }
});
