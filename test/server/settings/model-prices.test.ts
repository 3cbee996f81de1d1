import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Refusal } from '../../../src/server/settings/kinds.ts';
import { modelPrices } from '../../../src/server/settings/model-prices.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { problemsOf } from './settings-problems.ts';

function reasonFor(text: string): string {
  const parsed = modelPrices.parse(text);
  assert.ok(parsed instanceof Refusal, text);
  return parsed.reason;
}

describe('MODEL_PRICES', () => {
  it('is a table of prices by model', () => {
    const text =
      '{"openai:a":{"input":0.1,"cachedInput":0.01,"output":2},"x:b:c":{"input":0,"output":0}}';
    const prices = parseSettings({ MODEL_PRICES: text }, []).modelPrices;
    assert.deepEqual(prices, new Map([
      ['openai:a', { input: 0.1, cachedInput: 0.01, output: 2 }],
      ['x:b:c', { input: 0, output: 0 }],
    ]));
  });

  const PRICE = 'must be a number from 0 to 1000000000';
  const OBJECT = 'must be an object with input, cachedInput, output';
  const NAME = 'must be provider:model, for example openai:gpt-6-luna';
  const UNKNOWN = 'must be left out: a price has input, cachedInput, output';
  const REFUSED: readonly (readonly [text: string, reason: string])[] = [
    ['{"a:b":{"input":"0.1","output":1}}', `at "a:b".input ${PRICE}`],
    ['{"a:b":{"input":-1,"output":1}}', `at "a:b".input ${PRICE}`],
    ['{"a:b":{"input":1,"output":1000000001}}', `at "a:b".output ${PRICE}`],
    ['{"a:b":{"input":1}}', `at "a:b".output ${PRICE}`],
    ['{"a:b":{"input":1,"cachedInput":true,"output":1}}', `at "a:b".cachedInput ${PRICE}`],
    ['{"a:b":{"input":1,"cached":1,"output":1}}', `at "a:b".cached ${UNKNOWN}`],
    ['{"a:b":{"input":1,"output":1,"__proto__":1}}', `at "a:b".__proto__ ${UNKNOWN}`],
    ['{"a:b":{"__proto__":{"input":1,"output":1}}}', `at "a:b".__proto__ ${UNKNOWN}`],
    ['{"__proto__":{"a:b":{"input":1,"output":1}}}', `at "__proto__" ${NAME}`],
    ['{"gpt-6-luna":{"input":1,"output":1}}', `at "gpt-6-luna" ${NAME}`],
    ['{"a:b,c:d":{"input":1,"output":1}}', `at "a:b,c:d" ${NAME}`],
    ['{"a:b":[1,2,3]}', `at "a:b" ${OBJECT}`],
  ];
  for (const [text, reason] of REFUSED)
    it(`refuses ${text}, and names the field`, () => assert.equal(reasonFor(text), reason));

  for (const text of ['NaN', '[]', '"a"', 'null', '{"a:b":{"input":NaN,"output":1}}', '{'])
    it(`refuses ${text}, and shows what it accepts`, () => {
      assert.equal(reasonFor(text), `must be ${modelPrices.takes}`);
    });

  it('reads -0 as 0', () => {
    const parsed = modelPrices.parse('{"a:b":{"input":-0,"cachedInput":-0,"output":-0}}');
    assert.deepEqual(parsed, new Map([['a:b', { input: 0, cachedInput: 0, output: 0 }]]));
  });

  it('shortens a very long name', () => {
    const reason = reasonFor(JSON.stringify({ ['x'.repeat(10_000)]: { input: 1, output: 1 } }));
    assert.ok(reason.length < 100, reason);
  });
});

describe('the limits of a call', () => {
  for (const text of ['0', '-1', 'Infinity', 'NaN', '1e3', '$1'])
    it(`cannot be ${text}`, () => {
      const problems = problemsOf({ MAX_COST_PER_CALL: text, MAX_TOKENS_PER_CALL: text });
      assert.equal(problems.length, 2, problems.join('\n'));
    });
});
