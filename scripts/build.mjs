// npm run build: the declarations by TypeScript, the JavaScript by esbuild, in few files: a hundred
// and more that are loaded one by one take the server half as long again to start (npm run bench --
// --only start).

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as esbuild from 'esbuild';

const ROOT = new URL('..', import.meta.url);
const root = fileURLToPath(ROOT);
const ENTRIES = ['server', 'cli', 'index', 'platform', 'testing'];
const CORE = './src/process/run-server.ts';

const require = createRequire(import.meta.url);
const tsc = fileURLToPath(
  new URL(
    require('typescript/package.json').bin.tsc,
    `file://${require.resolve('typescript/package.json')}`,
  ),
);

// a file that was renamed must not live on
rmSync(new URL('dist', ROOT), { recursive: true, force: true });
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });

/**
 * Has every place where code is entered, by a process or by `import()`, reach the server. What that
 * is made of is then shared by all, and lies in one chunk; else it would lie in as many as there
 * are sets of entries that share something, 17 of which the server would have to load.
 */
const oneCore = {
  name: 'one core',
  setup(build) {
    // Paths from the root: esbuild hashes them into the names of chunks, which must be the same in
    // every folder.
    build.onResolve({ filter: /\.ts$/ }, ({ kind, path, resolveDir }) =>
      kind === 'entry-point' || kind === 'dynamic-import'
        ? { path: fromRoot(resolve(resolveDir, path)), namespace: 'entered' }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'entered' }, ({ path }) => {
      const source = readFileSync(join(root, path), 'utf8');
      if (/^export default\b/m.test(source))
        throw new Error(`${path} has a default export, which is not handed on`);
      const shebang = /^#!.*\n/.exec(source)?.[0] ?? '';
      const imports = `import ${JSON.stringify(CORE)};\nexport * from ${JSON.stringify(path)};\n`;
      return { contents: shebang + imports, resolveDir: root };
    });
  },
};

/** As an import writes it. */
function fromRoot(path) {
  return `./${relative(root, path).split(sep).join('/')}`;
}

/** Runs in a thread of its own, where it needs nothing of the server. */
await esbuild.build({
  absWorkingDir: root,
  entryPoints: ['./src/conversations/stores/sqlite-worker.ts'],
  outdir: 'dist/chunks', // beside the chunk that starts it
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.13',
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
});

await esbuild.build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(ENTRIES.map((entry) => [entry, `./src/${entry}.ts`])),
  outdir: 'dist',
  bundle: true,
  // what entries share is there once, or an error thrown in one would be no instance of its class
  // in another
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.12',
  packages: 'external',
  plugins: [oneCore],
  sourcemap: 'linked', // for stack traces; the log reads one when it writes a stack
  sourcesContent: false,
  logLevel: 'warning',
});
