import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { defineState } from '../../../src/core/state/state.ts';
import { hangUp } from '../../../src/core/tools/tool-hang-up.ts';
import { NotDone } from '../../../src/core/tools/tool-not-done.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { Judge } from '../../../src/kit/eval/play-options.ts';
import { reportOf } from '../../../src/kit/eval/report.ts';
import type { ScenarioResult } from '../../../src/kit/eval/result.ts';
import { failuresOf, play } from './eval-stage.ts';

const echo = defineAgent({
  name: 'echo',
  welcome: 'Welcome to the echo!',
  onMessage: ({ text }) => `You said: ${text}`,
});

const till = defineState(() => ({ paid: 0 }));
const pay = tool({
  name: 'pay',
  description: 'Takes money.',
  parameters: {
    type: 'object',
    properties: { cents: { type: 'integer', minimum: 1 } },
    required: ['cents'],
    additionalProperties: false,
  },
  state: till,
  once: true,
  run: ({ cents }, { state }) => {
    state.paid += cents;
    return { paid: state.paid };
  },
});
const look = tool({
  name: 'look',
  description: 'Looks something up.',
  parameters: { type: 'object', properties: {} },
  repeatable: true,
  run: () => ({ open: true }),
});
const shop = defineAgent({
  name: 'shop',
  welcome: 'Welcome to the shop!',
  prompt: ({ caller }) => `You sell bread. The caller is ${caller?.from ?? 'unknown'}.`,
  state: till,
  tools: [pay, look, hangUp],
});

const RealDate = Date;

