import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { createApp, parseSettings, type App } from 'layercode-microserver';

import { CommandError, EXIT, UsageError } from '../../../src/cli/terminal/command.ts';
import { evalCommand } from '../../../src/cli/commands/eval.ts';
import { init, packageSpec, projectName, writeProject } from '../../../src/cli/commands/init.ts';
import { loadSettings } from '../../../src/settings/load-settings.ts';
import { settingRows } from '../../../src/settings/table.ts';
import { version } from '../../../src/base/version.ts';
import template from '../../../assets/templates/agent.ts';
import { ROOT } from '../../fixtures/pages.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

import '../../../assets/templates/agent.test.ts'; // a project's tests are tests of this file

const FILES = [
  '.dockerignore',
  '.env.example',
  '.gitignore',
  'Dockerfile',
  'README.md',
  'agent.test.ts',
  'agent.ts',
  'evals/hours.txt',
  'evals/order.txt',
  'evals/trouble.txt',
  'package.json',
  'tsconfig.json',
];

/** What lies in the project's directory itself. */
const ENTRIES = [...new Set(FILES.map((name) => name.replace(/\/.*/, '')))];

interface Manifest {
  readonly name: string;
  readonly private: boolean;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const ours = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as Manifest;

/** A folder of its own, gone after the test. */
function folder(t: TestContext): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'init-')));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
}

async function run(directory: string, ...argv: string[]): Promise<Outcome> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const code = await init.run(argv, {
    stdin,
    stdout,
    stderr,
    environment: {},
    directory,
    interrupted: new AbortController().signal,
  });
  return { code, stdout: String(stdout.read() ?? '') };
}

async function refusal(directory: string, ...argv: string[]): Promise<Error> {
  const error = await run(directory, ...argv).catch((reason: unknown) => reason);
  assert.ok(error instanceof Error, 'it was not refused');
  assert.doesNotMatch(error.message, /\n/);
  return error;
}

function read(directory: string, name: string): string {
  return readFileSync(join(directory, name), 'utf8');
}

function manifestIn(directory: string): Manifest {
  return JSON.parse(read(directory, 'package.json')) as Manifest;
}

describe('init', () => {
  it('makes a project in the directory that is named', async (t) => {
    const directory = folder(t);
    assert.equal((await run(directory, 'my-agent')).code, EXIT.OK);
    assert.deepEqual(readdirSync(join(directory, 'my-agent')).sort(), ENTRIES);
  });

  it('makes it in the working directory by default, named after that', async (t) => {
    const directory = folder(t);
    mkdirSync(join(directory, 'Front Desk'));
    await run(join(directory, 'Front Desk'));
    assert.equal(manifestIn(join(directory, 'Front Desk')).name, 'front-desk');
  });

  it('makes the directories above it too', async (t) => {
    const directory = folder(t);
    await run(directory, 'a/b/my-agent');
    assert.deepEqual(readdirSync(join(directory, 'a/b/my-agent')).sort(), ENTRIES);
  });

  it('leaves other files of the directory alone', async (t) => {
    const directory = folder(t);
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await run(directory);
    assert.deepEqual(
      [readdirSync(directory).sort(), read(directory, 'notes.txt')],
      [['.git', ...ENTRIES, 'notes.txt'].sort(), 'mine'],
    );
  });

  it('takes a directory that begins with a dash behind --', async (t) => {
    const directory = folder(t);
    const { stdout } = await run(directory, '--', '-agent');
    assert.match(stdout, /^ {2}cd \.\/-agent$/m);
  });

  it('says what was made, and the commands to go on with', async (t) => {
    const { stdout } = await run(folder(t), 'my-agent');
    for (const name of FILES) {
      assert.match(stdout, new RegExp(`^  ${name.replaceAll('.', '\\.')} `, 'm'));
    }
    assert.match(stdout, /\n {2}cd my-agent\n {2}npm install\n {2}npm run dev .*\n {2}npm run talk/);
  });

  it('sends nobody to the directory where they are', async (t) => {
    const directory = folder(t);
    assert.doesNotMatch((await run(directory)).stdout, /\bcd\b/);
  });

  for (const [target, quoted] of [
    ['my agent', "'my agent'"],
    ["it's", "'it'\\''s'"],
    ['$HOME-a', "'$HOME-a'"],
  ] as const) {
    it(`quotes ${target} for a shell`, async (t) => {
      const { stdout } = await run(folder(t), target);
      assert.ok(stdout.includes(`\n  cd ${quoted}\n`), stdout);
    });
  }

  it('has a help page of at most 100 columns, and a summary of at most 70 characters', () => {
    assert.ok(init.help.split('\n').every((line) => line.length <= 100));
    assert.match(init.help, /\n$/);
    assert.match(init.summary, /^.{1,69}\.$/);
  });
});

