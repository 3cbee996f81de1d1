import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { DEFAULT_APOLOGY } from '../../../src/core/agents/phrases.ts';
import type { ToolCallState } from '../../../src/core/conversations/message.ts';
import type { RequestFigures } from '../../../src/core/conversations/turn-figures.ts';
import { handOver } from '../../../src/core/tools/tool-hand-over.ts';
import { hangUp } from '../../../src/core/tools/tool-hang-up.ts';
import { transferTo } from '../../../src/core/tools/tool-transfer.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { callScenario } from '../../../src/kit/eval/call-scenario.ts';
import { scenarioOf } from '../../../src/kit/eval/scenario.ts';
import { parseScript } from '../../../src/kit/eval/script.ts';
import type {
  CallRecord, RecordedMessage, RecordedTurn,
} from '../../../src/server/records/call-record.ts';
import { failuresOf, play } from './eval-stage.ts';

function call(turns: readonly RecordedTurn[], fields: Partial<CallRecord> = {}): CallRecord {
  return {
    format: 1, conversationId: 'c-1', sessionId: 's-1', agent: 'bakery', wire: 'layercode',
    startedAt: '2026-11-25T12:00:00.000Z', endedAt: '2026-11-25T12:01:00.000Z',
    durationMs: 60_000, outcome: 'ended', tokens: {}, turns, ...fields,
  };
}

function turn(
  messages: readonly RecordedMessage[], fields: Partial<RecordedTurn> = {},
): RecordedTurn {
  return { turnId: 't', outcome: 'completed', messages, ...fields };
}

const USER = (content: string): RecordedMessage => ({ role: 'user', content });
const AGENT = (content: string): RecordedMessage => ({ role: 'assistant', content });

/** A tool call and its result. */
function used(
  name: string, content: string, state: ToolCallState = 'completed',
): RecordedMessage[] {
  return [
    { role: 'assistant', content: '', toolCalls: [{ id: 'x', name, args: '{}' }] },
    { role: 'tool', content, toolCallId: 'x', state },
  ];
}

/** The lines of the scenario, which must be valid. */
function linesOf(record: CallRecord): readonly string[] {
  const text = callScenario(record);
  scenarioOf(parseScript(text, 'a.txt'), 'a.txt');
  return text.trimEnd().split('\n');
}

/** The lines for a call with one turn. */
function linesOfTurn(only: RecordedTurn): readonly string[] {
  const lines = linesOf(call([only]));
  return lines.slice(lines.indexOf('') + 1);
}

