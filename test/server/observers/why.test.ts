// What log and metrics say about a turn that was slow, or that failed.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent, type AgentDefinition } from '../../../src/core/agents/define-agent.ts';
import { handOver } from '../../../src/core/tools/tool-hand-over.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel, type Script } from '../../../src/kit/scripted-model.ts';
import { createTestClient } from '../../../src/kit/test-client.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { modelServer, serveAgent } from '../../core/agents/model-app.ts';
import { fails, rateLimits, says as answers } from '../../faults/model-server.ts';
import { serve, until, type Served } from '../../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../../fixtures/clock.ts';
import { requestLines, serveCompletions, type ServedPlatform } from '../../fixtures/completions.ts';
import { SECRET, settingsWith } from '../../fixtures/kernel.ts';

const named = { description: 'Does something.', parameters: { type: 'object' } } as const;

type SpokenTo = Pick<Served, 'client' | 'logLines'>;

function withModel(script: Script, more: Partial<AgentDefinition>): Agent {
  const model = scriptedModel(script);
  return defineAgent({ name: 'tested', prompt: 'Be brief.', model, ...more } as AgentDefinition);
}

/** The access-log line of the turn, which is the first one. */
async function says(served: SpokenTo, text = 'Hello?'): Promise<Record<string, unknown>> {
  await (await served.client.say(text)).text();
  const [line = {}] = await requestLines(served.logLines);
  return line;
}

describe('a turn that waits for tools', () => {
  function serveTools(t: TestContext): Served {
    const pass = jumpingClock(t);
    const tools = [
      tool({ ...named, name: 'quick', run: () => pass(100) }),
      tool({ ...named, name: 'slow', run: () => pass(4_000) }),
    ];
    const script: Script = [{ call: 'slow', args: {} }, { call: 'quick', args: {} }, 'Done.'];
    return serve(t, withModel(script, { tools }));
  }

  it('logs the slowest tool and the time of all; /metrics has the time of each', async (t) => {
    const served = serveTools(t);
    const { slowestTool, toolMs, ...line } = await says(served);
    assert.equal(slowestTool, 'slow');
    assert.ok(Number(toolMs) >= 4_000, String(toolMs));
    assert.equal('settleMs' in line, false);
    const at = (tool: string, le: string): number =>
      served.metric(`layercode_tool_duration_seconds_bucket{tool="${tool}",le="${le}"}`);
    assert.deepEqual([at('quick', '3'), at('slow', '3'), at('slow', '+Inf')], [1, 0, 1]);
  });
});

describe('a turn that the platform may replace', () => {
  interface Waiting extends ServedPlatform {
    readonly heard: Promise<string>;
    /** Lets time pass, for the clock and for timers. */
    readonly pass: (ms: number) => void;
  }

  /** A turn whose tool waits, for up to 9 s. */
  async function waiting(t: TestContext): Promise<Waiting> {
    const [clock, jump] = [mockTimers(t, ['setTimeout']), jumpingClock(t)];
    const tools = [tool({ ...named, name: 'book', once: () => 'x', run: () => 'done' })];
    const agent = withModel([{ call: 'book', args: {} }, 'Done.'], { tools });
    const served = serveCompletions(t, agent, { environment: { SETTLE_MS: '9000' } });
    const heard = served.platform.hear(['user: Book!'], { conversationId: 'c' });
    await until(() => clock.isSet(8_000, 9_000), 'the wait');
    return { ...served, heard, pass: (ms) => (jump(ms), clock.tick(ms)) };
  }

  // Of the 715 ms that a turn took, its line used to explain 4 (the model) and 0.1 (the tool).
  it('says how long its tools waited', async (t) => {
    const { heard, pass, ...served } = await waiting(t);
    pass(9_000);
    await heard;
    const [line] = await requestLines(served.logLines);
    assert.ok(Number(line?.['settleMs']) >= 8_000, String(line?.['settleMs']));
    assert.ok(Number(line?.['toolMs']) < 8_000, String(line?.['toolMs']));
  });

  it('says how long they waited even if it is replaced meanwhile', async (t) => {
    const { heard, pass, ...served } = await waiting(t);
    pass(650);
    await served.platform.hear(['user: Book!', 'user: Now!'], { conversationId: 'c' });
    await heard;
    const [line] = await requestLines(served.logLines);
    assert.equal(line?.['outcome'], 'interrupted');
    assert.ok(Number(line['settleMs']) >= 650, String(line['settleMs']));
  });
});

