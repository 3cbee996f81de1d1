import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { nearestName } from '../../src/base/nearest-name.ts';
import { processorMs } from '../fixtures/processor-time.ts';

describe('nearestName', () => {
  for (const [what, wrong, meant] of [
    ['left out', 'PRT', 'PORT'],
    ['added', 'PORTT', 'PORT'],
    ['replaced', 'PURT', 'PORT'],
    ['exchanged with the next', 'PROT', 'PORT'],
    ['exchanged with the next, at the start', 'OPRT', 'PORT'],
    ['exchanged with the next, at the end', 'HOTS', 'HOST'],
  ] as const) {
    it(`counts a character that is ${what} as one edit`, () => {
      assert.equal(nearestName(wrong, ['HOST', 'PORT'], 1), meant);
      assert.equal(nearestName(wrong, ['HOST', 'PORT'], 0), undefined);
    });
  }

  it('counts each of several edits', () => {
    assert.equal(nearestName('DEFUALT_MDOEL', ['DEFAULT_MODEL'], 2), 'DEFAULT_MODEL');
    assert.equal(nearestName('DEFUALT_MDOEL', ['DEFAULT_MODEL'], 1), undefined);
    assert.equal(nearestName('kitten', ['sitting'], 3), 'sitting');
    assert.equal(nearestName('kitten', ['sitting'], 2), undefined);
  });

  it('finds the nearest of several names, and the first of those equally near', () => {
    assert.equal(nearestName('hosts', ['ports', 'hoists', 'host', 'boots'], 3), 'hoists');
    assert.equal(nearestName('port', ['sport', 'ports'], 1), 'sport');
  });

  it('finds nothing in an empty list', () => assert.equal(nearestName('port', [], 9), undefined));

  it('does not compare names whose lengths differ too much: the work is quadratic', () => {
    const begun = process.cpuUsage();
    assert.equal(nearestName('x'.repeat(100_000), ['x'.repeat(2_000)], 100), undefined);
    assert.ok(processorMs(begun) < 200);
  });
});