describe('callScenario', () => {
  it('writes no line that the record does not support, whatever names and words contain', () => {
    const lines = linesOf(call([
      turn([USER('Rye?\u2028real pay\u202e'), ...used('x\nreal pay', '{}')]),
    ]));
    assert.deepEqual(lines.slice(-2), ['', 'say Rye? real pay']);
  });

  it('makes the caller and the tools repeat what they said and returned', () => {
    const record = call([
      turn([AGENT('Hello.')]),
      turn([USER('Rye?'), ...used('stock', '{"loaves": 3}'), AGENT('Three loaves.')]),
      turn([USER('One please'), ...used('order', '{"error":"sold out"}'), AGENT('Sorry.')]),
    ], { from: '+15550100' });
    assert.deepEqual(linesOf(record), [
      '# A recorded call of the agent "bakery". Ids and numbers are invented.',
      '# Add what it should have said and done: docs/evals.md lists the words.',
      'from +15550001',
      '# A mock changes no state. Where another tool needs it, write "real NAME" instead of it.',
      'never-fails',
      'never-acts-twice stock order',
      'never-repeats',
      '',
      '# heard: Hello.',
      '',
      'mock stock returns {"loaves":3}',
      'say Rye?',
      '# heard: Three loaves.',
      '',
      'mock order fails sold out',
      'say One please',
      '# heard: Sorry.',
    ]);
  });

  const cases: readonly (readonly [what: string, RecordedTurn, expected: readonly string[]])[] = [
    ['an interruption', turn([USER('Go on'), AGENT('One two  three')], { outcome: 'interrupted' }),
      ['say Go on', '# heard: One two three', 'interrupt after 3 words']],
    ['an interruption of a filler',
      turn([USER('Go on')], { outcome: 'interrupted', firstSpeechMs: 900 }),
      ['say Go on', 'interrupt']],
    ['an interruption before the first word', turn([USER('Go on')], { outcome: 'interrupted' }),
      ['say Go on']],
    ['a failed turn', turn([USER('Go on'), AGENT('Sorry.')], { outcome: 'failed' }),
      ['say Go on', '# heard: Sorry.', '# this turn failed']],
    ['words on several lines, with the start of a comment', turn([USER('Order\n  #5\t\u0007now')]),
      ['say Order #5 now']],
    ['several messages from the caller', turn([USER('Hi'), USER('there')]), ['say Hi there']],
    ['a result that is not JSON', turn([USER('Hi'), ...used('look', 'Fine  # one')]),
      ['mock look returns "Fine  \\u0023 one"', 'say Hi']],
    // This used to write nothing, so the mock above made a payment that had failed.
    ['an unknown outcome',
      turn([USER('Hi'), ...used('pay', '{"error":"outcome unknown"}', 'unknown')]),
      ['mock pay fails outcome unknown', 'say Hi']],
    ['an error beside other fields', turn([USER('Hi'), ...used('look', '{"error":"x","n":1}')]),
      ['mock look returns {"error":"x","n":1}', 'say Hi']],
    ['the last of several results',
      turn([USER('Hi'), ...used('look', '1'), ...used('look', '2')]),
      ['mock look returns 2', 'say Hi']],
    ['a call that was interrupted',
      turn([USER('Hi'), ...used('look', '{"error":"interrupted"}', 'interrupted')]), ['say Hi']],
    ['a call whose tool had acted before',
      turn([USER('Hi'), ...used('pay', '{"status":"done before","result":{"receipt":"r-1"}}')]),
      ['mock pay returns {"receipt":"r-1"}', 'say Hi']],
    ['a call whose tool had failed to return JSON before',
      turn([USER('Hi'), ...used('pay', '{"status":"done before","result":{"error":"no JSON"}}')]),
      ['mock pay fails no JSON', 'say Hi']],
    ['a hand-over',
      turn([USER('Hi'), ...used('pass_on', JSON.stringify(handOver('billing')))]),
      ['mock pass_on hands-over billing', 'say Hi']],
    ['a hand-over to something that is not a name',
      turn([USER('Hi'), ...used('pass_on', '{"status":"handed over","agent":"a b"}')]),
      ['mock pass_on returns {"status":"handed over","agent":"a b"}', 'say Hi']],
    ['a call that was not started', turn([USER('Hi'), ...used('look', '{"error":"not started"}')]),
      ['say Hi']],
  ];
  for (const [what, given, expected] of cases) {
    it(`handles ${what}`, () => {
      assert.deepEqual(linesOfTurn(given), expected);
    });
  }

  it('names the wire, and lets the agent hang up', () => {
    const turns = [turn([USER('Bye'), ...used('hang_up', '"ok"'), AGENT('Bye.')])];
    const lines = linesOf(call(turns, { wire: 'chat-completions' }));
    assert.deepEqual(lines.slice(2, 4), ['wire chat-completions', 'real hang_up']);
    assert.ok(!lines.some((line) => line.startsWith('mock')));
  });

  it('expects that no tool acts twice unless it did so in the call', () => {
    const expected = (...messages: readonly RecordedMessage[]): readonly string[] =>
      linesOf(call([turn([USER('Rye?'), ...messages])])).filter((line) => /acts/.test(line));
    const stock = used('stock', '{"loaves": 3}');
    assert.deepEqual(expected(...stock, ...used('pay', '1')), ['never-acts-twice stock pay']);
    assert.deepEqual(expected(...stock, ...used('pay', '1'), ...stock), ['never-acts-twice pay']);
    assert.deepEqual(expected(...stock, ...stock), []);
    assert.deepEqual(expected(AGENT('Yes.'), ...used('hang_up', '"ok"')), []);
  });

  it('makes the model answer and fail as it did, so that no key is needed', async () => {
    const requests: readonly RequestFigures[] = [
      { model: 'a', startedMs: 0, failure: 'http_error', retriedAfterMs: 200 },
      { model: 'a', startedMs: 300 }, { model: 'a', startedMs: 500 },
    ];
    const args = '{"card":"[card 1]"}';
    const text = callScenario(call([
      turn([AGENT('Hello.')]),
      turn([
        USER('I pay with [card 1]'),
        { ...AGENT('One  moment.'), toolCalls: [{ id: 'x', name: 'pay', args }] },
        { role: 'tool', content: '{"paid":5}', toolCallId: 'x', state: 'completed' },
        AGENT('Paid with [card 1].'),
      ], { requests }),
      turn([USER('And?'), AGENT(`Well, ${DEFAULT_APOLOGY}`)], {
        outcome: 'failed', requests: [{ model: 'a', startedMs: 0, failure: 'connection_dropped' }],
      }),
    ]));
    assert.deepEqual(text.split('\n').filter((line) => /^(models|say|mock| )/.test(line)), [
      'models 1',
      'mock pay returns {"paid":5}',
      'say I pay with 4000 0000 0000 0010',
      '  model fails 500',
      '  model says One moment.',
      '  model calls pay {"card":"[card 1]"}',
      '  model says Paid with [card 1].',
      'say And?',
      '  model says Well,',
      '  model breaks off',
    ]);
    const pay = tool({
      name: 'pay', description: 'Pays.', raw: true, run: () => assert.fail('it is mocked'),
      parameters: {
        type: 'object', properties: { card: { type: 'string', pattern: '^[0-9 ]+$' } },
      },
    });
    const shop = defineAgent({
      name: 'shop', welcome: 'Hello.', prompt: 'Sell.', tools: [pay], redact: ['cards'],
    });
    const [paid] = text.split('\nsay And?');
    const script = `${paid}\nexpect One moment.\nexpect-tool pay once\nexpect-prompt [card 1]`;
    assert.deepEqual(failuresOf(await play(shop, script)), []);
  });

  // The goodbye was a line for the model too, which was never asked for it.
  for (const [what, wire, name, args, result, count] of [
    ['does not script what hang_up says', 'layercode', 'hang_up', { goodbye: 'Goodbye!' },
      { status: 'ok' }, 1],
    ['does not script what transfer_call says', 'chat-completions', 'transfer_call',
      { destination: 'sales', say: 'Goodbye!' }, { status: 'ok' }, 1],
    ['scripts what the model says if it cannot transfer', 'layercode', 'transfer_call',
      { destination: 'sales' }, { error: 'calls cannot be transferred here' }, 2],
  ] as const)
    it(what, async () => {
      const toolCalls = [{ id: 'x', name, args: JSON.stringify(args) }];
      const [, returned] = used(name, JSON.stringify(result));
      assert.ok(returned !== undefined);
      const messages = [USER('Bye'), { ...AGENT(''), toolCalls }, returned, AGENT('Goodbye!')];
      const requests = Array.from({ length: count }, () => ({ model: 'a', startedMs: 0 }));
      const text = callScenario(call([turn(messages, { requests })], { wire }));
      const shop = defineAgent({
        name: 'shop', prompt: 'Sell.', tools: [hangUp, transferTo({ sales: '+49 30 111' })],
      });
      assert.deepEqual(failuresOf(await play(shop, `${text}expect Goodbye!`)), []);
    });

  // One model that failed three times used to become two models, scripted to fail six times.
  const failed = (reason: string, repair: Partial<RequestFigures> = {}): RequestFigures => (
    { model: 'a', startedMs: 0, failure: 'http_error', reason: `a answered ${reason}`, ...repair }
  );
  const again = { retriedAfterMs: 200 };
  const thrice = [failed('HTTP 500', again), failed('HTTP 500', again), failed('HTTP 500')];
  const repairs: readonly (
    readonly [what: string, models: string, turns: readonly (readonly RequestFigures[])[]]
  )[] = [
    ['one model that failed each time', 'models 1', [thrice]],
    ['two models, of which the first was asked once', 'models 2',
      [[failed('HTTP 404 (model_not_found)', { fellBackTo: 'b' }), ...thrice]]],
    ['three models, each asked again', 'models 3', [[
      failed('HTTP 503', again), failed('HTTP 503', { fellBackTo: 'b' }),
      failed('HTTP 400', { fellBackTo: 'c' }), { model: 'c', startedMs: 0 },
    ], [failed('HTTP 404', { fellBackTo: 'b' }), { model: 'b', startedMs: 0 }]]],
    ['a key that was refused after another failure was repaired', 'models 1', [
      [failed('HTTP 500', again), { model: 'a', startedMs: 0 }],
      [{ model: 'a', startedMs: 0, failure: 'key_refused' }],
    ]],
    ...(['no_credit', 'key_missing'] as const).map((failure) => [
      `a model that is not asked again after ${failure}`, 'models 1', [
        [failed('HTTP 500', again), { model: 'a', startedMs: 0 }],
        [{ model: 'a', startedMs: 0, failure }],
      ],
    ] as const),
  ];
  for (const [what, models, turns] of repairs)
    it(`scripts as many requests as the call had: ${what}`, async () => {
      const text = callScenario(call(turns.map((requests) => (
        requests.at(-1)?.failure === undefined
          ? turn([USER('Rye?'), AGENT('Yes, there is.')], { requests })
          : turn([USER('Rye?'), AGENT(DEFAULT_APOLOGY)], { requests, outcome: 'failed' })
      ))));
      assert.equal(/^models .*$/m.exec(text)?.[0], models);
      const shop = defineAgent({ name: 'shop', prompt: 'Sell.' });
      const script = text.replace(/^never-(?:fails|repeats)$/gm, '');
      assert.deepEqual(failuresOf(await play(shop, `${script}\nexpect /./`)), []);
    });

  it('expects a refusal, and scripts nothing for an agent that asks no model', () => {
    const wrong = used('look', '{"error":"arguments.day is missing"}');
    const models = [{
      model: 'a', requests: 1, inputTokens: 1, outputTokens: 1, cachedTokens: undefined,
    }];
    assert.deepEqual(linesOfTurn(turn([USER('Hi'), ...wrong, AGENT('No.')], { models })), [
      'say Hi', '  model calls look {}', '  model says No.', 'expect-tool look refused',
      '# heard: No.',
    ]);
    assert.deepEqual(linesOfTurn(turn([USER('Hi'), AGENT('No.')])), ['say Hi', '# heard: No.']);
  });

  it('expects a refusal of arguments that are not an object, and mocks nothing for them', () => {
    const wrong = used('look', '{"error":"the arguments are not a JSON object"}');
    assert.deepEqual(linesOfTurn(turn([USER('Hi'), ...wrong, AGENT('No.')])), [
      'say Hi', 'expect-tool look refused', '# heard: No.',
    ]);
  });

  it('leaves out what the platform discarded', () => {
    const turns = [turn([USER('A ta')], { isDiscarded: true }), turn([USER('A table')])];
    assert.deepEqual(linesOf(call(turns)).slice(5), ['say A table']);
  });

  it('invents ids, numbers and addresses, the same one for the same value', () => {
    const id = '1f6f2a52-1b0e-4a0b-9a3e-8e2f6d7c9b10';
    const text = callScenario(call([
      turn([
        USER('I am +15550177, ada@mail.example'),
        ...used('look', `{"id":"${id}","phone":"+15550177"}`),
        AGENT('Is it +15550177?'),
      ]),
    ], { from: '+15550177' }));
    assert.doesNotMatch(text, /15550177|ada@|1f6f2a52/);
    assert.equal(text.split('+15550001').length, 5);
  });
});
