import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface NodeBinary {
  /** `24.21.0` */
  readonly version: string;
  readonly path: string;
}

/** The Node that runs this process. */
export const OWN_NODE: NodeBinary = { version: process.versions.node, path: process.execPath };

/** `.ci/run` uses the same cache, with the same folders. */
const CACHE = process.env['LAYERCODE_CI_CACHE'] ?? join(tmpdir(), 'layercode-microserver-ci');

/** A Node with a version like `24` or `20.19`, fetched once from the npm registry. */
export function fetchNode(version: string): NodeBinary {
  if (!/^\d+(\.\d+){0,2}$/.test(version)) {
    throw new Error(`--nodes takes versions like 20,22.3, got "${version}"`);
  }
  const machine = `${process.platform}-${process.arch}`;
  const folder = join(CACHE, `node-${version}-${machine}`);
  const path = join(folder, 'bin/node');
  if (!existsSync(path)) download(`node-${machine}@${version}`, folder);
  return { version: execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().slice(1), path };
}

function download(name: string, folder: string): void {
  mkdirSync(CACHE, { recursive: true });
  const draft = mkdtempSync(join(CACHE, 'draft.'));
  try {
    const file = execFileSync('npm', ['pack', '--silent', name], {
      cwd: draft,
      encoding: 'utf8',
    }).trim();
    execFileSync('tar', ['xzf', file, '--strip-components=1'], { cwd: draft });
    rmSync(join(draft, file));
    chmodSync(draft, 0o755); // mkdtemp makes it private, but tests run a server as another user
    renameSync(draft, folder);
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true });
    throw new Error(`${name} cannot be fetched from the npm registry`, { cause });
  }
}
