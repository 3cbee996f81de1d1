// npm run compile:tests: compiles the TypeScript that tests load, before they run. tsx would start
// a compiler in each process that loads a new file, and is slower even without new files.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import * as esbuild from 'esbuild';

import { COMPILED, compiledFile, optionsFor, ROOT } from './transform.mjs';

const FOLDERS = ['src', 'test', 'bench', 'examples', 'assets/templates'];

async function filesBelow(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries
    .filter(({ name }) => name !== 'node_modules')
    .map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : path.endsWith('.ts') ? [path] : [];
    });
  return (await Promise.all(files)).flat();
}

async function compile(file) {
  const source = await readFile(file, 'utf8');
  const { code } = await esbuild.transform(source, optionsFor(file));
  await writeFile(compiledFile(file, source), code);
}

await rm(COMPILED, { recursive: true, force: true });
await mkdir(COMPILED, { recursive: true });
const files = await Promise.all(FOLDERS.map((folder) => filesBelow(join(ROOT, folder))));
await Promise.all(files.flat().map(compile));
