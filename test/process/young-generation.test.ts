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

/**
 * MiB of a half of the young generation in a process that keeps all it makes. With `shrinks` V8
 * makes it small after that, and the process does the same again. Node tells of a collection in a
 * later round of the event loop.
 */
function youngMebibytesAfter(
  start: string,
  {
    shrinks = false,
    flags = [],
    environment = {},
  }: { shrinks?: boolean; flags?: readonly string[]; environment?: NodeJS.ProcessEnv } = {},
): number {
  const script = `
    import { getHeapSnapshot, getHeapSpaceStatistics } from 'node:v8';
    import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
    ${code}
    ${start}
    const kept = [];
    async function load() {
      const sizes = [];
      for (let round = 0; round < 100; round += 1) {
        for (let n = 0; n < 10_000; n += 1) kept.push({ n });
        await nextRound();
        const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
        sizes.push((young.space_used_size + young.space_available_size) / 1_048_576);
      }
      return Math.min(...sizes.slice(-20)); // for a moment V8 may show more
    }
    let mebibytes = await load();
    if (${shrinks}) {
      kept.length = 0;
      getHeapSnapshot().destroy(); // makes it small, like a long pause
      await sleep(1_100); // until that is noticed
      mebibytes = await load();
    }
    console.log(mebibytes);
  `;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...flags, '--input-type=module', '--eval', script],
    { encoding: 'utf8', env: environment },
  );
  assert.equal(status, 0, stderr);
  return Number(stdout);
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

describe('boundYoungGeneration', () => {
  const BOUND = 'await boundYoungGeneration();';

  it('keeps the young generation from growing to its maximum', () => {
    const unbounded = youngMebibytesAfter('');
    assert.ok(unbounded > 15, `otherwise it grows, but has ${unbounded} MiB`);
    const bounded = youngMebibytesAfter(BOUND);
    assert.ok(bounded > 3, `it may grow to 4 MiB, but has ${bounded}`);
    assert.ok(bounded <= 8, `it has ${bounded} MiB`);
  });

  it('lets it grow again when V8 has made it smaller', () => {
    const size = youngMebibytesAfter(BOUND, { shrinks: true });
    assert.ok(size > 3, `it has ${size} MiB`);
    assert.ok(size <= 8, `it has ${size} MiB`);
  });

  for (const [where, flags, environment] of [
    ['on the command line', ['--max-semi-space-size=16'], {}],
    ['in NODE_OPTIONS', [], { NODE_OPTIONS: '--max-semi-space-size=16' }],
    ['in NODE_OPTIONS, in quotes', [], { NODE_OPTIONS: '"--max-semi-space-size=16"' }],
  ] as const) {
    it(`leaves its size to whoever has given a flag for it ${where}`, () => {
      const size = youngMebibytesAfter(BOUND, { flags, environment });
      assert.ok(size > 15, `it has ${size} MiB`);
    });
  }
});
