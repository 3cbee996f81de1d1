// The official front ends as their users get them: with npm, from the registry, unchanged. They are
// no dependency of this project.

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { buildSync } from 'esbuild';

/** Exact, so that a run today and one next year test the same. */
const VERSIONS = {
  '@layercode/js-sdk': '2.8.10',
  '@layercode/react-sdk': '2.8.14',
  react: '19.3.1',
  'react-dom': '19.3.1',
};
const INSTALL_MS = 180_000;

/** Where they are, or why a test that needs them is skipped. */
export type Sdks =
  | { readonly folder: string; readonly skip: false }
  | { readonly folder: undefined; readonly skip: string };

/**
 * Installs them into a folder of their own in the cache that `.ci/run` uses (LAYERCODE_CI_CACHE, by
 * default `layercode-microserver-ci` of the temporary folder), once a machine. Where the registry
 * is out of reach the tests are skipped, but not where CI is set, or LAYERCODE_REQUIRE_SDKS=1:
 * there this throws, as it does everywhere for any other fault of npm.
 */
export function installSdks(): Sdks {
  const cache = process.env['LAYERCODE_CI_CACHE'] || join(tmpdir(), 'layercode-microserver-ci');
  const folder = join(cache, `sdks-${Object.values(VERSIONS).join('-')}`);
  if (existsSync(folder)) return { folder, skip: false };
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, 'draft-'));
  try {
    const complaint = install(draft);
    if (complaint !== undefined) {
      const skip = `the official front ends are not here, and npm cannot reach its registry to install them: ${complaint}`;
      if (isRequired()) throw new Error(skip);
      return { folder: undefined, skip };
    }
    moveInto(folder, draft);
    return { folder, skip: false };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** The script of a page with all that it imports, which it finds in the folder. */
export function bundle(folder: string, entry: string): string {
  const {
    outputFiles: [output],
  } = buildSync({
    stdin: { contents: readFileSync(entry, 'utf8'), sourcefile: entry, resolveDir: folder },
    define: { 'process.env.NODE_ENV': '"development"' }, // React says more then
    bundle: true,
    write: false,
    logLevel: 'error',
  });
  if (output === undefined) throw new Error(`the bundler made nothing of ${entry}`);
  return output.text;
}

function isRequired(): boolean {
  const { CI = '', LAYERCODE_REQUIRE_SDKS = '' } = process.env;
  return LAYERCODE_REQUIRE_SDKS === '1' || !['', '0', 'false'].includes(CI);
}

/** As npm names what a network does to it. */
const UNREACHABLE =
  /^npm (?:error|ERR!) code (?:ENOTFOUND|EAI_AGAIN|ECONN\w+|E?TIMEDOUT|E\w+UNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED|E5\d\d)$/m;

/**
 * What npm says when the registry is out of reach, and undefined when all is there. Any other fault
 * throws.
 */
function install(folder: string): string | undefined {
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, dependencies: VERSIONS }),
  );
  // Under `npm run` the npm that runs, on the Node it came with: the first Node in PATH may be too
  // old for it.
  const { npm_execpath: cli = '', npm_node_execpath: node } = process.env;
  const [command, first] =
    node !== undefined && cli.endsWith('npm-cli.js') ? [node, [cli]] : ['npm', []];
  const retries = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000'];
  const { error, status, stderr } = spawnSync(
    command,
    [...first, 'install', '--no-audit', '--no-fund', '--ignore-scripts', ...retries],
    { cwd: folder, encoding: 'utf8', timeout: INSTALL_MS, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (error !== undefined) {
    throw new Error(`npm install did not run to its end in ${folder}: ${error.message}`, {
      cause: error,
    });
  }
  if (status === 0) return undefined;
  const [complaint] = UNREACHABLE.exec(stderr) ?? [];
  if (complaint === undefined) {
    throw new Error(`npm install failed with exit code ${status}: ${stderr.trim()}`);
  }
  return complaint;
}

/**
 * Whole or not at all, as two runs may share a cache: whoever comes second takes what the first has
 * put there.
 */
function moveInto(folder: string, draft: string): void {
  try {
    renameSync(draft, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}
