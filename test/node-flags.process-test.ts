// The effects of the flags with which `npm start`, the image and the systemd unit start Node.
// dockerfile.test.ts holds those places to each other.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ROOT } from './fixtures/source-files.ts';

const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
const { scripts } = JSON.parse(manifest) as { readonly scripts: { start: string } };
const FLAGS = scripts.start.split(' ').slice(1, -1);

/** What a script prints in a process with these flags. What it puts into `kept` survives. */
function run(script: string, flags: readonly string[]): string {
  const args = [...flags, '--input-type=module', '--eval', `const kept = []; ${script}`];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

describe('the flags of npm start', () => {
  it('keep V8 from counting which objects survive', () => {
    const script = 'const make = (n) => ({ n }); for (let n = 0; n < 1e6; n++) kept.push(make(n));';
    const counted = (flags: readonly string[]): number =>
      run(script, ['--trace-pretenuring-statistics', ...flags]).split('AllocationSite').length - 1;
    assert.ok(counted([]) > 0, 'it counts by default');
    assert.equal(counted(FLAGS), 0);
  });

  it('keep the young generation from growing to its default maximum', () => {
    const script = `import { getHeapSpaceStatistics } from 'node:v8';
      for (let n = 0; n < 1e6; n++) kept.push({ n });
      const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
      console.log(young.space_size / 2 ** 20);`; // of both halves
    // By default Node 26 allocates survivors elsewhere: compare with the other flags alone.
    const others = FLAGS.filter((flag) => !flag.startsWith('--max-semi-space-size'));
    const [bounded, unbounded] = [Number(run(script, FLAGS)), Number(run(script, others))];
    assert.ok(bounded < unbounded / 2, `${bounded} MiB, ${unbounded} without a maximum`);
  });
});