describe('what init refuses', () => {
  const wrong: readonly (readonly [what: string, argv: readonly string[], says: RegExp])[] = [
    [
      'a flag that it does not know',
      ['--force'],
      /--force is not a flag of init; it takes --package/,
    ],
    ['a letter that it does not know', ['-f', 'x'], /-f is not a flag/],
    ['a second directory', ['one', 'two'], /one directory, but also got two/],
    ['a directory of no name', [''], /empty/],
    ['a directory with a line break in it', ['a\nb'], /control characters/],
    ['a directory that gives no npm name', ['日本'], /'日本' gives no npm name/],
    ['the root of the file system', ['/'], /\/ gives no npm name/],
    [
      'a directory called as this package',
      ['layercode-microserver'],
      /cannot be called layercode-microserver/,
    ],
    ['a package without a value', ['--package'], /--package needs a value/],
    ['a package that is a flag', ['--package', '--force'], /--package needs a value/],
    ['a package of blanks', ['--package= '], /--package needs a value/],
    [
      'a package that is not there',
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
    it(`${what}, and makes nothing`, async (t) => {
      const directory = folder(t);
      const error = await refusal(directory, ...argv);
      assert.ok(error instanceof UsageError, error.stack);
      assert.match(error.message, says);
      assert.deepEqual(readdirSync(directory), []);
    });
  }

  for (const name of FILES) {
    it(`a directory with a ${name}, and writes nothing`, async (t) => {
      const directory = folder(t);
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), 'mine');
      const error = await refusal(directory);
      assert.ok(error instanceof CommandError, error.stack);
      assert.ok(error.message.includes(` already has ${name}; nothing was written`), error.message);
      const [entry = ''] = name.split('/');
      assert.deepEqual([readdirSync(directory), read(directory, name)], [[entry], 'mine']);
    });
  }

  it('a directory with several of its files, and names them all', async (t) => {
    const directory = folder(t);
    for (const name of ['agent.ts', '.gitignore']) writeFileSync(join(directory, name), '');
    assert.match((await refusal(directory)).message, /already has agent\.ts, \.gitignore/);
  });

  it('a link that leads nowhere in the place of a file, and does not write through it', async (t) => {
    const directory = folder(t);
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'agent.ts'));
    assert.match((await refusal(directory)).message, /already has agent\.ts/);
    assert.deepEqual(readdirSync(directory), ['agent.ts']);
  });

  it('a link that leads nowhere in the place of the directory', async (t) => {
    const directory = folder(t);
    symlinkSync(join(directory, 'elsewhere'), join(directory, 'my-agent'));
    const error = await refusal(directory, 'my-agent');
    assert.ok(error instanceof CommandError, error.stack);
    assert.match(error.message, /my-agent'; nothing was left behind$/);
    assert.ok(lstatSync(join(directory, 'my-agent')).isSymbolicLink());
  });

  it('a file in the place of the directory, and leaves it', async (t) => {
    const directory = folder(t);
    writeFileSync(join(directory, 'my-agent'), 'mine');
    const error = await refusal(directory, 'my-agent');
    assert.ok(error instanceof CommandError, error.stack);
    assert.match(
      error.message,
      /^the project cannot be created: ENOTDIR.*my-agent\/package\.json'; nothing was left behind$/,
    );
    assert.equal(read(directory, 'my-agent'), 'mine');
  });

  it(
    'a directory where this user may not write',
    { skip: process.geteuid?.() === 0 && 'root may write everywhere' },
    async (t) => {
      const directory = folder(t);
      mkdirSync(join(directory, 'locked'), { mode: 0o555 });
      assert.match(
        (await refusal(directory, 'locked/my-agent')).message,
        /^the project cannot be created: EACCES.*locked\/my-agent'; nothing was left behind$/,
      );
    },
  );
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
    it(`of ${directory.slice(0, 20)} is ${name.slice(0, 20)}`, () =>
      assert.equal(projectName(`/somewhere/${directory}`), name));
  }

  const refused = ['typescript', 'tsx', 'Layercode Microserver', 'node_modules', 'favicon.ico'];
  for (const directory of refused) {
    it(`refuses ${directory}, which npm does not install`, () =>
      assert.throws(() => projectName(`/somewhere/${directory}`), UsageError));
  }
});

