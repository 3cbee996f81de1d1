// npm run build: the declarations by TypeScript, the JavaScript by esbuild, in few files: a hundred and more that are loaded one by one
// take the server half as long again to start (npm run bench -- --only start).

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('..', import.meta.url);
const ENTRIES = ['server', 'cli', 'index', 'platform', 'testing'];

const require = createRequire(import.meta.url);
const tsc = fileURLToPath(new URL(require('typescript/package.json').bin.tsc, `file://${require.resolve('typescript/package.json')}`));
// tsx is made of it; a version of our own would be a second one.
const esbuild = createRequire(require.resolve('tsx'))('esbuild');

rmSync(new URL('dist', ROOT), { recursive: true, force: true }); // a file that was renamed must not live on
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
await esbuild.build({
  absWorkingDir: fileURLToPath(ROOT),
  entryPoints: ENTRIES.map((entry) => `src/${entry}.ts`),
  outdir: 'dist',
  bundle: true,
  splitting: true, // what entries share is there once, or an error thrown in one would be no instance of its class in another
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.12',
  packages: 'external',
  logLevel: 'warning',
});
