// Finds the package's own folders, for example `assets/`. This module runs from `src/` or from a
// chunk in `dist/`.

import { existsSync } from 'node:fs';

/**
 * The URL of a file or folder. `path` is relative to the folder of the package's `package.json`.
 */
export function packageFile(path: string): URL {
  return new URL(path, ROOT);
}

const ROOT = findRoot(new URL('..', import.meta.url));

function findRoot(folder: URL): URL {
  if (existsSync(new URL('package.json', folder))) return folder;
  const above = new URL('..', folder);
  if (above.href === folder.href) {
    throw new Error('layercode-microserver is incomplete: its package.json is missing');
  }
  return findRoot(above);
}
