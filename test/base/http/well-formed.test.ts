import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { countHeaders } from '../../../src/base/http/well-formed.ts';

describe('countHeaders', () => {
  const counts: readonly (readonly [what: string, rawHeaders: readonly string[], count: number])[] =
    [
      ['none', ['Accept', 'host'], 0],
      ['one', ['Host', 'x'], 1],
      ['two, in upper or lower case', ['HOST', 'x', 'accept', '*', 'hOsT', 'x'], 2],
      ['no value that reads like the name', ['Accept', 'host', 'Origin', 'host'], 0],
      ['no name that begins like the right one', ['Host-Id', 'x', 'Hos', 'x'], 0],
      ['no other name of the same length', ['Date', 'x', 'Host', 'x'], 1],
      ['the last header as well', ['a', '1', 'b', '2', 'host', 'x'], 1],
    ];
  for (const [what, rawHeaders, count] of counts) {
    it(`counts ${what}`, () => assert.equal(countHeaders(rawHeaders, 'host'), count));
  }
});
