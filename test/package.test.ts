// What the package hands out, and what package.json says about it.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { filesBelow, ROOT } from './fixtures/source-files.ts';

const SRC = join(ROOT, 'src');

interface Package {
  readonly type: string;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
}

describe('the package', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Package;

  it('has no dependencies, and runs nothing when it is installed', () => {
    const dependencies = [
      'dependencies', 'optionalDependencies', 'bundleDependencies', 'bundledDependencies',
    ];
    assert.deepEqual(dependencies.filter((field) => field in manifest), []);
    const scripts = ['preinstall', 'install', 'postinstall'];
    assert.deepEqual(scripts.filter((name) => name in manifest.scripts), []);
  });

  it('has no development dependencies besides the allowed ones', () => {
    const allowed = ['@types/node', 'esbuild', 'redis', 'tsx', 'typescript'];
    assert.deepEqual(
      Object.keys(manifest.devDependencies).filter((name) => !allowed.includes(name)),
      [],
    );
  });

  it('has no test file that CI does not run', () => {
    const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8');
    const kinds = readFileSync(join(ROOT, 'scripts/test.mjs'), 'utf8')
      .matchAll(/^ {2}(\w+): \{ ending: '([^']+)'/gm);
    const endings = [...kinds]
      .filter(([, kind]) => new RegExp(`^ *(?:.* )?tests "\\$\\w+" ${kind}\\b`, 'm').test(ci))
      .map(([, , ending = '']) => ending);
    const tests = filesBelow('test').filter((path) => path.endsWith('test.ts'));
    assert.ok(tests.length > 200);
    const forgotten = tests.filter((path) => !endings.some((ending) => path.endsWith(ending)));
    assert.deepEqual(forgotten, []);
  });

  it('requires the Node version that CONTRIBUTING.md names', () =>
    assert.equal(manifest.engines.node, '>=20.19'));

  it('points only to files that the build makes', () => {
    const targets = [
      ...Object.values(manifest.bin),
      ...Object.values(manifest.exports).flatMap((target) =>
        typeof target === 'string' ? target : Object.values(target),
      ),
    ];
    const sources = targets
      .filter((target) => target.includes('dist/'))
      .map((target) => target.replace(/^(\.\/)?dist\//, '').replace(/(\.d\.ts|\.js)$/, '.ts'));
    assert.deepEqual(
      sources.filter((source) => !existsSync(join(SRC, source))),
      [],
    );
  });
});

/** What a door hands out without a docstring at its declaration, as `file: name`. */
function withoutDocstring(door: string): string[] {
  const exported = readFileSync(join(SRC, door), 'utf8')
    .matchAll(/^export (?:type )?\{([^}]+)\} from '([^']+)'/gm);
  return [...exported].flatMap(([, names = '', file = '']) => {
    const source = readFileSync(join(SRC, file), 'utf8');
    const isBare = (name: string): boolean => {
      const kind = '(?:const|(?:async )?function|class|interface|type)';
      const declared = new RegExp(`(\\*/\\n)?^export ${kind} ${name}\\b`, 'm').exec(source);
      return declared !== null && declared[1] === undefined;
    };
    return names.split(',').map((name) => name.trim().replace(/ as .*$/, ''))
      .filter((name) => name !== '' && isBare(name)).map((name) => `${file}: ${name}`);
  });
}

describe('an entry point of the package', () => {
  for (const door of ['index.ts', 'testing.ts', 'platform.ts']) {
    it(`exports something, and nothing without a docstring: ${door}`, async () => {
      const exported = (await import(join(SRC, door))) as object;
      assert.ok(Object.keys(exported).length > 0);
      assert.deepEqual(withoutDocstring(door), []);
    });
  }
});
