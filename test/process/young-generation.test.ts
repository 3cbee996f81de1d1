import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { transformSync } from 'esbuild';

const MODULE = new URL('../../src/process/young-generation.ts', import.meta.url);
/** Without a loader, whose own objects would be counted. */
const { code } = transformSync(readFileSync(MODULE, 'utf8'), { loader: 'ts' });

/**
 * How often V8 counts the survivors of a line of code, in a process in which all objects of one
 * line survive.
 */
function countsAfter(start: string, ...flags: string[]): number {
  const script = `
    ${code}
    ${start}
    const kept = [];
    const make = (n) => ({ n });
    for (let n = 0; n < 1_000_000; n += 1) kept.push(make(n));
  `;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--trace-pretenuring-statistics', ...flags, '--input-type=module', '--eval', script],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return stdout.match(/pretenuring: AllocationSite/g)?.length ?? 0;
}

describe('allocateYoung', () => {
  it('keeps V8 from counting which objects survive', () => {
    assert.ok(countsAfter('') > 0, 'otherwise it counts');
    assert.equal(countsAfter('await allocateYoung();'), 0);
  });

  it('leaves that to whoever has started Node with a flag for it', () => {
    assert.ok(countsAfter('await allocateYoung();', '--allocation-site-pretenuring') > 0);
  });
});
