import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import * as esbuild from 'esbuild';

import { packageFile } from '../../src/base/package-files.ts';
import { version } from '../../src/base/version.ts';

const ROOT = join(import.meta.dirname, '../..');
const SOURCE = join(ROOT, 'src/base/package-files.ts');
const folder = mkdtempSync(join(tmpdir(), 'package-files-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the module says from its place in a bundle. */
function saidBy(place: string, format: 'esm' | 'cjs'): unknown {
  const file = join(folder, place, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs');
  esbuild.buildSync({
    stdin: {
      contents: `import { packageRoot, packageFile } from ${JSON.stringify(SOURCE)};
        let failure = '';
        try { packageFile('assets/x'); } catch (error) { failure = error.message; }
        console.log(JSON.stringify([packageRoot() === undefined, failure]));`,
      resolveDir: ROOT,
    },
    bundle: true,
    platform: 'node',
    format,
    outfile: file,
    logLevel: 'error',
  });
  return JSON.parse(execFileSync(process.execPath, [file], { encoding: 'utf8' }));
}

const REFUSED =
  'assets/x of layercode-microserver is not in this bundle: ' +
  'tell your bundler that layercode-microserver is external';

describe('packageFile', () => {
  it('names files of the package', () => {
    assert.ok(existsSync(packageFile('assets/playground/index.html')));
  });

  it("does not mistake somebody else's package for its own, in a bundle", () => {
    mkdirSync(join(folder, 'app/dist/chunks'), { recursive: true });
    writeFileSync(join(folder, 'app/package.json'), '{"name":"my-app","version":"9.9.9"}');
    assert.deepEqual(saidBy('app/dist/chunks', 'esm'), [true, REFUSED]);
  });

  it('needs no package.json above it, in a CommonJS bundle', () =>
    assert.deepEqual(saidBy('alone/a/b', 'cjs'), [true, REFUSED]));
});

describe('version', () => {
  it('is that of package.json', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly version: string;
    };
    assert.equal(version, manifest.version);
  });
});
