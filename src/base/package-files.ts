// Finds the package's own folders, for example `assets/`. This module runs from `src/base/`, from
// `dist/chunks/`, or from wherever a bundler has put it.

import { readFileSync } from 'node:fs';

const NAME = 'layercode-microserver';

let root: URL | null | undefined;

/**
 * The URL of the package's folder. Undefined in a bundle: bundlers take the code and leave the
 * folder behind.
 */
export function packageRoot(): URL | undefined {
  if (root === undefined) root = findRoot() ?? null;
  return root ?? undefined;
}

/**
 * The URL of a file or folder. `path` is relative to the package's folder. Throws if that is
 * missing.
 */
export function packageFile(path: string): URL {
  const folder = packageRoot();
  if (folder === undefined) {
    const remedy = `tell your bundler that ${NAME} is external`;
    throw new Error(`${path} of ${NAME} is not in this bundle: ${remedy}`);
  }
  return new URL(path, folder);
}

function findRoot(): URL | undefined {
  const here: string | undefined = import.meta.url; // undefined in a bundle that is CommonJS
  if (here === undefined) return undefined;
  try {
    const folder = new URL('../..', here);
    const manifest = readFileSync(new URL('package.json', folder), 'utf8');
    const { name }: { readonly name?: unknown } = JSON.parse(manifest);
    return name === NAME ? folder : undefined;
  } catch {
    return undefined; // no package.json there, or another package's
  }
}
