// node scripts/test.mjs <file>…: runs test files with Node's test runner, many in one process. One
// process per file, as the runner would have it, spends most of its time on loading src.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { COMPILED, ROOT } from './typescript/transform.mjs';

/** Many, as each process costs its start. Few enough for all processes to end at about one time. */
const FILES_PER_PROCESS = 16;

/** Of this run: another one may run in the same folder. */
const GROUPS = join(COMPILED, `groups-${process.pid}`);

/**
 * Hooks at the top of a file would run for the tests of all files in its process, what others have
 * left behind would be measured as memory, and their threads would be taken for its own.
 */
function standsAlone(file) {
  const source = readFileSync(file, 'utf8');
  return /^(?:before|after)Each\(|process\.memoryUsage\(|once\(process, 'worker'\)/m.test(source);
}

/** Neighbours load the same modules, so they share a process. */
function groupsOf(files) {
  const alone = files.filter(standsAlone);
  const together = files.filter((file) => !alone.includes(file)).sort();
  const count = Math.ceil(together.length / FILES_PER_PROCESS);
  const startOf = (group) => Math.round((group * together.length) / count);
  const shared = Array.from({ length: count }, (_, group) =>
    together.slice(startOf(group), startOf(group + 1)),
  );
  // What takes long starts first, so that all processes end at about one time.
  return [...shared.sort((a, b) => sizeOf(b) - sizeOf(a)), ...alone.map((file) => [file])];
}

function sizeOf(files) {
  return files.reduce((bytes, file) => bytes + statSync(file).size, 0);
}

function writeGroup(files, index) {
  const first = files[0].replaceAll(/[\\/]/g, '-').replace(/\.test\.ts$/, '');
  const path = join(GROUPS, `${index + 1}-${first}.test.mjs`);
  const lines = files.map((file) => `import '${pathToFileURL(join(ROOT, file))}';\n`);
  writeFileSync(path, lines.join(''));
  return path;
}

const files = process.argv.slice(2);
mkdirSync(GROUPS, { recursive: true });
const groups = groupsOf(files).map(writeGroup);
const flags = ['--import', './scripts/typescript/register.mjs', '--test', '--test-concurrency=3'];
spawn(process.execPath, [...flags, ...groups], { cwd: ROOT, stdio: 'inherit' }).on(
  'exit',
  (code) => {
    rmSync(GROUPS, { recursive: true, force: true });
    process.exitCode = code ?? 1;
  },
);