describe('playScenario', () => {
  for (const wire of ['layercode', 'chat-completions'])
    it(`shows the agent only the clock of its own scenario, over ${wire}`, async () => {
      const clock = defineAgent({
        name: 'clock',
        async onMessage() {
          await once(AbortSignal.timeout(5), 'abort');
          return `${new Date().toTimeString().slice(0, 5)} ${new Date(Date.now()).getFullYear()}`;
        },
      });
      const at = (line: string, told: string): Promise<ScenarioResult> =>
        play(clock, `wire ${wire}\n${line}\nsay Hi\nexpect ${told}\nnever-fails`);
      const [night, future] = await Promise.all([
        at('at 23:30', `23:30 ${new Date().getFullYear()}`),
        at('at 2031-07-01 09:00', '09:00 2031'),
      ]);
      assert.deepEqual([failuresOf(night), failuresOf(future)], [[], []]);
      assert.equal(Date, RealDate);
      const now = performance.timeOrigin + performance.now();
      assert.ok(Math.abs(new Date().getTime() - now) < 5_000);
    });

  it('calls as the named platform does, and passes on the language', async () => {
    const caller = defineAgent({
      name: 'caller',
      onMessage: ({ wire, language, caller, metadata }) =>
        `${wire} ${language} ${caller?.from} ${metadata?.['plan']}`,
    });
    // Vapi puts number and metadata into the body, where no other profile looks.
    const result = await play(caller, `
      wire chat-completions vapi
      language de-DE
      from +15550100
      metadata {"plan": "gold"}
      say Hi
      expect chat-completions de-DE +15550100 gold`);
    assert.deepEqual(failuresOf(result), []);
  });

  it('names each line that fails, with what happened instead', async () => {
    const result = await play(echo, [
      'say Hello there', 'expect goodbye', 'expect-not HELLO', 'expect-hangup', 'expect-data x',
      'never welcome',
    ].join('\n'));
    assert.equal(result.outcome, 'failed');
    assert.deepEqual(failuresOf(result), [
      [2, 'expected  goodbye', 'heard     You said: Hello there'],
      [3, 'forbidden HELLO', 'heard     You said: Hello there'],
      [4, 'the agent did not hang up', 'heard     You said: Hello there'],
      [5, 'expected  x', 'got       (nothing)'],
      [6, 'forbidden welcome', 'heard     Welcome to the echo!'],
    ]);
    assert.ok(result.failures.every(({ kind }) => kind === 'expectation'));
  });

  const passing: readonly (readonly [what: string, script: string])[] = [
    ['has a scripted model call tools, and checks tool runs and state', `
      from +15550100
      real pay
      say I pay five euros.
        model says One moment.
        model calls pay {"cents": 500}
        model says Thank you.
      expect One moment. Thank you.
      expect-tool pay once with {"cents": 500} returns {"paid": 500}
      expect-no-tool look
      expect-state {"paid": 500}
      expect-state "paid":500
      expect-data {"tool": "pay", "status": "completed"}
      expect-prompt The caller is +15550100
      expect-no-prompt unknown
      say Again, please.
        model calls pay {"cents": 500}
        model calls look
        model says You have paid.
      expect-no-tool pay
      expect-tool pay once in all
      expect-tool look
      never-acts-twice
    `],
    ['mocks what a tool does, and nothing else about it', `
      mock pay returns {"paid": 7}
      say Hello
        model calls pay {"cents": "five"}
        model then calls pay {"cents": 5}
        model says Done.
      expect-tool pay refused
      expect-tool pay once returns {"paid": 7}
      expect-no-prompt "paid":5
      mock pay not-done The card was declined.
      say And with another card?
        model calls pay {"cents": 6}
        model says Sorry.
      expect-tool pay fails declined
      mock pay after 30 ms returns {"paid": 8}
      say And now?
        model calls pay {"cents": 6}
        model says Done.
      expect-tool pay returns {"paid": 8}
      ends-within 5 s
      never-acts-twice
    `],
    ['counts a filler as the first word, because the caller hears it', `
      set FILLER_AFTER_MS 20
      say One
        model waits 900 ms
        model says Here.
      expect One moment. Here.
      within 800 ms
    `],
    ['delivers a turn again, after its end and while a tool is running', `
      real pay
      say I pay.
        model calls pay {"cents": 5}
        model says Done.
      deliver-again during pay
      expect Done.
      expect-tool pay once
      deliver-again
      expect Done.
      expect-tool pay once
      never-repeats
    `],
    ['restarts the app on the same store, between turns and in the middle of a turn', `
      real pay
      say I pay.
        model calls pay {"cents": 5}
        model says Done.
      restart
      expect-state {"paid": 5}
      say And again.
        model calls pay {"cents": 6}
      restart during pay
      deliver-again
        model says You have paid.
      expect You have paid.
      expect-tool pay once
      expect-state {"paid": 11}
      never-acts-twice
    `],
    ['lets a tool hang until it is interrupted or out of time', `
      set TURN_TIMEOUT_SECONDS 0.3
      mock look hangs
      say Look.
        model says Hm.
        model calls look
      interrupt during look
      expect /^Hm.$/
      say Look again.
        model calls look
      expect something went wrong
      expect-tool look
      ends-within 2 s
    `],
  ];
  for (const [what, script] of passing) {
    it(what, async () => assert.deepEqual(failuresOf(await play(shop, script)), []));
  }

  const slow = defineAgent({
    name: 'slow',
    async *onMessage({ signal }) {
      yield 'One two ';
      await once(signal, 'abort');
    },
  });
  const failing: readonly (readonly [
    what: string, agent: Agent, script: string, line: number, reasons: readonly string[],
  ])[] = [
    ['a reply has too few words to be interrupted', echo,
      'say Hi\ninterrupt after 9 words\nexpect Hi', 2, ['the reply had only 3 words']],
    ['too few words arrive in time, even if the reply has more', slow,
      'say Hi\ninterrupt after 9 words\nexpect One', 2, ['the caller heard only 2 words']],
    ['the tool does not run', shop,
      'real pay\nsay Hi\nmodel says Hi.\ndrop during pay\nexpect Hi', 4, ['pay did not run']],
    ['the model has too few lines', shop, 'say One\nmodel calls look\nexpect wrong', 1,
      ['the model was asked once more than there are answers in the "model" lines here']],
    ['the model has too many lines', shop,
      'say One\nmodel says A\nmodel then says B\nexpect A', 1,
      ['an answer in the "model" lines here was never asked for']],
    ['the lines expect a single model to be asked again', shop,
      'say One\nmodel fails 503\nmodel says Here.\nexpect went wrong', 1,
      ['an answer in the "model" lines here was never asked for']],
    ["the model's limit has cut a reply", shop,
      'never-cut\nsay One\nmodel says We open\nmodel is cut\nsay Two\nmodel says Yes.', 1,
      ['cut       line 2: One', 'heard     We open']],
    ['the caller speaks after the agent has hung up', shop,
      'say Bye\nmodel calls hang_up {"goodbye": "Bye!"}\nexpect-hangup\nexpect Bye!\nsay Hm?', 5,
      ['the agent has hung up']],
    ['the reply has no end', slow, 'say Hi\nexpect One', 1,
      ['the reply had not ended after 0.3 s']],
  ];
  for (const [what, agent, script, line, reasons] of failing) {
    it(`fails if ${what}`, async () => {
      const result = await play(agent, script, { timeoutMs: 300 });
      assert.deepEqual(failuresOf(result)[0], [line, ...reasons]);
    });
  }

  it('reports tool calls that did not run, with what the model was told', async () => {
    const free = defineAgent({ name: 'free', prompt: 'Sell.', tools: () => [look] });
    const result = await play(free, `
      say Hello
        model calls steal {"cents": 5}
        model then calls look
        model says Done.
      expect-tool steal
    `);
    assert.deepEqual(reportOf(result).filter((line) => line.startsWith('tool ')), [
      'tool    look {} → {"open":true}',
      'tool    steal {"cents":5} did not run: there is no tool "steal"',
    ]);
    assert.ok(result.turns[1]?.log.includes('tool call refused: unknown: there is no such tool'));
  });

  // The result was shown as undefined.
  for (const [what, returned, result] of [
    ['nothing', undefined, { status: 'ok' }],
    ['an invalid number', { cents: NaN }, { error: 'result.cents is NaN, which is not JSON' }],
  ] as const)
    it(`shows the result of a tool that returns ${what} as the model gets it`, async () => {
      const count = tool({ ...look, name: 'count', run: () => returned });
      const counter = defineAgent({ name: 'counter', prompt: 'Count.', tools: [count] });
      const text = JSON.stringify(result);
      const played = await play(counter, `
        say Hello
          model calls count
          model says Done.
        expect-prompt ${text}
        expect-tool count once returns ${text}
      `);
      assert.deepEqual(failuresOf(played), []);
    });

  it('makes a tool hand the call over without running the tool', async () => {
    const passOn = tool({
      name: 'pass_on',
      description: 'Passes the caller on.',
      parameters: { type: 'object' },
      run: () => assert.fail('it ran'),
    });
    const front = defineAgent({ name: 'front', prompt: 'You are the desk.', tools: [passOn] });
    const back = defineAgent({ name: 'back', prompt: 'You do the books.' });
    const result = await play({ front, back }, `
      mock pass_on hands-over back
      say An invoice, please.
        model calls pass_on
        model says Which one?
      expect-prompt You do the books.
      expect Which one?
    `);
    assert.deepEqual(failuresOf(result), []);
  });

  it('does not run a tool with effects unless that is allowed', async () => {
    const agent = defineAgent({ name: 'free', prompt: 'Sell.', tools: () => [pay], state: till });
    const result = await play(agent, 'say Hi\nmodel calls pay {"cents": 5}\nmodel says Done.\nexpect D');
    assert.deepEqual(result.failures.map(({ kind, reasons }) => [kind, ...reasons]), [[
      'course',
      'pay has effects and was called: add "mock pay returns …", or "real pay" if it may run here',
    ]]);
    const script = 'say Hi\nmodel calls pay {"cents": 5}\nmodel says Done.\nexpect-tool pay';
    assert.equal((await play(agent, script, { allowsRealTools: true })).outcome, 'passed');
  });

  it('reports exactly what was heard of an interrupted reply', async () => {
    for (let run = 0; run < 3; run++) {
      const result = await play(shop, `
        say When are you open?
          model says We are open from nine to six, every day.
        interrupt after 4 words
        expect /^We are open from$/
        say Wait.
          model says Yes?
        expect-prompt We are open from [interrupted]
        expect-no-prompt nine
      `);
      assert.deepEqual(failuresOf(result), []);
      assert.deepEqual(result.turns.map(({ ending, state }) => [ending, state]).at(1),
        ['interrupted', 'interrupted']);
    }
  });

  it('interrupts as a tool begins, and the aborted tool does not act', async () => {
    const slow = tool({
      name: 'slow', description: 'Is slow.', parameters: { type: 'object', properties: {} },
      run: () => assert.fail('it is mocked'),
    });
    const agent = defineAgent({ name: 'shop', prompt: 'Sell.', state: till, tools: [pay, slow] });
    const result = await play(agent, `
      real pay
      mock slow returns 1
      say I pay.
        model says One moment.
        model calls pay {"cents": 5}
        model calls slow
      interrupt as slow begins
      expect /^One moment.$/
      expect-tool slow once fails
      say What?
        model says You have paid.
      expect-prompt {"error":"interrupted"}
      expect-state {"paid": 5}
      say I pay six.
        model calls pay {"cents": 6}
      drop as pay begins
      deliver-again
        model says You have paid.
      expect-tool pay once with {"cents": 6} returns {"paid": 11}
      never-acts-twice
    `);
    assert.deepEqual(failuresOf(result), []);
  });

  it('can expect that a tool call had no effect, or did not begin', async () => {
    const charge = tool({
      name: 'charge', description: 'Takes money.', parameters: { type: 'object', properties: {} },
      once: (_args, { metadata }) => {
        if (metadata['plan'] !== 'gold') throw new NotDone('only for gold');
        return 'a';
      },
      run: () => 1,
    });
    const agent = defineAgent({ name: 'shop', prompt: 'Sell.', tools: [charge] });
    const result = await play(agent, `
      mock charge not-done The card was declined.
      say Charge me.
        model calls charge
        model says No.
      expect-tool charge once not-done gold
      expect-tool charge not-done
      expect-no-tool charge
      expect-tool charge not-done silver
    `);
    assert.deepEqual(failuresOf(result), [[
      9, 'expected  charge at least once, but matching runs: 0',
      'ran       charge {} did not run: only for gold',
    ]]);
    const declined = await play(agent, `
      metadata {"plan": "gold"}
      mock charge not-done The card was declined.
      say Charge me.
        model calls charge
        model says No.
      expect-tool charge once not-done declined
      expect-tool charge once fails declined
    `);
    assert.deepEqual(failuresOf(declined), []);
  });

  it('retries scripted models and falls back to others, as with real ones', async () => {
    const result = await play(shop, `
      models 2
      set FILLER_AFTER_MS 0
      say One
        model fails 503
        model says Here.
      expect Here.
      say Two
        model fails 401
        model breaks off
        model says Still here.
      expect Still here.
      say Three
        model fails 401
        model refuses
      expect went wrong
      say Four
        model says Well,
        model breaks off
      expect Well,
    `);
    assert.deepEqual(failuresOf(result), []);
    const states = result.turns.map(({ state }) => state);
    assert.deepEqual(states, ['completed', 'completed', 'completed', 'failed', 'failed']);
  });

  it('reports the status with which the server refused a turn', async () => {
    const words = 'word '.repeat(1_000);
    const result = await play(echo, `set MAX_BODY_BYTES 2000\nsay ${words}\nexpect word`);
    const [[line, reason] = []] = failuresOf(result);
    assert.equal(line, 2);
    assert.match(String(reason), /^the agent's server failed: 413 /);
  });

  it('tells the agent who is calling, with metadata and data from a page', async () => {
    const polite = defineAgent({
      name: 'polite',
      onSessionStart: ({ caller, metadata }) => `${caller?.from} ${caller?.to} ${metadata['plan']}`,
      onData: () => undefined,
      onMessage: () => 'Yes.',
    });
    const result = await play(polite, `
      from +1
      to +2
      metadata {"plan": "gold"}
      expect +1 +2 gold
      data {"page": 2}
    `);
    assert.deepEqual(failuresOf(result), []);
  });

  it('makes the caller call again, and then somebody else call', async () => {
    const result = await play(shop, `
      from +1
      real pay
      expect Welcome to the shop!
      say I pay.
        model calls pay {"cents": 5}
        model says Thank you very much indeed.
      call again
      expect Welcome back.
      expect-state {"paid": 5}
      call from +2
      expect Welcome to the shop!
      say And I?
        model says You have paid nothing.
      expect-prompt The caller is +2
      expect-no-prompt "paid":5
      never-repeats
    `);
    assert.deepEqual(failuresOf(result), []);
    assert.deepEqual(result.turns.map(({ conversation }) => conversation), [0, 0, 0, 1, 1]);
  });

  it('asks a judge, whose doubts do not count as a pass', async () => {
    const verdicts = ['passed', 'undecided', 'failed'] as const;
    for (const outcome of verdicts) {
      const judge: Judge = async ({ question }) => ({ outcome, reason: question });
      const result = await play(echo, 'say Hi\njudge "greets"', { judge });
      assert.equal(result.outcome, outcome);
      assert.deepEqual(result.undecided, outcome === 'undecided' ? ['line 2: greets'] : []);
    }
  });

  it('ends when it is told to', async () => {
    const stuck = defineAgent({ name: 'stuck', onMessage: () => new Promise<string>(() => {}) });
    const signal = AbortSignal.timeout(30);
    await assert.rejects(play(stuck, 'say Hi\nsay Ho\nexpect Hi', { signal }), /timeout/i);
  });
});
