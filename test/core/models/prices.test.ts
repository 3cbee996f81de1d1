import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { costOf, DEFAULT_PRICES, PRICES_OF } from '../../../src/core/models/prices.ts';
import { PROVIDERS } from '../../../src/core/models/providers.ts';
import { readPage } from '../../fixtures/pages.ts';

const PRICE = { input: 2, cachedInput: 0.5, output: 10 };

function cost(inputTokens?: number, outputTokens?: number, cachedTokens?: number): number {
  return costOf(PRICE, { inputTokens, outputTokens, cachedTokens });
}

describe('costOf', () => {
  it('counts input and output per million tokens', () => {
    assert.equal(cost(1_000_000, 0), 2);
    assert.equal(cost(0, 1_000_000), 10);
    assert.equal(cost(500_000, 100_000), 2);
  });

  it('counts the cached part of the input at its own price', () => {
    assert.equal(cost(1_000_000, 0, 400_000), 1.4);
  });

  it('counts cached input as ordinary input if it has no price', () => {
    const tokens = { inputTokens: 1_000_000, outputTokens: 0, cachedTokens: 400_000 };
    assert.equal(costOf({ input: 2, output: 10 }, tokens), 2);
  });

  it('counts unknown tokens, and numbers that are not counts, as 0', () => {
    assert.equal(cost(undefined, undefined), 0);
    assert.equal(cost(NaN, -5, Infinity), 0);
  });

  it('counts no more cached tokens than there is input', () => {
    assert.equal(cost(1_000_000, 0, 9_000_000), 0.5);
  });
});

describe('DEFAULT_PRICES', () => {
  it('has exactly the default models', () => {
    const defaults = Object.entries(PROVIDERS).flatMap(([name, { defaultModel }]) =>
      defaultModel === undefined ? [] : [`${name}:${defaultModel}`]);
    assert.deepEqual([...DEFAULT_PRICES.keys()], defaults);
  });

  it('is in docs/costs.md, with its date', () => {
    const page = readPage('docs/costs.md');
    assert.ok(page.includes(PRICES_OF), PRICES_OF);
    for (const [name, { input, cachedInput, output }] of DEFAULT_PRICES) {
      const row = `| \`${name}\` | ${input} | ${cachedInput} | ${output} |`;
      assert.ok(page.includes(row), row);
    }
  });
});
