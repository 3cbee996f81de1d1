import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DEFECTS = 'test/kit/eval/defects';

/** What `npm run eval:defects` breaks on purpose. Playing it here would take too long. */
describe('a defect for the scenarios', () => {
  for (const name of readdirSync(`${ROOT}${DEFECTS}`).filter((file) => file.endsWith('.patch'))) {
    it(`can still be made in the sources: ${name}`, () => {
      const argv = ['apply', '--check', '--recount', '--whitespace=nowarn', `${DEFECTS}/${name}`];
      const { status, stderr } = spawnSync('git', argv, { cwd: ROOT, encoding: 'utf8' });
      assert.equal(stderr, '');
      assert.equal(status, 0);
    });
  }
});
