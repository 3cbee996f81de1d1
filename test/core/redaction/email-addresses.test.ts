import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';

function found(text: string): (string | undefined)[] {
  return [...emailAddresses.find(text)].map(({ start, end, value }) => {
    assert.equal(text.slice(start, end).toLowerCase(), value);
    return value;
  });
}

describe('emailAddresses', () => {
  for (const [text, address] of [
    ['Write to ann.lee+shop@example.com, please.', 'ann.lee+shop@example.com'],
    ['<Ann@Example.COM>', 'ann@example.com'],
    ['"o\'brien@example.ie"', "o'brien@example.ie"],
    ['mailto:ann@example.com?subject=x', 'ann@example.com'],
    ['{"mail":"ann_lee@example.com"}', 'ann_lee@example.com'],
    ['jürgen@müller.de', 'jürgen@müller.de'],
    ['..ann@example.com...', 'ann@example.com'],
    ['a@b@example.com', 'b@example.com'],
  ] as const)
    it(`finds ${address} in ${text}`, () => assert.deepEqual(found(text), [address]));

  for (const text of ['ann@localhost', '@example.com', 'ann@', 'ann@1.2.3.4', 'at 5 @ home', ''])
    it(`finds nothing in "${text}"`, () => assert.deepEqual(found(text), []));
});
