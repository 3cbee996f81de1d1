// npm run build: declarations by TypeScript, JavaScript by esbuild. It bundles the code into few
// files, because loading more than a hundred files one by one makes the start take half as long
// again (npm run bench -- --only start).

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as esbuild from 'esbuild';

import { builtinsByRequire } from './builtins-by-require.mjs';
import { embedded } from './embedded.mjs';

const ROOT = new URL('..', import.meta.url);
const root = fileURLToPath(ROOT);
const ENTRIES = ['server', 'cli', 'index', 'platform', 'testing'];
/** The entries that other people's code imports. */
const TYPED = ['index', 'platform', 'testing'];
const CORE = './src/server/process/run-server.ts';

const require = createRequire(import.meta.url);
const tsc = fileURLToPath(
  new URL(
    require('typescript/package.json').bin.tsc,
    `file://${require.resolve('typescript/package.json')}`,
  ),
);

// Otherwise a renamed file would remain.
rmSync(new URL('dist', ROOT), { recursive: true, force: true });
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });

/** Removes the declarations that users' code cannot reach. */
function keepDeclarationsOf(entries) {
  const needed = new Set(entries.map((entry) => join(root, 'dist', `${entry}.d.ts`)));
  const imports = /(?:from |import\()['"](\.[^'"]+)['"]/g;
  // Iterating over a Set also visits what is added meanwhile.
  for (const path of needed) {
    for (const [, to] of readFileSync(path, 'utf8').matchAll(imports)) {
      const declaration = resolve(dirname(path), to.replace(/\.[jt]s$/, '.d.ts'));
      if (!existsSync(declaration)) throw new Error(`${path} imports ${to}, which has no types`);
      needed.add(declaration);
    }
  }
  for (const name of readdirSync(join(root, 'dist'), { recursive: true })) {
    const path = join(root, 'dist', name);
    if (path.endsWith('.d.ts') && !needed.has(path)) rmSync(path);
  }
}

keepDeclarationsOf(TYPED);

/**
 * Makes every way into the code, by a process or by `import()`, import the server. All entries then
 * share the server's modules, which end up in one chunk. Otherwise there would be a chunk for every
 * set of entries that share something, and the server would have to load 17 of them.
 */
const oneCore = {
  name: 'one core',
  setup(build) {
    // Paths relative to the root, because esbuild hashes them into the chunk names, which must be
    // the same in every folder.
    build.onResolve({ filter: /\.ts$/ }, ({ kind, path, resolveDir }) =>
      kind === 'entry-point' || kind === 'dynamic-import'
        ? { path: fromRoot(resolve(resolveDir, path)), namespace: 'entered' }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'entered' }, ({ path }) => {
      const source = readFileSync(join(root, path), 'utf8');
      if (/^export default\b/m.test(source))
        throw new Error(`${path} has a default export, which is not re-exported`);
      const shebang = /^#!.*\n/.exec(source)?.[0] ?? '';
      const imports = `import ${JSON.stringify(CORE)};\nexport * from ${JSON.stringify(path)};\n`;
      return { contents: shebang + imports, resolveDir: root };
    });
  },
};

/** The path as an import would spell it. */
function fromRoot(path) {
  return `./${relative(root, path).split(sep).join('/')}`;
}

/** The SQLite worker runs in its own thread and needs nothing from the server. */
const { outputFiles: [sqliteWorker] } = await esbuild.build({
  absWorkingDir: root,
  entryPoints: ['./src/core/conversations/stores/sqlite-worker.ts'],
  write: false,
  bundle: true,
  format: 'cjs', // a thread that gets its code as text takes no ES module
  platform: 'node',
  target: 'node22.13',
  logLevel: 'warning',
});

await esbuild.build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(ENTRIES.map((entry) => [entry, `./src/${entry}.ts`])),
  outdir: 'dist',
  bundle: true,
  // Shared code exists only once. Otherwise an error thrown in one entry would not be an instance
  // of its class in another.
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  packages: 'external',
  plugins: [oneCore, embedded(root, sqliteWorker.text), builtinsByRequire],
  sourcemap: 'linked', // for stack traces; the log reads one when it writes a stack
  sourcesContent: false,
  logLevel: 'warning',
});
