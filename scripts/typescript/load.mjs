// The `load` hook for Node's module loader: loads TypeScript, compiled.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { compiledFile, optionsFor } from './transform.mjs';

const require = createRequire(import.meta.url);

export function load(url, context, nextLoad) {
  if (!/^file:.*\.ts$/.test(url) || url.includes('/node_modules/')) return nextLoad(url, context);
  const file = fileURLToPath(url);
  return { format: 'module', shortCircuit: true, source: compiled(file) };
}

function compiled(file) {
  const source = readFileSync(file, 'utf8');
  const kept = compiledFile(file, source);
  if (existsSync(kept)) return readFileSync(kept);
  // A test has written the file, or it was edited after `npm test` began.
  return require('esbuild').transformSync(source, optionsFor(file)).code;
}
