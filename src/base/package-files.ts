// The package's own folders, `prompts/` and the like, from wherever this module runs: src/, or a
// chunk of dist/.

import { existsSync } from 'node:fs';

/** The URL of a file or folder, by its path from where the package's `package.json` lies. */
export function packageFile(path: string): URL {
  return new URL(path, ROOT);
}

const ROOT = findRoot(new URL('..', import.meta.url));

function findRoot(folder: URL): URL {
  if (existsSync(new URL('package.json', folder))) return folder;
  const above = new URL('..', folder);
  if (above.href === folder.href) {
    throw new Error('layercode-microserver is not whole: its package.json is missing');
  }
  return findRoot(above);
}
