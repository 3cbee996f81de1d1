import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Notebook } from '../../../src/kit/eval/notebook.ts';

describe('Notebook', () => {
  it('adds up what requests used, and the cost only if all of them have a price', () => {
    const notebook = new Notebook();
    notebook.turnPage();
    const used = (cost: number | undefined): void =>
      notebook.take({ type: 'used', tokens: { input: 10, output: 2, cost } });
    used(0.25);
    used(0.5);
    assert.deepEqual(notebook.pageOf(0).tokens, { input: 20, output: 4, cost: 0.75 });
    used(undefined);
    used(0.25);
    assert.deepEqual(notebook.pageOf(0).tokens, { input: 40, output: 8, cost: undefined });
  });
});
