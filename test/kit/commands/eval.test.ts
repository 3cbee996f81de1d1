import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { evalCommand } from '../../../src/kit/commands/eval.ts';
import type { ScenarioResult } from '../../../src/kit/eval/result.ts';
import { UsageError } from '../../../src/kit/terminal/command.ts';
import { ROOT } from '../../fixtures/source-files.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';
import { EvalFolder } from './eval-folder.ts';

const GOOD = 'agent echo\nsay Hello there\nexpect You said: Hello there\n';
/** Modules to which no scenario can be played. */
const MODULES = {
  'broken.mjs': 'throw new Error("out of order");',
  'unbound.mjs': 'export default { name: "a", onMessage: () => "Hi", '
    + 'bind() { throw new Error("no model will have it"); } };',
};
const BAD = 'agent echo\nsay Hello <there>\nexpect Goodbye\n';

/** A terminal in a folder with these files in evals/. */
function folder(files: Readonly<Record<string, string>>): RecordedTerminal {
  return new RecordedTerminal({}, new EvalFolder(files).directory);
}

/** The lines of a text, without times. */
function linesOf(text: string): string[] {
  return text.trim().split('\n').map((line) => line.trimEnd().replace(/\d+ ms/, '… ms'));
}

async function refusal(terminal: RecordedTerminal, ...argv: string[]): Promise<string> {
  const error = await evalCommand.run(argv, terminal).catch((reason: unknown) => reason);
  assert.ok(error instanceof UsageError, String(error));
  return error.message;
}

