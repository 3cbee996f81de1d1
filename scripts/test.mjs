// node scripts/test.mjs [kind] [--try-again] [<file>…]: runs test files with Node's test runner.
// Without a kind it runs what `npm test` runs, many files in one process. One process per file, the
// runner's way, would spend most of its time on loading src. With --try-again, files that failed
// are run once more, each alone, and the last line names those that passed that time.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

import { COMPILED, ROOT } from './typescript/transform.mjs';

/** How the files of a kind are named, and what else is particular to it. */
const KINDS = {
  unit: { ending: '.test.ts', isGrouped: true },
  /** For the Nodes between the oldest and the newest: without the files in SAME_ON_EVERY_NODE. */
  between: { ending: '.test.ts', isGrouped: true },
  process: { ending: '.process-test.ts' },
  large: { ending: '.large-test.ts' },
  fetch: { ending: '.fetch-test.ts' },
  browser: { ending: '.browser-test.ts', needsPeers: true },
  /** They import the package by its name, which tsx finds by the paths of tsconfig.json. */
  peers: { ending: '.peer-test.ts', loader: 'tsx', needsPeers: true },
  /** The seeded runs of `unit`, at full length. */
  long: { ending: '.test.ts', env: { LAYERCODE_LONG_TESTS: '1' } },
};
const SAME_ON_EVERY_NODE = 'test/same-on-every-node.txt';

/**
 * Many, because starting a process costs time. Few enough for all to end at about the same time.
 */
const FILES_PER_PROCESS = 32;

/** This run's folder: another run may be going on in the same project. */
const OWN = `${COMPILED}-run-${process.pid}`;
const FAILED = join(OWN, 'failed-files');

function testFiles(ending, folder = 'test') {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => name !== 'node_modules')
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return testFiles(ending, path);
      return path.endsWith(ending) ? [path] : [];
    })
    .sort();
}

function filesOf(kind) {
  const files = testFiles(KINDS[kind].ending);
  const read = (file) => readFileSync(join(ROOT, file), 'utf8');
  if (kind === 'long') return files.filter((file) => read(file).includes('fixtures/long.ts'));
  if (kind !== 'between') return files;
  const same = new Set(read(SAME_ON_EVERY_NODE).split('\n'));
  return files.filter((file) => !same.has(file));
}

/**
 * Hooks at the top of a file would run for the tests of all files in its process, what other files
 * have left behind would be measured as memory, and their threads would be taken for its own.
 */
function standsAlone(file) {
  const source = readFileSync(join(ROOT, file), 'utf8');
  return /^(?:before|after)Each\(|process\.memoryUsage\(|once\(process, 'worker'\)/m.test(source);
}

/** Neighbours load the same modules, so they share a process. */
function groupsOf(files) {
  const alone = files.filter(standsAlone);
  const together = files.filter((file) => !alone.includes(file));
  const count = Math.ceil(together.length / FILES_PER_PROCESS);
  const startOf = (group) => Math.round((group * together.length) / count);
  const shared = Array.from({ length: count }, (_, group) =>
    together.slice(startOf(group), startOf(group + 1)),
  );
  // What takes long starts first, so that all processes end at about the same time.
  return [...shared.sort((a, b) => sizeOf(b) - sizeOf(a)), ...alone.map((file) => [file])];
}

function sizeOf(files) {
  return files.reduce((bytes, file) => bytes + statSync(join(ROOT, file)).size, 0);
}

function writeGroup(files, index) {
  const first = files[0].replaceAll(/[\\/]/g, '-').replace(/\.test\.ts$/, '');
  const path = join(OWN, `${index + 1}-${first}.test.mjs`);
  const lines = files.map((file) => `import '${pathToFileURL(join(ROOT, file))}';\n`);
  writeFileSync(path, lines.join(''));
  return path;
}

/** Resolves with the runner's exit code. */
async function runTests(paths, concurrency) {
  rmSync(FAILED, { force: true });
  const reporters = ['spec', new URL('failed-files.mjs', import.meta.url).href].flatMap(
    (reporter, index) => [
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${['stdout', FAILED][index]}`,
    ],
  );
  const flags = ['--import', loader, '--test', ...reporters];
  if (concurrency !== undefined) flags.push(`--test-concurrency=${concurrency}`);
  const options = { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } };
  const [code] = await once(spawn(process.execPath, [...flags, ...paths], options), 'exit');
  return code ?? 1;
}

/** The files in which a test failed, as the reporter wrote them. */
function failedFiles() {
  return readFileSync(FAILED, 'utf8').split('\n').filter(Boolean);
}

const [first, ...others] = process.argv.slice(2);
const kind = first in KINDS ? first : 'unit';
const rest = first === undefined || first in KINDS ? others : [first, ...others];
const named = rest.filter((argument) => argument !== '--try-again');
const { isGrouped = false, env, loader = './scripts/typescript/register.mjs' } = KINDS[kind];
if (KINDS[kind].needsPeers && !existsSync(join(ROOT, 'test/peers/node_modules')))
  throw new Error('npm ci --prefix test/peers first');
const files = named.length > 0 ? named : filesOf(kind);
mkdirSync(OWN, { recursive: true });
try {
  const paths = isGrouped ? groupsOf(files).map(writeGroup) : files;
  let code = await runTests(paths, isGrouped ? 3 : undefined);
  const failed = code === 0 ? [] : failedFiles();
  if (failed.length > 0 && rest.includes('--try-again')) {
    code = await runTests(failed, 1);
    const names = failed.map((file) => relative(ROOT, file)).join(', ');
    if (code === 0) process.stdout.write(`passed at the second try: ${names}\n`);
  }
  process.exitCode = code;
} finally {
  rmSync(OWN, { recursive: true, force: true });
}
