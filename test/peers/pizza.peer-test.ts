// examples/pizza.ts on the real Zod. Needs `npm ci` in this folder.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { typeErrors, writeProject } from '../fixtures/pages.ts';
import { ROOT } from '../fixtures/source-files.ts';

const files = ['pizza.ts', 'pizza.test.ts'].map(
  (name) => [name, readFileSync(join(ROOT, 'examples', name), 'utf8')] as const,
);
const project = writeProject(new Map(files), { withPeers: true });

describe('examples/pizza.ts', () => {
  it('type-checks', () => assert.equal(typeErrors(project), ''));

  it('has only one cast, which gives the empty cart its type', () => {
    const casts = files.flatMap(([, text]) => text.match(/\bas [A-Z{]\w*(?:\[\])?|: any\b/g) ?? []);
    assert.deepEqual(casts, ['as Record']);
  });

  it('passes its tests', () => {
    const { NODE_TEST_CONTEXT: _outer, ...environment } = process.env;
    const argv = ['--import', import.meta.resolve('tsx'), '--test', 'pizza.test.ts'];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
      cwd: project,
      encoding: 'utf8',
      env: { ...environment, TSX_TSCONFIG_PATH: join(project, 'tsconfig.json') },
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /pass 6/);
  });
});
