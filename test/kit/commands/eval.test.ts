import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { evalCommand } from '../../../src/kit/commands/eval.ts';
import type { ScenarioResult } from '../../../src/kit/eval/result.ts';
import { UsageError } from '../../../src/kit/terminal/command.ts';
import { ROOT } from '../../fixtures/source-files.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

const GOOD = 'agent echo\nsay Hello there\nexpect You said: Hello there\n';
const BAD = 'agent echo\nsay Hello <there>\nexpect Goodbye\n';

/** A terminal in a folder with these files in evals/. */
function folder(t: TestContext, files: Readonly<Record<string, string>>): RecordedTerminal {
  const terminal = new RecordedTerminal({});
  t.after(() => terminal.clear());
  mkdirSync(join(terminal.directory, 'evals'));
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(terminal.directory, 'evals', name), text);
  return terminal;
}

/** Lines without times. */
function linesOf(text: string): string[] {
  return text.trim().split('\n').map((line) => line.trimEnd().replace(/\d+ ms/, '… ms'));
}

async function refusal(terminal: RecordedTerminal, ...argv: string[]): Promise<string> {
  const error = await evalCommand.run(argv, terminal).catch((reason: unknown) => reason);
  assert.ok(error instanceof UsageError, String(error));
  return error.message;
}

describe('eval', () => {
  it('plays the scenarios in evals/, and ends with code 0 if all pass', async (t) => {
    const terminal = folder(t, { 'a.txt': GOOD, 'notes.md': 'no scenario' });
    assert.equal(await evalCommand.run([], terminal), 0);
    assert.deepEqual(linesOf(terminal.out), [
      '✓ a  (2 turns, … ms)', '', '1 of 1 scenarios passed.',
    ]);
  });

  it('says what failed, with the transcript, and ends with code 1', async (t) => {
    const terminal = folder(t, { 'a.txt': GOOD, 'b.txt': BAD });
    assert.equal(await evalCommand.run(['evals/a.txt', 'evals/b.txt'], terminal), 1);
    assert.deepEqual(linesOf(terminal.out).slice(-11), [
      '✗ evals/b.txt',
      '  line 3: expect Goodbye',
      '    expected  Goodbye',
      '    heard     You said: Hello <there>',
      '',
      '  caller  the call begins',
      '  agent   Hello! Say something, and I will repeat it.',
      '  caller  line 2: Hello <there>',
      '  agent   You said: Hello <there>',
      '',
      '1 of 2 scenarios passed.',
    ]);
  });

  it('plays each so many times, and prints JSON', async (t) => {
    const terminal = folder(t, { 'a.txt': GOOD });
    assert.equal(await evalCommand.run(['--json', '--runs', '3'], terminal), 0);
    const { passed, scenarios } = JSON.parse(terminal.out) as {
      readonly passed: number;
      readonly scenarios: readonly { readonly runs: readonly ScenarioResult[] }[];
    };
    assert.deepEqual([passed, scenarios.length, scenarios[0]?.runs.length], [3, 1, 3]);
    assert.equal(scenarios[0]?.runs[2]?.turns[1]?.heard, 'You said: Hello there');
  });

  it('writes JUnit XML', async (t) => {
    const terminal = folder(t, { 'a.txt': GOOD, 'b.txt': BAD });
    assert.equal(await evalCommand.run(['--junit', 'out.xml'], terminal), 1);
    const xml = readFileSync(join(terminal.directory, 'out.xml'), 'utf8');
    assert.match(xml, /<testsuite name="eval" tests="2" failures="1" errors="0" time="[\d.]+">/);
    assert.match(xml, /<testcase name="a" classname="evals\/a.txt" time="[\d.]+"\/>/);
    assert.match(xml, /<failure message="line 3: expect Goodbye">[^]*Hello &lt;there&gt;/);
  });

  it('plays to several agents, and to the one that a scenario names', async (t) => {
    const named = 'agent back\nsay Hello there\nexpect You said: Hello there\n';
    const terminal = folder(t, { 'a.txt': named, 'b.txt': named.replace('agent back\n', '') });
    assert.equal(await evalCommand.run(['--agents', 'front=echo,back=echo'], terminal), 0);
    assert.match(
      await refusal(terminal, '--agent', 'echo', '--agents', 'front=echo'),
      /^eval takes --agent or --agents, not both$/,
    );
  });

  const bad: readonly (readonly [script: string, problem: string])[] = [
    ['say Hi\nexspect Hi', 'evals/x.txt: line 2: exspect is not a step; did you mean expect?'],
    ['say Hi\nwithin 0 s', 'evals/x.txt: line 2: within takes a time: '],
    ['say Hi', 'evals/x.txt: it expects nothing, so it could never fail'],
    ['agent bakery\nexpect-tool bake', 'line 2: the agent has no tool bake; it has list_menu, '],
    ['agent bakery\nexpect-tool make_orders', 'line 2: the agent has no tool make_orders; did you'],
    [
      'agent bakery\nsay Hi\nmodel calls book_table {}\nexpect x',
      'line 3: book_table has effects: add "mock book_table returns …", or "real book_table"',
    ],
    ['agent echo\nsay Hi\nmodel says Hi\nexpect Hi', 'line 3: the agent asks no model'],
    ['agent echo\nsay Hi\njudge "polite"', 'line 3: judge needs a model that judges'],
    ['agent echo\nsay Hi\nkill\nexpect Hi', 'line 3: kill needs a process of its own'],
    ['set PORT 1\nexpect Hi', 'line 1: PORT is not a time or a limit that a scenario can set'],
    [
      'set TURN_TIMEOUT_SECONDS 0\nexpect Hi',
      'line 1: TURN_TIMEOUT_SECONDS must be 0.001–86400 seconds',
    ],
    ['language de\nexpect Hi', 'line 1: LayerCode names no language; add: wire chat-completions'],
  ];
  for (const [script, problem] of bad) {
    it(`plays nothing if one says ${JSON.stringify(script)}`, async (t) => {
      const terminal = folder(t, { 'a.txt': GOOD, 'x.txt': script });
      const message = await refusal(terminal);
      assert.ok(message.includes(problem), message);
      assert.equal(terminal.out, '');
    });
  }

  it('refuses arguments that make no sense', async (t) => {
    const terminal = folder(t, {});
    assert.match(await refusal(terminal), /^evals has no scenario/);
    assert.match(await refusal(terminal, 'nowhere'), /^there is no nowhere$/);
    assert.match(await refusal(terminal, '--runs', '0'), /^--runs must be a whole number from 1/);
    assert.match(await refusal(terminal, '--timeout', 'x'), /^--timeout must be a number/);
  });

  it('plays the scenarios of the built-in agents, without a key', async (t) => {
    const terminal = new RecordedTerminal({});
    t.after(() => terminal.clear());
    const code = await evalCommand.run([join(ROOT, 'examples/evals')], terminal);
    assert.equal(code, 0, terminal.out);
  });
});
