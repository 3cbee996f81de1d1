import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';

import { version } from '../../../src/base/version.ts';
import { packageSpec, projectName, writeProject } from '../../../src/kit/commands/init.ts';
import { EXIT, UsageError } from '../../../src/kit/terminal/command.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { failureOf } from '../terminal/recorded-terminal.ts';
import { FILES, manifestIn, read, run } from './init-project.ts';

/** What is directly in the project's directory. */
const ENTRIES = [...new Set(FILES.map((name) => name.replace(/\/.*/, '')))];

function refusal(directory: string, ...argv: string[]): Promise<string> {
  return failureOf(run(directory, ...argv));
}

describe('init', () => {
  it('makes a project in the named directory', async () => {
    const directory = newFolder();
    assert.equal((await run(directory, 'my-agent')).code, EXIT.OK);
    assert.deepEqual(readdirSync(join(directory, 'my-agent')).sort(), ENTRIES);
  });

  it('uses the working directory by default, and names the project after it', async () => {
    const directory = newFolder();
    mkdirSync(join(directory, 'Front Desk'));
    const { stdout } = await run(join(directory, 'Front Desk'));
    assert.doesNotMatch(stdout, /\bcd\b/);
    assert.equal(manifestIn(join(directory, 'Front Desk')).name, 'front-desk');
  });

  it('leaves other files in the directory alone', async () => {
    const directory = newFolder();
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await run(directory);
    assert.deepEqual(
      [readdirSync(directory).sort(), read(directory, 'notes.txt')],
      [['.git', ...ENTRIES, 'notes.txt'].sort(), 'mine'],
    );
  });

  it('accepts a directory with a leading dash after --', async () => {
    const directory = newFolder();
    const { stdout } = await run(directory, '--', '-agent');
    assert.match(stdout, /^ {2}cd \.\/-agent$/m);
  });

  it('says what was made, and which commands come next', async () => {
    const { stdout } = await run(newFolder(), 'my-agent');
    for (const name of FILES) {
      assert.match(stdout, new RegExp(`^  ${name.replaceAll('.', '\\.')} `, 'm'));
    }
    assert.match(stdout, /\n {2}cd my-agent\n {2}npm install\n {2}npm run dev .*\n {2}npm run talk/);
  });

  it('quotes the directory for a shell', async () => {
    const { stdout } = await run(newFolder(), 'my agent');
    assert.ok(stdout.includes("\n  cd 'my agent'\n"), stdout);
  });
});

describe('init refuses', () => {
  const wrong: readonly (readonly [what: string, argv: readonly string[], says: RegExp])[] = [
    [
      'a flag that it does not know',
      ['--force'],
      /--force is not a flag of init; it takes --package/,
    ],
    ['a second directory', ['one', 'two'], /one directory, but also got two/],
    ['a directory without a name', [''], /empty/],
    ['a directory with a line break in its name', ['a\nb'], /control characters/],
    ['a directory whose name gives no npm name', ['日本'], /'日本' yields no valid npm name/],
    ['the root of the file system', ['/'], /\/ yields no valid npm name/],
    [
      'a directory with the name of this package',
      ['layercode-microserver'],
      /cannot be called layercode-microserver/,
    ],
    ['a flag in place of the package', ['--package', '--force'], /--package needs a value/],
    [
      'a package that does not exist',
      ['--package', './none.tgz'],
      /--package: there is no \S+none\.tgz/,
    ],
    [
      'a package that is the project itself',
      ['--package', '.'],
      /must not be the project's own folder/,
    ],
    ['a package with an escape sequence in it', ['--package', '^1\u001b[2J'], /control characters/],
  ];
  for (const [what, argv, says] of wrong) {
    it(`${what}, and makes nothing`, async () => {
      const directory = newFolder();
      assert.match(await failureOf(run(directory, ...argv), UsageError), says);
      assert.deepEqual(readdirSync(directory), []);
    });
  }

  it('a directory that already has some of its files, and names them all', async () => {
    const directory = newFolder();
    for (const name of ['agent.ts', '.gitignore']) writeFileSync(join(directory, name), '');
    assert.match(await refusal(directory), /already has agent\.ts, \.gitignore/);
  });

  it('a dangling link in place of a file, and does not write through it', async () => {
    const directory = newFolder();
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'agent.ts'));
    assert.match(await refusal(directory), /already has agent\.ts/);
    assert.deepEqual(readdirSync(directory), ['agent.ts']);
  });

  it('a dangling link in place of the directory', async () => {
    const directory = newFolder();
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'my-agent'));
    assert.match(await refusal(directory, 'my-agent'), /my-agent'; nothing was left behind$/);
    assert.ok(lstatSync(join(directory, 'my-agent')).isSymbolicLink());
  });

  it('a file in place of the directory, and does not touch it', async () => {
    const directory = newFolder();
    writeFileSync(join(directory, 'my-agent'), 'mine');
    assert.match(
      await refusal(directory, 'my-agent'),
      /^the project cannot be created: ENOTDIR.*my-agent\/package\.json'; nothing was left behind$/,
    );
    assert.equal(read(directory, 'my-agent'), 'mine');
  });
});

