// npm run check: subjects of commits, because the history of the project is searched, too.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { ROOT } from '../fixtures/source-files.ts';

/** Earlier commits have subjects of other forms. */
const SINCE = '5993c5af30ff0baec37cb3fc441984cb701071cf';

/** `stores: waiting changes are made again` */
const SUBJECT = /^(?=.{1,72}$)[a-z][a-z-]*(?:, [a-z][a-z-]*)*: \S/;

/** Undefined without git, or without the history. */
function subjects(): readonly string[] | undefined {
  if (!existsSync(join(ROOT, '.git'))) return undefined;
  const log = ['log', '--no-merges', '--format=%s', `${SINCE}..HEAD`];
  try {
    const printed = execFileSync('git', log, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' });
    return printed.split('\n').filter(Boolean);
  } catch {
    return undefined; // a shallow clone
  }
}

describe('the subject of a commit', () => {
  it('names the area and what has changed, in 72 characters', (t) => {
    const all = subjects();
    if (all === undefined) return t.skip('there is no history here');
    assert.deepEqual(all.filter((subject) => !SUBJECT.test(subject)), []);
  });

  for (const [subject, isRight] of [
    ['stores: waiting changes are made again', true],
    ['kit, eval: a run that was cut may run again', true],
    ['What a last read of the change asked for', false],
    ['stores:waiting changes', false],
    [`stores: ${'x'.repeat(65)}`, false],
  ] as const)
    it(`${isRight ? 'may' : 'may not'} be "${subject.slice(0, 40)}"`, () =>
      assert.equal(SUBJECT.test(subject), isRight));
});
