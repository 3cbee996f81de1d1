import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseExpectation } from '../../../src/kit/eval/expectation.ts';
import { casesIn } from '../../../src/kit/eval/read-scenario.ts';
import { scenarioOf, type Scenario } from '../../../src/kit/eval/scenario.ts';
import { parseScript, ScriptError } from '../../../src/kit/eval/script.ts';

/** The step without what all steps have, and without the function of a check. */
function parsed(line: string): unknown {
  const [step] = parseScript(line, 'a.txt');
  return JSON.parse(JSON.stringify({ ...step, lineNumber: undefined, written: undefined }));
}

function problemsIn(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof ScriptError) return error.problems;
    throw error;
  }
  return [];
}

function scenario(...lines: readonly string[]): Scenario {
  return scenarioOf(parseScript(lines.join('\n'), 'evals/a.txt'), 'evals/a.txt');
}

describe('parseScript', () => {
  const steps: readonly (readonly [line: string, step: object])[] = [
    ['  say   Hello there  ', { name: 'say', text: 'Hello there' }],
    ['say Order #5, not # 6', { name: 'say', text: 'Order #5, not # 6' }],
    ['say Hello  # there', { name: 'say', text: 'Hello' }],
    ['say Hello\t#there', { name: 'say', text: 'Hello' }],
    ['data {"page": 2}', { name: 'data', data: { page: 2 } }],
    ['from +15550100', { name: 'from', text: '+15550100' }],
    ['to +15550199', { name: 'to', text: '+15550199' }],
    ['metadata {"plan": "gold"}', { name: 'metadata', metadata: { plan: 'gold' } }],
    ['language de-DE', { name: 'language', text: 'de-DE' }],
    ['wire chat-completions', { name: 'wire', platform: 'generic' }],
    ['wire chat-completions vapi', { name: 'wire', platform: 'vapi' }],
    ['at 23:30', { name: 'at', clock: { time: '23:30' } }],
    ['at 2026-12-01 09:00', { name: 'at', clock: { date: '2026-12-01', time: '09:00' } }],
    ['store stalls 300 ms', { name: 'store', awayMs: 300 }],
    ['store is back', { name: 'store', awayMs: 0 }],
    ['elsewhere', { name: 'elsewhere' }],
    ['set TURN_TIMEOUT_SECONDS 1', { name: 'set', setting: 'turnTimeoutSeconds', value: 1 }],
    ['set MAX_MESSAGES=4', { name: 'set', setting: 'maxMessages', value: 4 }],
    ['real pay, look', { name: 'real', tools: ['pay', 'look'] }],
    ['call again', { name: 'call' }],
    ['call from +1', { name: 'call', from: '+1' }],
    ['interrupt', { name: 'interrupt', at: { words: 0 } }],
    ['interrupt after 1 word', { name: 'interrupt', at: { words: 1 } }],
    ['drop during pay', { name: 'drop', at: { tool: 'pay', isBeginning: false } }],
    ['kill as pay begins', { name: 'kill', at: { tool: 'pay', isBeginning: true } }],
    ['models 2', { name: 'models', count: 2 }],
    ['deliver-again', { name: 'deliver-again' }],
    ['restart after 3 words', { name: 'restart', at: { words: 3 } }],
    ['model says Hello there.', { name: 'model', part: 'Hello there.', isNext: false }],
    ['model then says A', { name: 'model', part: 'A', isNext: true }],
    ['model calls pay', { name: 'model', part: { call: 'pay', args: {} }, isNext: false }],
    ['model waits 1.5 s', { name: 'model', part: { waitMs: 1_500 }, isNext: false }],
    ['model fails 503', { name: 'model', part: { fail: 503 }, isNext: false }],
    ['model refuses', { name: 'model', part: { fail: 'content_filter' }, isNext: false }],
    ['model breaks off', { name: 'model', part: { fail: 'connection_dropped' }, isNext: false }],
    [
      'mock pay returns [1, null]',
      { name: 'mock', tool: 'pay', afterMs: 0, outcome: { kind: 'returns', value: [1, null] } },
    ],
    [
      'mock pay after 20 ms not-done Declined',
      {
        name: 'mock', tool: 'pay', afterMs: 20, outcome: { kind: 'not-done', message: 'Declined' },
      },
    ],
    ['mock pay hangs', { name: 'mock', tool: 'pay', afterMs: 0, outcome: { kind: 'hangs' } }],
    ['within 900 tokens in all', { name: 'within', tokens: 900 }],
    ['never-acts-twice', { name: 'never-acts-twice', tools: [] }],
    ['never-acts-twice pay, refund', { name: 'never-acts-twice', tools: ['pay', 'refund'] }],
    ['judge "is polite"', { name: 'judge', question: 'is polite', times: 1 }],
    [
      'expect-tool pay twice in all with {"a": {"b": "}"}} returns "ok":true',
      {
        name: 'expect-tool',
        tool: 'pay', times: 2, isInAll: true, args: { a: { b: '}' } }, outcome: 'returns',
      },
    ],
    [
      'expect-no-tool pay in all',
      { name: 'expect-no-tool', tool: 'pay', times: 0, isInAll: true },
    ],
  ];
  for (const [line, step] of steps) {
    it(`reads ${JSON.stringify(line)}`, () => assert.deepEqual(parsed(line), step));
  }

  it('numbers the lines, and skips blank ones and comments', () => {
    const read = parseScript('# a script\r\n\r\nsay one\n   # more\nsay two\n', 'a.txt');
    assert.deepEqual(read.map(({ lineNumber }) => lineNumber), [3, 5]);
  });

  it('reports all faults at once, and refuses a script without steps', () => {
    const script = 'say\n\nexpect\nsay Hello\n\u001bx';
    const told = problemsIn(() => parseScript(script, 'a.txt'));
    const numbers = told.map((problem) => problem.split(':')[0]);
    assert.deepEqual(numbers, ['line 1', 'line 3', 'line 5']);
    const many = problemsIn(() => parseScript('say\n'.repeat(22), 'a.txt'));
    assert.deepEqual(many.slice(20), ['and 2 more']);
    assert.deepEqual(problemsIn(() => parseScript('# no\n', 'a.txt')), ['it contains no steps']);
  });

  for (const [expectation, text, isMatch] of [
    ['welcome back', 'Hi. WELCOME\n  back!', true],
    ['welcome', 'Goodbye', false],
    ['a.c', 'abc', false],
    ['Caf\u00e9', 'Cafe\u0301', true],
    ['/a.c/', 'xabcx', true],
    ['/a.c/', 'ABC', false],
    ['/a.c/i', 'ABC', true],
    ['/^b/m', 'a\nb', true],
  ] as const) {
    it(`${isMatch ? 'finds' : 'does not find'} ${expectation} in ${JSON.stringify(text)}`, () => {
      const { matches } = parseExpectation('expect', expectation);
      assert.equal(matches(text), isMatch);
    });
  }

  const faults: readonly (readonly [line: string, problem: RegExp])[] = [
    ['constructor', /^line 1: constructor is not a step; docs\/evals\.md lists them$/],
    ['say', /^line 1: say takes what the caller says/],
    ['expect', /^line 1: expect takes a text, or a pattern like/],
    ['expect /(/', /^line 1: Invalid regular expression: .* Unterminated group$/],
    ['expect /a/g', /^line 1: \/a\/g is a pattern whose flags can only be i, m, s and u$/],
    ['data {page: 2}', /^line 1: data takes a JSON object: data \{"page": 2\}$/],
    ['within 2', /^line 1: within takes a time: within 2 s/],
    ['within 0 s', /^line 1: within takes a time: within 2 s/],
    ['interrupt after three words', /^line 1: write interrupt alone, or: .* after 3 words/],
    ['metadata [1]', /^line 1: metadata takes a JSON object/],
    ['language English', /^line 1: language takes a tag such as en-GB$/],
    ['language de_DE', /^line 1: language takes a tag/],
    ['wire sip', /^line 1: wire is layercode, or chat-completions with a profile: generic, vapi,/],
    ['wire chat-completions x', /^line 1: wire is layercode, or chat-completions with a profile/],
    ['at 24:30', /^line 1: at takes what the clock says: at 23:30, or: at 2026-12-01 23:30$/],
    ['at 2026-13-01 09:00', /^line 1: at takes what the clock says/],
    ['store stalls', /^line 1: store stalls for a time, is away, or is back: store stalls 300 ms$/],
    ['elsewhere now', /^line 1: elsewhere takes nothing after it$/],
    ['set turn_timeout 1', /^line 1: set takes a setting and its value/],
    ['set TURN_TIMEOUT_SECONDS 0', /^line 1: TURN_TIMEOUT_SECONDS must be 0\.001–86400 seconds/],
    ['set HOST x', /^line 1: HOST is not a time or a limit that a scenario can set$/],
    ['real', /^line 1: real takes names of tools/],
    ['real pay!', /^line 1: pay! is not the name of a tool$/],
    ['call', /^line 1: call takes: call again/],
    ['drop after many words', /^line 1: write drop alone, or: drop after 3 words/],
    ['model', /^line 1: model takes: says TEXT/],
    ['model says', /^line 1: model takes: says TEXT/],
    ['model calls pay [1]', /^line 1: model calls takes a tool and a JSON object/],
    ['model waits 0 s', /^line 1: model waits takes a time/],
    ['model fails 200', /^line 1: model fails takes a status from 400 to 599/],
    ['mock pay', /^line 1: mock takes a tool and what it does/],
    ['mock pay returns {', /^line 1: mock … returns takes JSON/],
    ['mock pay after 0 s returns {}', /^line 1: after takes a time/],
    ['expect-tool', /^line 1: expect-tool takes the name of a tool/],
    ['expect-tool pay with {a}', /^line 1: with takes a JSON object of arguments/],
    ['expect-tool pay thrice', /^line 1: after the name of the tool, expect-tool takes once/],
    ['expect-no-tool pay once', /^line 1: after the name of the tool, expect-no-tool takes in all/],
    ['never-fails at all', /^line 1: never-fails takes nothing after it$/],
    ['interrupt as pay', /^line 1: write interrupt alone, or: .* as book_table begins$/],
    ['models 0', /^line 1: models takes a number from 1 to 5/],
    ['never-acts-twice pay!', /^line 1: pay! is not the name of a tool$/],
    ['expect-state {"a": 1', /^line 1: expect-state: \{"a": 1 is not JSON$/],
    ['expect-data {a: 1}', /^line 1: expect-data: \{a: 1\} is not JSON$/],
    ['expect-no-data [1, 2', /^line 1: expect-no-data: \[1, 2 is not JSON$/],
    ['expect-tool pay returns {"a": 1,}', /^line 1: returns: \{"a": 1,\} is not JSON$/],
    ['within 0 tokens', /^line 1: within takes at least 1 token$/],
    ['interupt', /^line 1: interupt is not a step; did you mean interrupt\?$/],
  ];
  for (const [line, problem] of faults) {
    it(`refuses ${JSON.stringify(line)}`, () => {
      const [told = ''] = problemsIn(() => parseScript(line, 'a.txt'));
      assert.match(told, problem);
    });
  }
});

describe('scenarioOf', () => {
  it('gives each turn the answers of the model that stand below it', () => {
    const { acts, isScripted } = scenario(
      'say One', 'model says A', 'model calls pay', 'model calls look', 'model says B',
      'model then calls pay', 'model then says C', 'expect C',
      'say Two', 'model refuses', 'model says D',
    );
    const answers = acts.flatMap((act) => (act.name === 'exchange' ? [act.answers] : []));
    const [pay, look] = ['pay', 'look'].map((call) => ({ call, args: {} }));
    assert.equal(isScripted, true);
    assert.deepEqual(answers, [
      [],
      [['A', pay, look], ['B'], [pay], ['C']],
      [[{ fail: 'content_filter' }], ['D']],
    ]);
  });

  it('applies mocks from their line on, and those at the top to the welcome, too', () => {
    const { acts } =
      scenario('mock pay hangs', 'expect Hi', 'say One', 'mock pay hangs', 'say Two');
    assert.deepEqual(acts.map(({ name }) => name), [
      'mock', 'exchange', 'expect', 'exchange', 'mock', 'exchange',
    ]);
  });

  it('names the scenario after its file', () => assert.equal(scenario('expect Hi').name, 'a'));

  const faults: readonly (readonly [lines: readonly string[], problem: string])[] = [
    [['say Hi'], 'it expects nothing, so it could never fail: add a line such as expect Hello'],
    [
      ['say Hi', 'from +1', 'expect Hi'],
      'line 2: from must come before the first say: it holds for the whole call',
    ],
    [['from +1', 'from +2', 'expect Hi'], 'line 2: from may appear only once in a scenario'],
    [['agent a', 'agent b', 'expect Hi'], 'line 2: agent may appear only once in a scenario'],
    [
      ['model says Hi', 'expect Hi'],
      'line 1: model must come after a say: no model is asked for the welcome',
    ],
    [
      ['say Hi', 'interrupt after 1 word', 'drop after 2 words', 'expect Hi'],
      'line 3: line 2 has ended this reply already',
    ],
    [
      ['language de', 'expect Hi'],
      'line 1: LayerCode sends no language; add: wire chat-completions',
    ],
    [
      ['wire chat-completions', 'data {}', 'expect Hi'],
      'line 2: the wire chat-completions has no data from a page',
    ],
    [
      ['say Hi', 'model says Hi', 'within 5 tokens'],
      'line 3: a scripted model uses no tokens',
    ],
    [['models 2', 'expect Hi'], "line 1: models is for scripted models: the agent's own have retries"],
    [['good Hi', 'expect Hi'], 'line 1: good is an example for judge, and nothing is judged'],
  ];
  for (const [lines, problem] of faults) {
    it(`refuses ${lines.join(' · ')}`, () => {
      assert.deepEqual(problemsIn(() => scenario(...lines)), [problem]);
    });
  }
});

describe('casesIn', () => {
  const two = 'case {"guests": 2, "day": "Monday"}\ncase {"guests": 3}\n';

  // Such names used to be said as written, braces and all, and the scenario could pass.
  it('refuses a name in braces that a case does not have', () => {
    const text = `${two}say {guest} and {guests}, {guest}\n# {week}\nexpect {day}`;
    assert.deepEqual(problemsIn(() => casesIn(text, 'a.txt')), [
      'line 3: no case has guest', 'line 5: case 2 has no day',
    ]);
  });

  it('leaves braces alone in patterns, and in a scenario without cases', () => {
    const { cases } = casesIn(`${two}expect /\\d{2} \\p{Lu} {guests}/u`, 'a.txt');
    assert.deepEqual(cases.map((one) => one.trim()), [
      'expect /\\d{2} \\p{Lu} 2/u', 'expect /\\d{2} \\p{Lu} 3/u',
    ]);
    assert.deepEqual(casesIn('say {guest}', 'a.txt'), { text: 'say {guest}', cases: [] });
  });
});