describe('the first word', () => {
  function serveFiller(t: TestContext): Served {
    const pass = jumpingClock(t);
    return serve(t, {
      async *onMessage({ journal }) {
        journal.sayFiller('One moment.');
        pass(8_000);
        yield 'Here it is.';
      },
    });
  }

  it('is given beside the first sound, in log and metrics, if a filler came first', async (t) => {
    const served = serveFiller(t);
    const { firstSpeechMs, firstWordMs } = await says(served);
    const below = (name: string): number =>
      served.metric(`layercode_${name}_seconds_bucket{event="message",le="3"}`);
    assert.deepEqual([below('first_speech'), below('first_word')], [1, 0]);
    assert.ok(Number(firstSpeechMs) < 1_000, String(firstSpeechMs));
    assert.ok(Number(firstWordMs) >= 8_000, String(firstWordMs));
  });

  it('is not reported twice if no filler came first', async (t) => {
    const line = await says(serve(t, { onMessage: () => 'Yes.' }));
    assert.deepEqual(['firstSpeechMs' in line, 'firstWordMs' in line], [true, false]);
  });
});

describe('a turn in which something fails', () => {
  it('gives the reason in its line and in /metrics, as one of a few fixed words', async (t) => {
    const served = serve(t, withModel([{ fail: 503 }], {}));
    const { failure } = await says(served);
    assert.equal(failure, 'model');
    assert.equal(served.metric('layercode_turn_failures_total{reason="model"}'), 1);
    const turns = 'layercode_turns_total{event="message",outcome="failed",wire="layercode"}';
    assert.equal(served.metric(turns), 1);
  });

  it('says how often its models failed, and how long that took', async (t) => {
    const openai = await modelServer(t, fails(500, '{}'), answers('Yes.'));
    const served = serveAgent(t, defineAgent({ name: 'x', prompt: 'Be brief.' }), { openai });
    const { outcome, modelFailures, modelFailureMs } = await says(served);
    assert.deepEqual([outcome, modelFailures], ['completed', 1]);
    assert.ok(Number(modelFailureMs) >= 100, String(modelFailureMs)); // with the wait after it
  });

  it('counts only the part of a wait that has passed when the caller speaks again', async (t) => {
    const openai = await modelServer(t, rateLimits({ 'retry-after': '3' }), answers('Yes.'));
    const served = serveAgent(t, defineAgent({ name: 'x', prompt: 'Be brief.' }), { openai });
    const first = served.client.say('Hello?');
    await until(() => served.logLines.some((line) => line.includes('asking again')), 'the wait');
    await (await served.client.say('Are you there?')).text();
    await (await first).text();
    const [line] = await requestLines(served.logLines, 2);
    assert.deepEqual([line?.['outcome'], line?.['modelFailures']], ['interrupted', 1]);
    const [failureMs, durationMs] = [line?.['modelFailureMs'], line?.['durationMs']];
    assert.ok(Number(failureMs) <= Number(durationMs) + 1, String(failureMs));
  });

  it('says nothing about a time that its model does not report', async (t) => {
    const served = serve(t, {
      onMessage({ journal }) {
        journal.noteFailedRequest('my:model', 'failed');
        journal.noteFailedRequest('my:model', 'interrupted'); // which is not a failure
        return 'Yes.';
      },
    });
    const line = await says(served);
    assert.deepEqual([line['modelFailures'], 'modelFailureMs' in line], [1, false]);
  });

  it('says so if its agent never spoke', async (t) => {
    const served = serve(
      t,
      { onMessage: () => new Promise<never>(() => undefined) },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '0.05' } },
    );
    assert.equal((await says(served))['failure'], 'first_word_timeout');
  });
});

describe('a tool with a mistake in its definition', () => {
  it('has the reason in the log if the error is ours', async (t) => {
    const odd = tool({ ...named, name: 'odd', run: () => ({ when: { 'Anna Smith': () => 1 } }) });
    const served = serve(t, withModel([{ call: 'odd', args: {} }, 'Sorry.'], { tools: [odd] }));
    await says(served);
    const line = served.logLines.find((text) => text.includes('"tool failed"')) ?? '';
    assert.match(line, /"tool":"odd","reason":"something in result\.when [^"]+"/);
    assert.doesNotMatch(line, /Anna/);
  });
});

describe('a turn that was handed over', () => {
  it('is credited to the agents that spoke', async (t) => {
    const toBilling = tool({ ...named, name: 'to_billing', run: () => handOver('billing') });
    const sales = withModel([['Hold on.', { call: 'to_billing', args: {} }]], {
      tools: [toBilling],
    });
    const billing = withModel(['Billing here.'], {});
    const app = createApp(settingsWith(), { sales, billing });
    t.after(() => app.close());
    const client = createTestClient(app, { secret: SECRET });
    await (await client.say('My bill?')).text();
    const counted = app.metrics.text()
      .match(/^layercode_spoken_after_hand_over_total\{.*speaker="(?:sales|billing)"\} 1$/gm);
    assert.equal(counted?.length, 2);
  });
});
