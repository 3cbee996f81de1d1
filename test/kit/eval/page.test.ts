// Every snippet of docs/evals.md that is a scenario, or a part of one, is played.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { getAgent } from '../../../src/core/agents/built-in/registry.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { evalCommand } from '../../../src/kit/commands/eval.ts';
import type { Judge } from '../../../src/kit/eval/play-options.ts';
import type { PlayedCaller } from '../../../src/kit/eval/played-caller.ts';
import { casesIn } from '../../../src/kit/eval/read-scenario.ts';
import { WORDS } from '../../../src/kit/eval/steps.ts';
import { codeBlocks, readPage } from '../../fixtures/pages.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';
import { failuresOf, play } from './eval-stage.ts';

const page = readPage('docs/evals.md');
const snippets = codeBlocks.filter(
  ({ page: name, language }) => name === 'docs/evals.md' && language === 'text',
);

const anything = { type: 'object', properties: {} } as const;
const shop = defineAgent({
  name: 'shop',
  prompt: 'You sell bread.',
  tools: [
    tool({
      name: 'pay', description: 'Takes money.', parameters: anything, once: true,
      run: () => ({ status: 'paid' }),
    }),
    tool({
      name: 'book_table', description: 'Books.', parameters: anything, repeatable: true,
      run: () => ({}),
    }),
  ],
});

const judge: Judge = () => Promise.resolve({ outcome: 'passed', reason: 'So it is.' });
const playedCaller: PlayedCaller = () =>
  Promise.resolve({ hangsUp: true, hasReachedGoal: true, reason: 'It is done.' });

/** What a part of a scenario needs above it. */
const PAYING = 'say Hi\nmodel calls pay {"cents": 500}\nmodel says Paid.\n';

/** The commands that the page shows, without comments. */
const commands = codeBlocks
  .filter(({ page: name, language }) => name === 'docs/evals.md' && language === 'sh')
  .flatMap(({ text }) => [...text.matchAll(/^npx layercode-microserver eval ?(.*?)(?: {2}.*)?$/gm)])
  .map(([, argv = '']) => argv.trim());

describe('docs/evals.md', () => {
  it('lists every step, and no others', () => {
    const cells = [...page.matchAll(/^\| (`.+?) \|/gm)].map(([, cell = '']) => cell);
    const named = cells.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)/g)].map(([, name]) => name));
    const known = ['good', 'bad', 'kill', ...named];
    assert.deepEqual(Object.keys(WORDS).filter((name) => !known.includes(name)), []);
    assert.deepEqual(named.filter((name) => name !== undefined && !Object.hasOwn(WORDS, name)), []);
  });

  it('has at least four scenarios', () => assert.ok(snippets.length >= 4));

  for (const { file, text, line } of snippets) {
    it(`has a passing scenario at line ${line}`, async () => {
      const agent = file === undefined ? shop : getAgent('bakery');
      const before = /^(?:say|caller) /m.test(text) ? '' : PAYING;
      const after = /^(?:never|expect)/m.test(text) ? '' : '\nnever-fails';
      const { text: plain, cases } = casesIn(text, 'a.txt');
      for (const one of cases.length > 0 ? cases : [plain]) {
        const result = await play(agent, `real pay\n${before}${one}${after}`.replace(
          file === undefined ? '' : 'real pay\n', '',
        ), { judge, playedCaller });
        assert.deepEqual(failuresOf(result), []);
      }
    });
  }

  it('has commands that succeed', async () => {
    assert.ok(commands.length >= 6, commands.join('; '));
    const terminal = new RecordedTerminal({ OPENAI_API_KEY: 'not-asked' });
    mkdirSync(join(terminal.directory, 'evals'));
    for (const name of ['order.txt', 'table.txt'])
      writeFileSync(join(terminal.directory, 'evals', name), 'agent echo\nsay Hi\nexpect Hi\n');
    for (const command of commands) {
      const few = command.replace('--runs 20', '--runs 2').replace('18', '2');
      const [line = '', file] = few.split(/ *(?:^|\s)> ?/);
      const before = terminal.out.length;
      const argv = line.split(' ').filter((word) => word !== '');
      assert.equal(await evalCommand.run(argv, terminal), 0, command);
      if (file === undefined) continue;
      writeFileSync(join(terminal.directory, file), terminal.out.slice(before));
    }
  });
});
