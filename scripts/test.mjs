// node scripts/test.mjs <file>…: runs test files with Node's test runner, a folder in one process.
// One process per file, as the runner would have it, spends most of its time on loading src.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { COMPILED, ROOT } from './typescript/transform.mjs';

/** Many, as each process costs its start. Few enough for all processes to end at about one time. */
const FILES_PER_PROCESS = 12;

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

function groupsOf(files) {
  const folders = new Map();
  for (const file of files) {
    const key = standsAlone(file) ? file : dirname(file);
    folders.set(key, [...(folders.get(key) ?? []), file]);
  }
  return [...folders.values()].flatMap((group) => {
    const count = Math.ceil(group.length / FILES_PER_PROCESS);
    // Neighbours are alike, so each process gets every nth file.
    return Array.from({ length: count }, (_, n) => group.filter((_, at) => at % count === n));
  });
}

function writeGroup(files, index) {
  const folder = dirname(files[0]).replaceAll(/[\\/]/g, '-');
  const path = join(GROUPS, `${folder}-${index + 1}.test.mjs`);
  const lines = files.map((file) => `import '${pathToFileURL(join(ROOT, file))}';\n`);
  writeFileSync(path, lines.join(''));
  return path;
}

const files = process.argv.slice(2);
mkdirSync(GROUPS, { recursive: true });
const groups = groupsOf(files).sort((a, b) => b.length - a.length).map(writeGroup);
const flags = ['--import', './scripts/typescript/register.mjs', '--test', '--test-concurrency=3'];
spawn(process.execPath, [...flags, ...groups], { cwd: ROOT, stdio: 'inherit' }).on(
  'exit',
  (code) => {
    rmSync(GROUPS, { recursive: true, force: true });
    process.exitCode = code ?? 1;
  },
);
