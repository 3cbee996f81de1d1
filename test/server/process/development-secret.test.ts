import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync,
  statSync, symlinkSync, writeFileSync, type Stats,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';

import {
  openDevelopmentSecret, readDevelopmentSecret,
} from '../../../src/server/process/development-secret.ts';
import { TYPESCRIPT } from '../../fixtures/typescript.ts';

const root = mkdtempSync(join(tmpdir(), 'development-secret-'));
const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;
const planted = `whsec_${'A'.repeat(43)}`;
let directory = '';
let folder = '';
let file = '';
let count = 0;

/** Gives each test of a `describe` a folder of its own. */
function useFolder(): void {
  beforeEach(() => {
    directory = join(root, String(count++));
    folder = join(directory, '.layercode');
    file = join(folder, 'webhook-secret');
    mkdirSync(directory);
  });
}

after(() => rmSync(root, { recursive: true }));

function plant(content: string, mode = 0o600): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe('openDevelopmentSecret', () => {
  useFolder();

  it('makes a secret, readable by nobody else and hidden from git', () => {
    const made = openDevelopmentSecret(directory);
    assert.match(made.secret, /^whsec_[\w-]{43}$/);
    assert.deepEqual(made, { secret: made.secret, file, isNew: true });
    assert.equal(readFileSync(file, 'utf8'), `${made.secret}\n`);
    assert.deepEqual([modeOf(folder), modeOf(file)], [0o700, 0o600]);
    assert.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), '*\n');
    assert.deepEqual(readdirSync(folder).sort(), ['.gitignore', 'webhook-secret']);
  });

  it('keeps the secret from one start to the next, and makes another secret elsewhere', () => {
    const { secret } = openDevelopmentSecret(directory);
    assert.deepEqual(openDevelopmentSecret(directory), { secret, file, isNew: false });
    const elsewhere = join(directory, 'elsewhere');
    mkdirSync(elsewhere);
    assert.notEqual(openDevelopmentSecret(elsewhere).secret, secret);
  });

  for (const mode of [0o600, 0o400])
    it(`trusts a stored file of mode 0${mode.toString(8)}`, () => {
      plant(`${planted}\n`, mode);
      assert.deepEqual(openDevelopmentSecret(directory), { secret: planted, file, isNew: false });
    });

  const wrong = ['', 'hello', `${planted}x`, planted.slice(0, -1), `${planted}\n${planted}`,
    'x'.repeat(5_000)];
  for (const [what, content, mode] of [
    ...[0o640, 0o604, 0o620, 0o602, 0o700].map((mode) =>
      [`a file of mode 0${mode.toString(8)}, neither 0600 nor 0400`, planted, mode] as const),
    ...wrong.map((content) =>
      [`a file that holds ${JSON.stringify(content.slice(0, 60))}`, content, 0o600] as const),
  ])
    it(`replaces ${what}`, () => {
      plant(content, mode);
      const { secret, isNew } = openDevelopmentSecret(directory);
      assert.ok(isNew && secret !== planted);
      assert.equal(readFileSync(file, 'utf8'), `${secret}\n`);
      assert.equal(modeOf(file), 0o600);
      assert.equal(readDevelopmentSecret(directory), secret);
    });

  it('replaces a link, and leaves its target alone', () => {
    const target = join(directory, 'target');
    writeFileSync(target, planted, { mode: 0o600 });
    mkdirSync(folder, { mode: 0o700 });
    symlinkSync(target, file);
    assert.equal(readDevelopmentSecret(directory), undefined);
    const { secret } = openDevelopmentSecret(directory);
    assert.notEqual(secret, planted);
    assert.equal(readFileSync(target, 'utf8'), planted);
    assert.equal(readDevelopmentSecret(directory), secret);
  });

  it('does not follow a link in place of the folder', () => {
    const target = join(directory, 'target');
    mkdirSync(target, { mode: 0o700 });
    writeFileSync(join(target, 'webhook-secret'), planted, { mode: 0o600 });
    symlinkSync(target, folder);
    const { secret, file: stored, isNew } = openDevelopmentSecret(directory);
    assert.ok(isNew && secret !== planted);
    assert.equal(stored, undefined);
    assert.deepEqual(readdirSync(target), ['webhook-secret']);
  });

  it('closes a folder of ours that is open to others', () => {
    mkdirSync(folder);
    chmodSync(folder, 0o775);
    writeFileSync(join(folder, '.gitignore'), 'mine\n');
    assert.equal(openDevelopmentSecret(directory).file, file);
    assert.equal(modeOf(folder), 0o700);
    assert.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), 'mine\n');
  });

  it('carries on with a secret in memory if nothing can be stored', () => {
    const asFile = join(directory, 'file');
    writeFileSync(asFile, '');
    mkdirSync(file, { recursive: true });
    for (const unwritable of [asFile, join(directory, 'absent'), '/proc', directory]) {
      const { secret, file: stored, isNew } = openDevelopmentSecret(unwritable);
      assert.match(secret, /^whsec_[\w-]{43}$/);
      assert.deepEqual([stored, isNew], [undefined, true], unwritable);
    }
    const left = readdirSync(folder).sort();
    assert.deepEqual(left, ['.gitignore', 'webhook-secret'], 'no draft is left behind');
    assert.ok(!existsSync(join(directory, 'absent')));
  });

  it('carries on with a secret in memory on a file system without modes', (t) => {
    const { fstatSync } = fs;
    const asOnFat = (descriptor: number): Stats =>
      Object.assign(fstatSync(descriptor), { mode: 0o100_777 });
    t.mock.method(fs, 'fstatSync', asOnFat);
    syncBuiltinESMExports();
    try {
      const { secret, ...rest } = openDevelopmentSecret(directory);
      assert.match(secret, /^whsec_[\w-]{43}$/);
      assert.deepEqual(rest, { file: undefined, isNew: true });
    } finally {
      t.mock.restoreAll();
      syncBuiltinESMExports();
    }
  });

  const AS_ROOT = { skip: !isRoot && 'needs root to become somebody else' };
  it('does not trust a file or a folder that another user owns', AS_ROOT, () => {
    plant(planted);
    chownSync(file, NOBODY, NOBODY);
    assert.equal(readDevelopmentSecret(directory), undefined);
    assert.notEqual(openDevelopmentSecret(directory).secret, planted);
    chownSync(folder, NOBODY, NOBODY);
    assert.equal(readDevelopmentSecret(directory), undefined);
    assert.equal(openDevelopmentSecret(directory).file, undefined);
  });

  it('carries on in a directory that this user cannot write to', AS_ROOT, () => {
    for (const path of [root, directory]) chmodSync(path, 0o755);
    process.seteuid?.(NOBODY);
    try {
      assert.equal(openDevelopmentSecret(directory).file, undefined);
    } finally {
      process.seteuid?.(0);
    }
    assert.deepEqual(readdirSync(directory), []);
  });

  it('gives several processes that start at once the same secret', async () => {
    const module = new URL('../../../src/server/process/development-secret.ts', import.meta.url).href;
    const script = `import { openDevelopmentSecret } from '${module}';
      process.stdin.once('data', () => {
        console.log(openDevelopmentSecret(process.argv[1]).secret);
        process.exit();
      });
      console.log('waiting');`;
    const flags = [...TYPESCRIPT, '--input-type=module', '-e', script, directory];
    const children = Array.from({ length: 4 }, () => spawn(process.execPath, flags));
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    const answers = children.map(({ stdout }) => once(stdout, 'data'));
    for (const child of children) child.stdin.write('go\n');
    const secrets = new Set((await Promise.all(answers)).map(String));
    assert.deepEqual([...secrets], [`${readDevelopmentSecret(directory)}\n`]);
  });
});

describe('readDevelopmentSecret', () => {
  useFolder();

  it('finds what openDevelopmentSecret stored, and makes nothing itself', () => {
    assert.equal(readDevelopmentSecret(directory), undefined);
    assert.deepEqual(readdirSync(directory), []);
    const { secret } = openDevelopmentSecret(directory);
    assert.equal(readDevelopmentSecret(directory), secret);
  });

  it('does not trust a file in a folder that others may write to', () => {
    plant(planted);
    assert.equal(readDevelopmentSecret(directory), planted);
    chmodSync(folder, 0o770);
    assert.equal(readDevelopmentSecret(directory), undefined);
  });
});
