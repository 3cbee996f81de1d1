// An earlier version of this package, built from the history of this repository.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../fixtures/source-files.ts';


export interface EarlierVersion {
  readonly server: string;
  readonly library: string;
  /** Removes what was built. */
  remove(): void;
}

/** Why that commit cannot be built here; false if it can. */
export function isOutOfReach(commit: string): string | false {
  try {
    git('cat-file', '-e', `${commit}^{commit}`);
    return false;
  } catch {
    return `no commit ${commit} here: the history of this checkout is cut short, or missing`;
  }
}

/** Builds the commit with the packages of this checkout, without the network. */
export function buildEarlier(commit: string): EarlierVersion {
  const folder = mkdtempSync(join(tmpdir(), 'earlier-version-'));
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit) });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: folder, stdio: 'pipe' });
  return {
    server: join(folder, 'dist/server.js'),
    library: join(folder, 'dist/index.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function git(...args: string[]): Buffer {
  const options = { cwd: ROOT, maxBuffer: 100_000_000, stdio: 'pipe' } as const;
  return execFileSync('git', args, options);
}