describe('projectName', () => {
  const names: readonly (readonly [directory: string, name: string])[] = [
    ['my-agent', 'my-agent'],
    ['My Agent', 'my-agent'],
    ['Café & Bar!', 'cafe-bar'],
    ['Müller', 'muller'],
    ['._hidden', 'hidden'],
    ['agent.v2_b', 'agent.v2_b'],
    ['@scope', 'scope'],
    ['a~b', 'a-b'],
    ['２４h', '24h'],
    ['日本-desk', 'desk'],
    ['x'.repeat(255), 'x'.repeat(214)],
    [`${'x'.repeat(213)} y`, 'x'.repeat(213)],
  ];
  for (const [directory, name] of names) {
    it(`returns ${name.slice(0, 20)} for ${directory.slice(0, 20)}`, () =>
      assert.equal(projectName(`/somewhere/${directory}`), name));
  }

  const refused = ['typescript', 'tsx', 'Layercode Microserver', 'node_modules', 'favicon.ico'];
  for (const directory of refused) {
    it(`refuses ${directory}, for which npm install would fail`, () =>
      assert.throws(() => projectName(`/somewhere/${directory}`), UsageError));
  }
});

describe('packageSpec', () => {
  const spec = (fields: Partial<Parameters<typeof packageSpec>[0]>): string =>
    packageSpec({
      option: undefined,
      from: '/home/ada',
      directory: '/home/ada/my-agent',
      packageRoot: '/home/ada/clone/',
      ...fields,
    });

  const others = [
    'https://acme.example/fork-1.0.0.tgz',
    'git+ssh://git@acme.example/fork.git',
    'npm:@acme/fork@1',
    'github:acme/fork',
    'acme/fork',
  ];
  const CARET = `^${version}`;

  it('is this version if the package is installed globally', () => {
    assert.equal(spec({ packageRoot: '/usr/lib/node_modules/layercode-microserver/' }), CARET);
  });

  // It was this version in all these cases, even if no registry had that.
  for (const [installed, expected] of [
    ['file:../packed.tgz', 'file:../../packed.tgz'],
    ['../packed.tgz', 'file:../../packed.tgz'],
    ['file:/srv/packed.tgz', (directory: string) => `file:${relative(directory, '/srv/packed.tgz')}`],
    ...others.map((other) => [other, other] as const),
    ['^0.1.0', CARET],
    ['latest', CARET],
    ['>=0.1 <2', CARET],
    ['workspace:^', CARET],
  ] as const) {
    for (const field of ['dependencies', 'devDependencies']) {
      it(`follows from ${installed} in ${field} of the project that installed it`, () => {
        const root = join(newFolder(), 'tools');
        mkdirSync(root);
        const manifest = { [field]: { 'layercode-microserver': installed } };
        writeFileSync(join(root, 'package.json'), JSON.stringify(manifest));
        const directory = join(root, 'my-agent');
        for (const modules of ['node_modules', 'node_modules/.pnpm/x@1/node_modules']) {
          const packageRoot = join(root, modules, 'layercode-microserver/');
          assert.equal(
            spec({ packageRoot, directory }),
            typeof expected === 'string' ? expected : expected(directory),
          );
        }
      });
    }
  }

  it('is the path to the clone that it is run in', () => assert.equal(spec({}), 'file:../clone'));

  for (const folder of ['100% #1?', 'node_modules-old']) {
    it(`is the path to a clone in ${folder}, as npm reads it`, () =>
      assert.equal(spec({ packageRoot: `/home/ada/${folder}/clone/` }), `file:../${folder}/clone`));
  }

  for (const given of ['^1.2.3', '1.x', 'latest', ...others]) {
    it(`is ${given} if that is given`, () => assert.equal(spec({ option: given }), given));
  }

  for (const form of [
    'packed.tgz',
    './packed.tgz',
    'file:packed.tgz',
    'file:./packed.tgz',
    '../here/packed.tgz',
  ]) {
    it(`is the path from the project to ${form}`, () => {
      const from = join(newFolder(), 'here');
      mkdirSync(from);
      writeFileSync(join(from, 'packed.tgz'), '');
      assert.equal(
        spec({ option: form, from, directory: join(from, 'my-agent') }),
        'file:../packed.tgz',
      );
    });
  }

  it('is a relative path even if an absolute one is given', () => {
    const from = newFolder();
    writeFileSync(join(from, 'packed.tgz'), '');
    assert.equal(
      spec({ option: join(from, 'packed.tgz'), directory: join(from, 'a/b') }),
      'file:../../packed.tgz',
    );
  });

  it('is relative to where a linked directory really is, as it is for npm', async () => {
    const directory = newFolder();
    mkdirSync(join(directory, 'deep/er'), { recursive: true });
    symlinkSync(join(directory, 'deep/er'), join(directory, 'link'));
    writeFileSync(join(directory, 'packed.tgz'), '');
    await run(directory, 'link/my-agent', '--package', 'packed.tgz');
    assert.equal(
      manifestIn(join(directory, 'deep/er/my-agent')).dependencies['layercode-microserver'],
      'file:../../../packed.tgz',
    );
  });
});

