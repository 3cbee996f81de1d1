// How many files a message crosses: what the script prints, and the page that names the figure.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';

import { ROOT } from './fixtures/source-files.ts';

/** A change that lengthens the way says why, and raises this and the page. */
const MOST_FILES = 61;

it('crosses as many files as docs/decisions/017 says, and no more than before', () => {
  const script = ['--import', './scripts/typescript/register.mjs', 'scripts/echo-path.ts'];
  const printed = execFileSync(process.execPath, script, { cwd: ROOT, encoding: 'utf8' });
  const [, files] = /^(\d+) files$/m.exec(printed) ?? [];
  const page = readFileSync(join(ROOT, 'docs/decisions/017-read-by-strangers.md'), 'utf8');
  assert.equal(/one echoed message: (\d+)\./.exec(page)?.[1], files);
  assert.ok(Number(files) <= MOST_FILES, printed);
});
