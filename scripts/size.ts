// npm run size: checks the size of the package that users install, what is in it, what a start
// compiles, and that a build in any folder produces the same bytes.

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { newFolder } from '../test/fixtures/folder.ts';
import { packed } from '../test/fixtures/npm.ts';

/** Beyond this, something is in the package that does not belong there. */
const MAX_PACKED_BYTES = 1_072 * 1_024;

/** What `node dist/server.js` may compile until it listens. A commit that raises it says why. */
const MAX_START_BYTES = 466_000;

/** What the build reads. */
const BUILT_FROM = [
  'src', 'assets', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json',
];

const root = new URL('..', import.meta.url);
const problems: string[] = [];

const { files, size, unpackedSize, entryCount } = packed();
const paths = new Set(files.map(({ path }) => path));
for (const needed of [
  'package.json',
  'LICENSE',
  'README.md',
  'dist/server.js',
  'dist/cli.js',
  'dist/platform.js',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/testing.js',
]) {
  if (!paths.has(needed))
    problems.push(
      `${needed} is not in the package${needed.startsWith('dist/') ? '; npm run build makes it' : ''}`,
    );
}
for (const folder of ['assets/playground', 'assets/templates']) {
  if (![...paths].some((path) => path.startsWith(`${folder}/`)))
    problems.push(`${folder}/ is not in the package, and is read at run time`);
}
for (const path of paths) {
  if (/(^|\/)(\.env|\.layercode|node_modules|test|src)(\/|$)/.test(path))
    problems.push(`${path} must not be in the package`);
}
problems.push(...differencesOfAnotherBuild());
if (size > MAX_PACKED_BYTES)
  problems.push(`the package has ${size} bytes, more than ${MAX_PACKED_BYTES}`);

const startBytes = await bytesCompiledByStart();
if (startBytes > MAX_START_BYTES)
  problems.push(`a start compiles ${startBytes} bytes, more than ${MAX_START_BYTES}`);

const kibibytes = (bytes: number): string => `${(bytes / 1_024).toFixed(1)} KiB`;
process.stdout.write(
  `packed ${size} bytes (${kibibytes(size)}), unpacked ${kibibytes(unpackedSize)}, ${entryCount} files\n`,
);
process.stdout.write(`a start compiles ${startBytes} bytes\n`);
const isOfKit = (path: string): boolean => path.includes('/src/kit/');
const sources = sourcesIn(fileURLToPath(new URL('src/', root)));
sayHowLarge('server', sources.filter((path) => !isOfKit(path)));
sayHowLarge('kit', sources.filter(isOfKit));
for (const problem of problems) process.stderr.write(`size: ${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => join(folder, path));
}

function sayHowLarge(storey: string, paths: readonly string[]): void {
  const text = paths.map((path) => readFileSync(path, 'utf8')).join('');
  const lines = text.split('\n').length - 1;
  const size = `${lines} lines, ${Buffer.byteLength(text)} bytes`;
  process.stdout.write(`${storey}: ${paths.length} files of src, ${size}\n`);
}

/** As V8 counts: the modules of the package that were loaded when the server listened. */
async function bytesCompiledByStart(): Promise<number> {
  const folder = newFolder();
  const env = {
    NODE_V8_COVERAGE: folder, NODE_ENV: 'production', AGENT: 'echo', HOST: '127.0.0.1', PORT: '0',
    LAYERCODE_WEBHOOK_SECRET: 'nobody-outside-knows-this-secret', DRAIN_DELAY_SECONDS: '0',
  };
  const server = spawn(process.execPath, [fileURLToPath(new URL('dist/server.js', root))], {
    cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(server, 'exit');
  for await (const line of createInterface(server.stdout))
    if (line.includes('"listening"')) server.kill('SIGTERM');
  const [code]: unknown[] = await exit;
  if (code !== 0) throw new Error(`the server ended with exit code ${String(code)}`);
  const [report = ''] = readdirSync(folder);
  const { result } = JSON.parse(readFileSync(join(folder, report), 'utf8')) as {
    readonly result: readonly { readonly url: string }[];
  };
  const dist = new URL('dist/', root).href;
  const modules = result.filter(({ url }) => url.startsWith(dist));
  return modules.reduce((sum, { url }) => sum + statSync(new URL(url)).size, 0);
}

/** Builds again in another folder and compares the results. */
function differencesOfAnotherBuild(): string[] {
  const here = fileURLToPath(root);
  const other = newFolder();
  for (const path of BUILT_FROM) {
    cpSync(join(here, path), join(other, path), { recursive: true });
  }
  symlinkSync(join(here, 'node_modules'), join(other, 'node_modules'), 'junction');
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: other, stdio: 'inherit' });
  const built = digests(join(here, 'dist'));
  const again = digests(join(other, 'dist'));
  const files = new Set([...built.keys(), ...again.keys()]);
  return [...files]
    .filter((file) => built.get(file) !== again.get(file))
    .map((file) => `dist/${file} differs from what is built in another folder`);
}

function digests(folder: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, file);
    if (!statSync(path).isFile()) continue;
    sums.set(file, createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return sums;
}
