import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs, {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import {
  openDevelopmentSecret,
  readDevelopmentSecret,
} from '../../src/process/development-secret.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const root = mkdtempSync(join(tmpdir(), 'development-secret-'));
const isRoot = process.geteuid?.() === 0;
const planted = `whsec_${'A'.repeat(43)}`;
let directory = '';
let folder = '';
let file = '';
let count = 0;

/** Call it in a `describe`, for each of its tests. */
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

  it('keeps the secret from one start to the next, and makes another one elsewhere', () => {
    const { secret } = openDevelopmentSecret(directory);
    assert.deepEqual(openDevelopmentSecret(directory), { secret, file, isNew: false });
    const elsewhere = join(directory, 'elsewhere');
    mkdirSync(elsewhere);
    assert.notEqual(openDevelopmentSecret(elsewhere).secret, secret);
  });

  it('trusts a stored file of mode 0600 and of 0400', () => {
    for (const mode of [0o600, 0o400]) {
      rmSync(folder, { recursive: true, force: true });
      plant(`${planted}\n`, mode);
      assert.deepEqual(openDevelopmentSecret(directory), { secret: planted, file, isNew: false });
    }
  });

  it('replaces a file that others may read or write', () => {
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o700]) {
      rmSync(folder, { recursive: true, force: true });
      plant(planted, mode);
      const { secret, isNew } = openDevelopmentSecret(directory);
      assert.ok(isNew && secret !== planted, mode.toString(8));
      assert.equal(modeOf(file), 0o600);
      assert.equal(readDevelopmentSecret(directory), secret);
    }
  });

  it('replaces what cannot be a secret of ours', () => {
    for (const content of [
      '',
      'hello',
      `${planted}x`,
      planted.slice(0, -1),
      `${planted}\n${planted}`,
      'x'.repeat(5000),
    ]) {
      rmSync(folder, { recursive: true, force: true });
      plant(content);
      const { secret, isNew } = openDevelopmentSecret(directory);
      assert.ok(isNew);
      assert.equal(readFileSync(file, 'utf8'), `${secret}\n`);
    }
  });

  it('replaces a link and leaves what it pointed to alone', () => {
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

  it('does not follow a link in the place of the folder', () => {
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
    assert.deepEqual(
      readdirSync(folder).sort(),
      ['.gitignore', 'webhook-secret'],
      'no draft is left behind',
    );
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

  it(
    'does not trust a file or a folder of another user',
    { skip: !isRoot && 'needs root to give a file away' },
    () => {
      plant(planted);
      chownSync(file, 65_534, 65_534);
      assert.equal(readDevelopmentSecret(directory), undefined);
      assert.notEqual(openDevelopmentSecret(directory).secret, planted);
      chownSync(folder, 65_534, 65_534);
      assert.equal(readDevelopmentSecret(directory), undefined);
      assert.equal(openDevelopmentSecret(directory).file, undefined);
    },
  );

  it(
    'carries on in a directory that this user may not write to',
    { skip: !isRoot && 'needs root to become somebody else' },
    () => {
      chmodSync(root, 0o755);
      chmodSync(directory, 0o755);
      process.seteuid?.(65_534);
      try {
        assert.equal(openDevelopmentSecret(directory).file, undefined);
      } finally {
        process.seteuid?.(0);
      }
      assert.deepEqual(readdirSync(directory), []);
    },
  );

  it('gives several processes that start at once the same secret', async () => {
    const module = new URL('../../src/process/development-secret.ts', import.meta.url).href;
    const script = `import { openDevelopmentSecret } from '${module}'; process.stdin.once('data', () => {
      console.log(openDevelopmentSecret(process.argv[1]).secret); process.exit(); }); console.log('waiting');`;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, [...TYPESCRIPT, '--input-type=module', '-e', script, directory], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    const outputs = children.map(() => '');
    await Promise.all(
      children.map(
        (child, index) =>
          new Promise<void>((resolve) => {
            child.stdout.on('data', (chunk) => {
              outputs[index] += String(chunk);
              resolve();
            });
          }),
      ),
    );
    const ended = children.map((child) => new Promise((resolve) => child.on('close', resolve)));
    for (const child of children) child.stdin.write('go\n');
    await Promise.all(ended);
    const stored = readDevelopmentSecret(directory);
    assert.deepEqual(
      outputs,
      children.map(() => `waiting\n${stored}\n`),
    );
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