describe('writeProject', () => {
  it('removes what it wrote, including directories, if it fails half-way', () => {
    const directory = newFolder();
    const files = new Map([['one.txt', '1'], ['one.txt/two.txt', '2']]);
    assert.throws(() => writeProject(join(directory, 'a/b'), files), {
      name: 'CommandError',
      message: /^the project cannot be created: ENOTDIR.*two\.txt'; nothing was left behind$/,
    });
    assert.deepEqual(readdirSync(directory), []);
  });

  it('does not overwrite a file that has appeared since it looked', () => {
    const directory = newFolder();
    const twice = new Map([['one.txt', '1'], ['./one.txt', '2']]);
    const thrown = { name: 'CommandError', message: /EEXIST/ };
    assert.throws(() => writeProject(directory, twice), thrown);
  });

  it('names what it could not remove', () => {
    const directory = join(newFolder(), 'my-agent');
    class Disturbed extends Map<string, string> {
      override *[Symbol.iterator](): MapIterator<[string, string]> {
        yield ['one.txt', '1'];
        writeFileSync(join(directory, 'stranger.txt'), 'not ours');
        yield ['one.txt/two.txt', '2'];
      }
    }
    const message = new RegExp(`; these could not be removed: ${directory}$`);
    const thrown = { name: 'CommandError', message };
    assert.throws(() => writeProject(directory, new Disturbed()), thrown);
    assert.deepEqual(readdirSync(directory), ['stranger.txt']);
  });
});
