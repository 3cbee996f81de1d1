import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Notebook } from '../../../src/kit/eval/notebook.ts';

describe('Notebook', () => {
  it('adds up the tokens of requests, and their cost only if all of them have a price', () => {
    const notebook = new Notebook();
    notebook.turnPage();
    const used = (cost: number | undefined): void =>
      notebook.used({ input: 10, output: 2, cost });
    used(0.25);
    used(0.5);
    assert.deepEqual(notebook.pageOf(0).tokens, { input: 20, output: 4, cost: 0.75 });
    used(undefined);
    used(0.25);
    assert.deepEqual(notebook.pageOf(0).tokens, { input: 40, output: 8, cost: undefined });
  });

  // Runs had the numbers 1, 2, … in each process, so a second process took over those of the first.
  it('keeps tool runs of two processes apart, and gives up only those of a killed one', () => {
    const notebook = new Notebook();
    notebook.turnPage();
    for (const [id, tool] of [['7.1', 'pay'], ['71.1', 'book']] as const)
      notebook.toolBegan(id, { tool, args: {}, onceKey: undefined });
    notebook.killed(7);
    const over = { state: 'completed', result: 1, hasActed: true } as const;
    for (const id of ['7.1', '71.1'] as const) notebook.toolOver(id, over);
    const runs = notebook.pageOf(0).tools.map(({ tool, state, isCut }) => [tool, state, isCut]);
    assert.deepEqual(runs, [['pay', 'running', true], ['book', 'completed', undefined]]);
    assert.equal(notebook.isRunning(() => true), false);
  });
});