describe('eval', () => {
  it('plays the scenarios in evals/, and ends with code 0 if all pass', async () => {
    const terminal = folder({ 'a.txt': GOOD, 'notes.md': 'no scenario' });
    assert.equal(await evalCommand.run([], terminal), 0);
    assert.deepEqual(linesOf(terminal.out), [
      '✓ a  (2 turns, … ms)', '', '1 of 1 scenarios passed.',
    ]);
  });

  it('says what failed, with the transcript, and ends with code 1', async () => {
    const terminal = folder({ 'a.txt': GOOD, 'b.txt': BAD });
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

  it('plays each scenario as often as asked, and prints JSON', async () => {
    const terminal = folder({ 'a.txt': GOOD });
    assert.equal(await evalCommand.run(['--json', '--runs', '3'], terminal), 0);
    const { passed, scenarios } = JSON.parse(terminal.out) as {
      readonly passed: number;
      readonly scenarios: readonly { readonly runs: readonly ScenarioResult[] }[];
    };
    assert.deepEqual([passed, scenarios.length, scenarios[0]?.runs.length], [3, 1, 3]);
    assert.equal(scenarios[0]?.runs[2]?.turns[1]?.heard, 'You said: Hello there');
  });

  it('allows some runs of a scenario to fail, but not too many', async () => {
    const flaky = 'agent ./flaky.mjs\nsay Hi\nexpect Hi\n';
    const terminal = folder({
      'a.txt': flaky,
      'flaky.mjs': 'let n = 0; '
        + 'export default { name: "f", onMessage: () => n++ % 4 ? "Hi" : "No" };',
    });
    const argv = ['--runs', '4', '--junit', 'out.xml', '--min-passes'];
    assert.equal(await evalCommand.run([...argv, '3'], terminal), 0, terminal.out);
    assert.match(terminal.out, /3 of 4 runs passed\n[^]*\n1 of 1 scenarios passed\.\n/);
    const xml = readFileSync(join(terminal.directory, 'out.xml'), 'utf8');
    assert.match(xml, /tests="4" failures="0" errors="0" skipped="1"/);
    assert.match(xml, /<skipped message="line 3: expect Hi">/);
    assert.equal(await evalCommand.run([...argv, '4'], terminal), 1);
    const worse = readFileSync(join(terminal.directory, 'out.xml'), 'utf8');
    assert.match(worse, /tests="4" failures="1" errors="0"/);
    assert.match(await refusal(terminal, ...argv, '5'), /^--min-passes .* from 1 to 4, got "5"/);
  });

  it('fails if it is over budget, and says where', async () => {
    const terminal = folder({ 'a.txt': GOOD });
    assert.equal(await evalCommand.run(['--max-p95', '30s', '--max-cost', '0'], terminal), 0);
    assert.equal(await evalCommand.run(['--max-p95', '0.001ms'], terminal), 1);
    assert.match(terminal.err, /^over budget: evals\/a\.txt: p95 of the first word is \d+ ms$/m);
    // This was not said beside a scenario that cannot be played.
    writeFileSync(join(terminal.directory, 'evals/x.txt'), 'sing');
    const before = terminal.err.length;
    await refusal(terminal, '--max-p95', '0.001ms');
    assert.match(terminal.err.slice(before), /^over budget: evals\/a\.txt: p95/);
    assert.match(await refusal(terminal, '--max-p95', '5'), /^--max-p95 must be a time such as/);
    assert.match(await refusal(terminal, '--max-cost', 'x'), /^--max-cost must be a number/);
  });

  it('takes several agents, and plays a scenario with the one that it names', async () => {
    const named = 'agent back\nsay Hello there\nexpect You said: Hello there\n';
    const terminal = folder({ 'a.txt': named, 'b.txt': named.replace('agent back\n', '') });
    assert.equal(await evalCommand.run(['--agents', 'front=echo,back=echo'], terminal), 0);
    assert.match(
      await refusal(terminal, '--agent', 'echo', '--agents', 'front=echo'),
      /^eval takes --agent or --agents, not both$/,
    );
  });

  const bad: readonly (readonly [script: string, problem: string])[] = [
    ['say Hi\nexspect Hi', 'evals/x.txt: line 2: exspect is not a step; did you mean expect?'],
    ['agent bakery\nexpect-tool make_orders', 'line 2: the agent has no tool make_orders; did you'],
    [
      'agent bakery\nsay Hi\nmodel calls book_table {}\nexpect x',
      'line 3: book_table has effects: add "mock book_table returns …", or "real book_table"',
    ],
    ['agent echo\nsay Hi\nmodel says Hi\nexpect Hi', 'line 3: the agent asks no model'],
    ['agent echo\nsay Hi\nexpect-no-prompt Ada', 'line 3: the agent asks no model'],
    ['agent echo\nsay Hi\nnever-cut', 'line 3: the agent asks no model'],
    ['agent nobody\nexpect Hi', 'evals/x.txt: unknown agent "nobody"; available agents: '],
    ['agent ./broken.mjs\nexpect Hi', 'broken.mjs:1: out of order'],
    ['agent ./unbound.mjs\nexpect Hi', 'evals/x.txt: no model will have it'],
  ];
  for (const [script, problem] of bad) {
    it(`plays the other scenarios if one is refused: ${JSON.stringify(script)}`, async () => {
      const terminal = folder({ ...MODULES, 'a.txt': GOOD, 'x.txt': script });
      const message = await refusal(terminal);
      assert.ok(message.startsWith('evals/x.txt: ') && message.includes(problem), message);
      assert.match(terminal.out, /^1 of 1 scenarios passed\.$/m);
    });
  }

  it('plays a scenario once for each of its cases', async () => {
    const script = 'agent echo\ncase {"what": "bread", "count": 2}\n'
      + 'case {"what": "cake", "count": 1}  # one\n'
      + 'say {what}, {count} of it\nexpect You said: bread, 2 of it';
    const terminal = folder({ 'a.txt': script });
    assert.equal(await evalCommand.run([], terminal), 1);
    const lines = linesOf(terminal.out);
    assert.ok(lines.includes('✗ evals/a.txt#2') && lines.at(-1) === '1 of 2 scenarios passed.');
    assert.match(terminal.out, /line 5: expect .+\n.+\n +heard +You said: cake, 1 of it/);
    assert.equal(await evalCommand.run(['evals/a.txt#1'], terminal), 0);
    assert.equal(await refusal(terminal, 'evals/a.txt#3'), 'evals/a.txt#3: it has 2 cases');
    writeFileSync(join(terminal.directory, 'evals/a.txt'), 'case 2\nexpect Hi');
    assert.match(await refusal(terminal), /^evals\/a\.txt: line 1: case takes a JSON object/);
  });

  it('skips a scenario that needs a separate process, unless it is named', async () => {
    const kill = 'agent echo\nsay Hi\nkill\nexpect Hi\n';
    const terminal = folder({ 'a.txt': GOOD, 'x.txt': kill });
    assert.equal(await evalCommand.run(['--junit', 'out.xml'], terminal), 0);
    const why = '- evals/x.txt  skipped: line 3: kill needs a process of its own: add --process';
    assert.deepEqual(linesOf(terminal.out).slice(2), [
      why, '', '1 of 1 scenarios passed, 1 skipped.',
    ]);
    const xml = readFileSync(join(terminal.directory, 'out.xml'), 'utf8');
    assert.match(xml, /tests="2" failures="0" errors="0" skipped="1" time/);
    assert.match(xml, /<testcase name="x" .+>\n +<skipped message="line 3: kill needs a process/);
    const needs = /^evals\/x\.txt: line 3: kill needs a process of its own: add --process$/;
    assert.match(await refusal(terminal, 'evals/x.txt'), needs);
    assert.match(await refusal(terminal, 'evals', 'evals/x.txt'), needs);
    // The exit code was 2, as if the folder could not be played.
    rmSync(join(terminal.directory, 'evals/a.txt'));
    const before = terminal.out.length;
    assert.equal(await evalCommand.run([], terminal), 0);
    assert.deepEqual(linesOf(terminal.out.slice(before)), [
      why, '', '0 of 0 scenarios passed, 1 skipped.',
    ]);
  });

  it('reports a file that cannot be played as an error in JUnit XML and in JSON', async () => {
    const terminal = folder({ 'a.txt': GOOD, 'b.txt': BAD, 'x.txt': 'say Hi\nsing' });
    await refusal(terminal, '--junit', 'out.xml', '--json');
    const xml = readFileSync(join(terminal.directory, 'out.xml'), 'utf8');
    assert.match(xml, /<testsuite name="eval" tests="3" failures="1" errors="1" skipped="0" time="[\d.]+">/);
    assert.match(xml, /<testcase name="a" classname="evals\/a.txt" time="[\d.]+"\/>/);
    assert.match(xml, /<failure message="line 3: expect Goodbye">[^]*Hello &lt;there&gt;/);
    assert.match(xml, /<testcase name="x" classname="evals\/x.txt" .+>\n +<error message="line 2: sing/);
    const { unplayable } = JSON.parse(terminal.out) as { readonly unplayable: unknown };
    const problems = ['line 2: sing is not a step; docs/evals.md lists them'];
    assert.deepEqual(unplayable, [{ file: 'evals/x.txt', problems, isSkipped: false }]);
    await refusal(terminal, '--junit', 'alone.xml', 'evals/x.txt');
    const alone = readFileSync(join(terminal.directory, 'alone.xml'), 'utf8');
    assert.match(alone, /tests="1" failures="0" errors="1"/);
  });

  it('plays the other scenarios if the agent of one is refused by its app', async () => {
    const terminal = folder({
      'a.txt': GOOD, 'x.txt': 'agent starter\nsay Hi\nmodel says Hi\nexpect Hi',
      '.env': '',
    });
    const priced = new RecordedTerminal(
      { DEFAULT_MODEL: 'openai:nobody-knows-it', MAX_COST_PER_CALL: '1' }, terminal.directory,
    );
    assert.match(await refusal(priced), /^evals\/x\.txt: .*nobody-knows-it/);
    assert.match(priced.out, /^1 of 1 scenarios passed\.$/m);
  });

  it('refuses arguments that make no sense', async () => {
    const terminal = folder({});
    assert.match(await refusal(terminal), /^evals has no scenario/);
    assert.match(await refusal(terminal, 'nowhere'), /^there is no nowhere$/);
    assert.match(await refusal(terminal, '--runs', '0'), /^--runs must be a whole number from 1/);
  });

  it('plays the scenarios of the built-in agents, without a key', async () => {
    const terminal = new RecordedTerminal();
    const folder = join(ROOT, 'examples/evals');
    // The cashier imports the built package, whose NotDone is not the one in these sources.
    const files = readdirSync(folder)
      .filter((name) => name.endsWith('.txt') && !name.startsWith('cashier'))
      .map((name) => join(folder, name));
    const code = await evalCommand.run(files, terminal);
    assert.equal(code, 0, terminal.out);
  });
});
