import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HeardValues } from '../../../src/core/redaction/heard-part.ts';
import { processorMs } from '../../fixtures/processor-time.ts';

/** Where the part of a value at the end of a text starts. -1 if there is none. */
function startOfPart(text: string, value: string): number {
  return new HeardValues([['a', { kind: 'x', value }]]).partAtEnd(text)?.start ?? -1;
}

describe('HeardValues', () => {
  for (const [text, value, part] of [
    ['It is 4242 42', '4242424242424242', '4242 42'],
    ['It is 4-2-4-2-', '4242424242424242', '4-2-4-2-'],
    ['It is ٤٢٤٢ ٤٢', '4242424242424242', '٤٢٤٢ ٤٢'],
    ['It is 𝟒𝟐𝟒𝟐 𝟒', '4242424242424242', '𝟒𝟐𝟒𝟐 𝟒'],
    ['It is four two four two four', '4242424242424242', 'four two four two four'],
    ['Is it three seven eight two eig', '378282246310005', 'three seven eight two eig'],
    ['It is double four, double two thr', '4422344242424242', 'double four, double two thr'],
    ['1, 5105 10', '5105105105105100', '5105 10'],
    ['Write to ann@exa', 'ann@example.com', 'ann@exa'],
    ['Write to Ann@Exa ', 'ann@example.com', 'Ann@Exa '],
  ] as const)
    it(`finds the part of a value at the end of "${text}"`, () => {
      assert.equal(text.slice(startOfPart(text, value)), part);
    });

  for (const [text, value] of [
    ['It is 4242 4242 4242 4242', '4242424242424242'],
    ['Write to ann@example.com', 'ann@example.com'],
    ['It is 424', '4242424242424242'],
    ['It is 9999 99', '4242424242424242'],
    ['It is 4242, so', '4242424242424242'],
    ['4242 42 is it', '4242424242424242'],
    ['Call Joann', 'ann@example.com'],
    ['', 'ann@example.com'],
  ] as const)
    it(`finds no part at the end of "${text}"`, () => assert.equal(startOfPart(text, value), -1));

  it('takes time proportional to the length of the text', () => {
    const since = process.cpuUsage();
    const address = `${'a'.repeat(60_000)}@example.com`;
    for (const sign of ['a', 'a ', ' ', '4', '. '])
      assert.equal(startOfPart(`${sign.repeat(500_000)}!`, address), -1);
    assert.equal(startOfPart(' '.repeat(1_000_000), '4242424242424242'), -1);
    assert.ok(processorMs(since) < 500);
  });
});