describe('packageSpec', () => {
  const spec = (fields: Partial<Parameters<typeof packageSpec>[0]>): string =>
    packageSpec({
      given: undefined,
      from: '/home/ada',
      directory: '/home/ada/my-agent',
      packageRoot: '/home/ada/clone/',
      ...fields,
    });

  it('is this version where the package was installed', () => {
    assert.equal(
      spec({ packageRoot: '/home/ada/.npm/_npx/1f2e/node_modules/layercode-microserver/' }),
      `^${version}`,
    );
  });

  it('is the way to the clone where it is one', () => assert.equal(spec({}), 'file:../clone'));

  it('takes a folder called node_modules-old for no installation', () => {
    assert.equal(
      spec({ packageRoot: '/home/ada/node_modules-old/clone/' }),
      'file:../node_modules-old/clone',
    );
  });

  it('leaves a path as it is, as npm does', () =>
    assert.equal(spec({ packageRoot: '/home/ada/100% #1?/clone/' }), 'file:../100% #1?/clone'));

  const others = [
    'https://acme.example/fork-1.0.0.tgz',
    'git+ssh://git@acme.example/fork.git',
    'npm:@acme/fork@1',
    'github:acme/fork',
    'acme/fork',
  ];
  for (const given of ['^1.2.3', '1.x', 'latest', ...others]) {
    it(`is ${given} as it was given`, () => assert.equal(spec({ given }), given));
  }

  for (const form of [
    'packed.tgz',
    './packed.tgz',
    'file:packed.tgz',
    'file:./packed.tgz',
    '../here/packed.tgz',
  ]) {
    it(`is the way from the project to ${form}`, (t) => {
      const from = join(folder(t), 'here');
      mkdirSync(from);
      writeFileSync(join(from, 'packed.tgz'), '');
      assert.equal(
        spec({ given: form, from, directory: join(from, 'my-agent') }),
        'file:../packed.tgz',
      );
    });
  }

  it('is the way to a path that was given from the root on', (t) => {
    const from = folder(t);
    writeFileSync(join(from, 'packed.tgz'), '');
    assert.equal(
      spec({ given: join(from, 'packed.tgz'), directory: join(from, 'a/b') }),
      'file:../../packed.tgz',
    );
  });

  it('is the way to a folder', (t) => {
    const from = folder(t);
    mkdirSync(join(from, 'fork'));
    assert.equal(
      spec({ given: './fork', from, directory: join(from, 'my-agent') }),
      'file:../fork',
    );
  });

  it('starts from where a linked directory really is, as npm does', async (t) => {
    const directory = folder(t);
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
  it('removes what it wrote when it fails half-way, directories too', (t) => {
    const directory = folder(t);
    assert.throws(
      () =>
        writeProject(
          join(directory, 'a/b'),
          new Map([
            ['one.txt', '1'],
            ['one.txt/two.txt', '2'],
          ]),
        ),
      (error) =>
        error instanceof CommandError &&
        /^the project cannot be created: ENOTDIR.*two\.txt'; nothing was left behind$/.test(
          error.message,
        ),
    );
    assert.deepEqual(readdirSync(directory), []);
  });

  it('keeps a directory that was there', (t) => {
    const directory = folder(t);
    assert.throws(
      () =>
        writeProject(
          directory,
          new Map([
            ['one.txt', '1'],
            ['one.txt/two.txt', '2'],
          ]),
        ),
      CommandError,
    );
    assert.deepEqual(readdirSync(directory), []);
  });

  it('writes over no file that has come since it looked', (t) => {
    const directory = folder(t);
    const twice = new Map([
      ['one.txt', '1'],
      ['./one.txt', '2'],
    ]);
    assert.throws(
      () => writeProject(directory, twice),
      (error) => error instanceof CommandError && error.message.includes('EEXIST'),
    );
  });

  it('names what it could not remove again', (t) => {
    const directory = join(folder(t), 'my-agent');
    class Disturbed extends Map<string, string> {
      override *[Symbol.iterator](): MapIterator<[string, string]> {
        yield ['one.txt', '1'];
        writeFileSync(join(directory, 'stranger.txt'), 'not ours');
        yield ['one.txt/two.txt', '2'];
      }
    }
    assert.throws(
      () => writeProject(directory, new Disturbed()),
      (error) =>
        error instanceof CommandError &&
        error.message.endsWith(`; these could not be removed: ${directory}`),
    );
    assert.deepEqual(readdirSync(directory), ['stranger.txt']);
  });
});

describe('a project', () => {
  async function made(t: TestContext, ...argv: string[]): Promise<string> {
    const directory = join(folder(t), 'my-agent');
    await run(join(directory, '..'), 'my-agent', ...argv);
    return directory;
  }

  it('depends on this package and nothing else', async (t) => {
    const directory = await made(t, '--package', '^1.2.3');
    assert.deepEqual(manifestIn(directory).dependencies, { 'layercode-microserver': '^1.2.3' });
  });

  it('is built with what this package is built with', async (t) => {
    const { tsx, typescript, '@types/node': types } = ours.devDependencies;
    assert.deepEqual(manifestIn(await made(t)).devDependencies, {
      '@types/node': `^${types}`,
      tsx: `^${tsx}`,
      typescript: `^${typescript}`,
    });
  });

  it('is private, and runs on the Nodes that this package runs on', async (t) => {
    const { private: isPrivate, engines } = JSON.parse(read(await made(t), 'package.json')) as {
      private: boolean;
      engines: unknown;
    };
    assert.deepEqual([isPrivate, engines], [true, { node: '>=20.12' }]);
  });

  it('builds before it starts and before its tests', async (t) => {
    const { scripts } = manifestIn(await made(t));
    assert.deepEqual(
      [scripts['prestart'], scripts['pretest'], scripts['build']],
      ['npm run --silent build', 'npm run --silent build', 'tsc'],
    );
  });

  it('has scenarios that pass without a key, and tests with a time limit', async (t) => {
    const directory = await made(t);
    const { scripts } = manifestIn(directory);
    assert.match(scripts['test'] ?? '', /--test-timeout=\d+/);
    assert.match(scripts['eval'] ?? '', / eval --agent \.\/dist\/agent\.js$/);
    const terminal = new RecordedTerminal({}, directory);
    const agent = join(ROOT, 'assets/templates/agent.ts');
    assert.equal(await evalCommand.run(['--agent', agent], terminal), 0, terminal.out);
  });

  it('has an agent of at most 90 lines', async (t) => {
    assert.ok(
      read(await made(t), 'agent.ts')
        .trimEnd()
        .split('\n').length <= 90,
    );
  });

  it('has its name at the head of its README, and no placeholder left', async (t) => {
    const directory = await made(t);
    assert.match(read(directory, 'README.md'), /^# my-agent\n/);
    for (const name of FILES) {
      assert.doesNotMatch(read(directory, name), /\{\{/, name);
    }
  });

  it('has a tsconfig.json of JSON', async (t) => {
    const { compilerOptions } = JSON.parse(read(await made(t), 'tsconfig.json')) as {
      compilerOptions: { outDir: string; strict: boolean };
    };
    assert.deepEqual([compilerOptions.outDir, compilerOptions.strict], ['dist', true]);
  });

  it('keeps secrets, calls and what is made out of git and of images', async (t) => {
    const directory = await made(t);
    assert.deepEqual(read(directory, '.gitignore').trimEnd().split('\n'), [
      'node_modules/',
      'dist/',
      '.env',
      '.layercode/',
      '*.db',
      '*.db-shm',
      '*.db-wal',
      'calls-*.jsonl',
    ]);
    // everything, but what is named
    assert.match(read(directory, '.dockerignore'), /^#.*\n\*\n(!.*\n)+$/);
    assert.doesNotMatch(read(directory, '.dockerignore'), /env|layercode/);
  });
});

describe("a project's .env.example", () => {
  const text = readFileSync(
    new URL('../../../assets/templates/env.example', import.meta.url),
    'utf8',
  );
  const assignments = [...text.matchAll(/^# ([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
    ([, variable = '', value = '']): [string, string] => [variable, value],
  );

  it('names variables that are settings, and none twice', () => {
    const known = settingRows.map(({ variable }) => variable);
    const names = assignments.map(([variable]) => variable);
    assert.deepEqual(
      names.filter((name) => !known.includes(name)),
      [],
    );
    assert.deepEqual([names.length > 5, new Set(names).size], [true, names.length]);
  });

  it('shows values that are right', () => {
    assert.doesNotThrow(() => parseSettings(Object.fromEntries(assignments), []));
  });

  it('changes nothing as it is', (t) => {
    const directory = folder(t);
    writeFileSync(join(directory, '.env'), text);
    assert.deepEqual(loadSettings({ directory, environment: {}, argv: [] }), parseSettings({}, []));
  });
});

describe("a project's Dockerfile", () => {
  const text = readFileSync(
    new URL('../../../assets/templates/Dockerfile', import.meta.url),
    'utf8',
  );
  const runtime = text
    .slice(text.lastIndexOf('\nFROM '))
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const of = (keyword: string): string[] =>
    runtime
      .filter((line) => line.startsWith(`${keyword} `))
      .map((line) => line.slice(keyword.length + 1));

  it('has two stages on the slim image', () =>
    assert.deepEqual(text.match(/^FROM .*$/gm), [
      'FROM node:26-slim AS build',
      'FROM node:26-slim',
    ]));

  it('runs as node, in production, without what only the build needs', () => {
    assert.deepEqual([of('USER'), of('ENV')], [['node'], ['NODE_ENV=production']]);
    assert.match(text, /npm prune --omit=dev/);
  });

  it('has node for process 1, and runs the agent that the build makes', () => {
    assert.deepEqual(JSON.parse(of('ENTRYPOINT')[0] ?? ''), [
      'node',
      'node_modules/layercode-microserver/dist/cli.js',
      'run',
      '--agent',
      './dist/agent.js',
    ]);
  });

  it('has a health check of node alone', () => {
    const [check = ''] = of('HEALTHCHECK');
    const [command] = JSON.parse(check.slice(check.indexOf('['))) as string[];
    assert.equal(command, 'node');
  });
});

describe("a project's agent", () => {
  function served(environment: Readonly<Record<string, string>> = {}): App {
    return createApp(
      parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'any-secret', ...environment }, []),
      template,
    );
  }

  it('needs no model without a key', () => assert.equal(served().model, undefined));

  it('speaks with a model as soon as it has a key', () => {
    assert.deepEqual(
      [
        served({ OPENAI_API_KEY: 'any-key' }).model?.name,
        served({ ANTHROPIC_API_KEY: 'any-key' }).model?.isUsable(),
      ],
      ['openai:gpt-6-luna', true],
    );
  });

  it('insists on its model in production', (t) => {
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    t.after(() => {
      if (before === undefined) delete process.env['NODE_ENV'];
      else process.env['NODE_ENV'] = before;
    });
    assert.equal(served().model?.isUsable(), false);
  });

  it('is the one that init writes', async (t) => {
    const directory = folder(t);
    await run(directory, 'x');
    assert.equal(
      read(directory, 'x/agent.ts'),
      readFileSync(new URL('../../../assets/templates/agent.ts', import.meta.url), 'utf8'),
    );
  });
});
