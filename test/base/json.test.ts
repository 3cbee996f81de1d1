import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { jsonText } from '../../src/base/json.ts';

describe('jsonText', () => {
  it('writes every string as JSON.stringify does', () => {
    const texts = Array.from({ length: 0x180 }, (_, code) => `a${String.fromCharCode(code)}b`);
    for (const text of [
      ...texts,
      '',
      '"',
      '\\',
      '\u2028',
      '\ud83d',
      '👋🏽',
      'x'.repeat(256),
      'x'.repeat(257),
      `${'x'.repeat(256)}"`,
    ]) {
      assert.equal(jsonText(text), JSON.stringify(text));
    }
  });
});
