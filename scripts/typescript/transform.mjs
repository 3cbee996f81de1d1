// How TypeScript is compiled for the tests, file by file, and where the result is kept.

import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const COMPILED = join(ROOT, 'node_modules/.cache/layercode-microserver');

/** Where the compiled source is kept. The name depends on the source, so it is never stale. */
export function compiledFile(file, source) {
  const hash = createHash('sha1').update(`${basename(file)}\n${source}`).digest('hex');
  return join(COMPILED, `${hash}.js`);
}

/**
 * Options for esbuild. The name in a source map is relative to the URL from which the file is
 * loaded.
 */
export function optionsFor(file) {
  return {
    loader: 'ts',
    format: 'esm',
    target: 'node20.19',
    sourcefile: basename(file),
    sourcemap: 'inline',
    sourcesContent: false,
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true, target: 'es2023' } },
  };
}
