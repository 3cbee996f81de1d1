// `layercode-microserver init`: creates a project from the files of assets/templates/.

import {
  closeSync, existsSync, lstatSync, mkdirSync, openSync, readFileSync, realpathSync, rmdirSync,
  rmSync, writeFileSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { isObject } from '../../base/fields.ts';
import { packageFile } from '../../base/package-files.ts';
import { version } from '../../base/version.ts';
import { CommandError, EXIT, UsageError, type Command } from '../terminal/command.ts';
import { parseFlags } from '../terminal/flags.ts';
import { columns, oneLine, shellWord } from '../terminal/text.ts';

const PACKAGE = 'layercode-microserver';
const PACKAGE_ROOT = fileURLToPath(packageFile('.'));
const PACKAGE_FLAG = '--package';
/** The versions that this package is built with. */
const DEV_DEPENDENCIES = {
  '@types/node': '^20.19.43', tsx: '^4.23.15', typescript: '^7.0.2',
} as const;

/**
 * File name and description. npm does not pack a file called .gitignore, so template files are
 * named without the dot.
 */
const TEMPLATES: readonly (readonly [name: string, meaning: string])[] = [
  ['agent.ts', 'what callers hear: a prompt, a state and two tools'],
  ['agent.test.ts', 'its tests, without a phone or a key'],
  ['evals/hours.txt', 'a scenario: a question, answered by whatever model there is'],
  ['evals/order.txt', 'another one: a scripted model calls tools'],
  ['evals/trouble.txt', 'another one: a barge-in, a duplicate, a restart'],
  ['tsconfig.json', 'TypeScript, compiled to dist/'],
  ['.env.example', 'the most used settings, for .env'],
  ['Dockerfile', 'an image for production'],
  ['.dockerignore', 'what goes into it'],
  ['.gitignore', 'what stays out of git'],
  ['README.md', 'the commands, and where to go next'],
];

export const init: Command = {
  name: 'init',
  summary: 'Make a new project: an agent, its test and a Dockerfile.',
  help: `Usage: layercode-microserver init [dir] [--package SPEC]

Creates a project in dir, and dir itself if it is missing. Default: the working directory. If one of
its files exists already, nothing is written. Other files, such as .git, do not matter. The project
is named after its directory.

  --package SPEC   The dependency on ${PACKAGE} in package.json: a version such as
                   ^0.1.0, a URL, or the path of a folder or a .tgz. Default: what the running
                   copy was installed from, or the clone if run from one.

Then, in dir: npm install, npm run dev, and npm run talk in another terminal.

Exit codes: 0 success; 1 failure; 2 wrong arguments.
`,
  async run(argv, terminal) {
    const { target, option } = parseArguments(argv);
    // npm resolves a relative path in package.json from the real location of the project.
    const directory = realPath(resolve(terminal.directory, target));
    if (/\p{Cc}/u.test(directory)) {
      throw new UsageError('the path of the directory must not contain control characters');
    }
    const name = projectName(directory);
    const from = terminal.directory;
    const spec = packageSpec({ option, from, directory, packageRoot: PACKAGE_ROOT });
    writeProject(directory, projectFiles(name, spec));
    terminal.stdout.write(report(name, target));
    return EXIT.OK;
  },
};

function parseArguments(
  argv: readonly string[],
): { readonly target: string; readonly option: string | undefined } {
  const example = `, for example ^${version} or ../packed.tgz`;
  const { flags, words } = parseFlags('init', argv, [PACKAGE_FLAG], [], example);
  const option = flags[PACKAGE_FLAG];
  if (option?.startsWith('-')) throw new UsageError(`${PACKAGE_FLAG} needs a value${example}`);
  const [target = '.', stray] = words;
  if (stray !== undefined)
    throw new UsageError(`init takes one directory, but also got ${shown(stray)}`);
  if (target === '')
    throw new UsageError('the directory argument is empty; omit it to use the working directory');
  return { target, option };
}

/** The path without symbolic links, as far as it exists. */
function realPath(path: string): string {
  return existsSync(path) || dirname(path) === path
    ? realpathSync(path)
    : join(realPath(dirname(path)), basename(path));
}

/**
 * The npm name for a project in this directory: lower case, accents removed, a hyphen for
 * characters that npm does not allow. Throws a `UsageError` if nothing is left, or if `npm install`
 * refuses the name.
 */
export function projectName(directory: string): string {
  const last = basename(directory);
  const name = last
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .slice(0, 214)
    .replace(/^[._-]+|-+$/g, '');
  if (name === '') {
    const remedy = 'use a directory name with letters a-z or digits';
    throw new UsageError(`${shown(last || directory)} yields no valid npm name; ${remedy}`);
  }
  // A package cannot depend on its own name, and npm reserves two names.
  if ([PACKAGE, ...Object.keys(DEV_DEPENDENCIES), 'node_modules', 'favicon.ico'].includes(name))
    throw new UsageError(`a project cannot be called ${name}; rename its directory`);
  return name;
}

interface PackageSource {
  /** The value of `--package`. */
  readonly option: string | undefined;
  /** A relative path in `option` starts here. */
  readonly from: string;
  /** The project's directory, without symbolic links. */
  readonly directory: string;
  /** The directory of the running package. */
  readonly packageRoot: string;
}

/**
 * The dependency on this package in package.json: the given one, else the folder of a clone, else
 * where the installed copy came from. Throws a `UsageError` for a path that does not exist, and for
 * anything that cannot be a spec.
 */
export function packageSpec({ option, from, directory, packageRoot }: PackageSource): string {
  if (option === undefined) {
    const [root = '', ...inside] = packageRoot.split(`${sep}node_modules${sep}`);
    const isInstalled = inside.length > 0;
    return isInstalled ? installedSpec(root, directory) : fileSpec(packageRoot, directory);
  }
  if (/\p{Cc}/u.test(option))
    throw new UsageError(`${PACKAGE_FLAG} must have no control characters`);
  const path = pathIn(option);
  if (path === undefined) return option;
  const file = resolve(from, path);
  if (!existsSync(file)) throw new UsageError(`${PACKAGE_FLAG}: there is no ${shown(file)}`);
  return fileSpec(realpathSync(file), directory);
}

/**
 * Where the project in `root`, which may be npx's cache, got this package from: a file, a URL or a
 * repository. This version if it came from the registry, or if `root` does not say.
 */
function installedSpec(root: string, directory: string): string {
  const file = join(root, 'package.json'); // a global installation has none
  const project: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
  const spec = ['dependencies', 'devDependencies', 'optionalDependencies']
    .map((field) => isObject(project) && isObject(project[field]) && project[field][PACKAGE])
    .find((value) => typeof value === 'string') ?? '';
  const path = pathIn(spec);
  if (path !== undefined) return fileSpec(realPath(resolve(root, path)), directory);
  const isRange = !/[:/]/.test(spec) || /^(workspace|catalog):/.test(spec);
  return isRange ? `^${version}` : spec;
}

/** The path, if the spec is one; undefined for a version, URL or repository. */
function pathIn(spec: string): string | undefined {
  const path = spec.replace(/^file:/, '');
  const isPath =
    path !== spec
    || isAbsolute(path)
    || /^\.{1,2}([\\/]|$)/.test(path)
    || (/\.(tgz|tar\.gz|tar)$/.test(path) && !path.includes(':'));
  return isPath ? path : undefined;
}

/**
 * A path as npm reads it, relative to the project. Not percent-encoded, although it looks like a
 * URL: since npm 11 %, # and ? stand for themselves.
 */
function fileSpec(path: string, directory: string): string {
  const way = relative(directory, path).split(sep).join('/');
  if (way === '') throw new UsageError(`${PACKAGE_FLAG} must not be the project's own folder`);
  return `file:${way}`;
}

/**
 * Puts the program in the place of npm's shell. That shell passes no signal on: a SIGTERM for
 * `npm start` would leave the server behind. Windows has neither such signals nor `exec`.
 */
const EXEC = process.platform === 'win32' ? '' : 'exec ';
/** Those of our own image: docs/deploy.md says what they do. */
const NODE_FLAGS = '--no-allocation-site-pretenuring --max-semi-space-size=4';
const CLI = `node_modules/${PACKAGE}/dist/cli.js`;

function manifest(name: string, spec: string): object {
  return {
    name,
    private: true,
    type: 'module',
    engines: { node: '>=20.19' },
    scripts: {
      build: 'tsc',
      prestart: 'npm run --silent build',
      start: `${EXEC}node ${NODE_FLAGS} ${CLI} run --agent ./dist/agent.js`,
      dev: `${EXEC}tsx watch ${CLI} run --agent ./agent.ts`,
      talk: `${PACKAGE} talk`,
      // The tests run from source: dist/ keeps tests whose source has been removed.
      pretest: 'tsc --noEmit',
      // Without a limit, a hanging call would block the tests. The limit also holds for a whole
      // file.
      test: 'node --import tsx --test --test-timeout=60000 *.test.ts',
      preeval: 'npm run --silent build',
      eval: `${PACKAGE} eval --agent ./dist/agent.js`,
    },
    dependencies: { [PACKAGE]: spec },
    devDependencies: DEV_DEPENDENCIES,
    // tsx's esbuild works without its install script, and npm would print a warning about it.
    allowScripts: { esbuild: false },
  };
}

function projectFiles(name: string, spec: string): ReadonlyMap<string, string> {
  const templates = TEMPLATES.map(([file]): [string, string] => {
    const path = join(PACKAGE_ROOT, 'assets/templates', file.replace(/^\./, ''));
    const text = readFileSync(path, 'utf8');
    return [file, text.replaceAll('{{name}}', name)];
  });
  return new Map([
    ['package.json', `${JSON.stringify(manifest(name, spec), undefined, 2)}\n`],
    ...templates,
  ]);
}

/**
 * Writes the files, and creates the directory if it is missing. Throws a `CommandError` that names
 * the files that exist already, or what failed. Files written before the failure are removed again,
 * or named.
 */
export function writeProject(directory: string, files: ReadonlyMap<string, string>): void {
  const made: string[] = [];
  try {
    const existing = [...files.keys()].filter(
      (name) => lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined,
    );
    if (existing.length > 0) {
      throw new CommandError(
        `${shown(directory)} already has ${existing.join(', ')}; nothing was written`,
      );
    }
    for (const [name, text] of files) makeFile(join(directory, name), text, made);
  } catch (error) {
    const left = made.toReversed().filter((path) => !isRemoved(path)).map(shown);
    if (!(error instanceof Error && 'code' in error)) throw error;
    const rest = left.length === 0
      ? 'nothing was left behind' : `these could not be removed: ${left.join(', ')}`;
    const reason = `${oneLine(error.message)}; ${rest}`;
    throw new CommandError(`the project cannot be created: ${reason}`, { cause: error });
  }
}

/** One level at a time: a recursive `mkdir` that fails does not say what it has created. */
function makeDirectory(path: string, made: string[]): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeDirectory(dirname(path), made);
  mkdirSync(path);
  made.push(path);
}

function makeFile(path: string, text: string, made: string[]): void {
  makeDirectory(dirname(path), made);
  // Does not follow links, and fails if a file was created meanwhile.
  const descriptor = openSync(path, 'wx');
  made.push(path);
  try {
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

function isRemoved(path: string): boolean {
  try {
    if (lstatSync(path).isDirectory()) rmdirSync(path); // never what others have put there
    else rmSync(path);
    return true;
  } catch {
    return false; // reported to the user
  }
}

function report(name: string, target: string): string {
  const files = [['package.json', 'scripts and dependencies'] as const, ...TEMPLATES];
  const isHere = target === '.' || target === './';
  const way = shellWord(target);
  return [
    `Created the project ${name}${isHere ? '' : ` in ${shown(target)}`}:`,
    '',
    ...columns(files).map((line) => `  ${line}`),
    '',
    'Next:',
    '',
    ...(isHere ? [] : [`  cd ${target.startsWith('-') ? './' : ''}${way}`]),
    '  npm install',
    '  npm run dev     # restarts after each change',
    '  npm run talk    # in another terminal',
    '  npm run eval    # plays the scenarios',
    '',
  ].join('\n');
}

function shown(path: string): string {
  return shellWord(oneLine(path));
}
