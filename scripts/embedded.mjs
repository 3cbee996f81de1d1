// For esbuild: dist/ holds the texts that the sources read from the package's folder, so that it
// also works inside somebody's bundle, where that folder is missing.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/**
 * `sqliteWorker` is the code of the thread. It is given as text, because no bundler would find it
 * as a file.
 */
export function embedded(root, sqliteWorker) {
  const read = (path) => readFileSync(join(root, path), 'utf8');
  const assets = ['prompts', 'data'].flatMap((folder) =>
    readdirSync(join(root, 'assets', folder)).map((file) => `${folder}/${file}`),
  );
  const texts = Object.fromEntries(assets.map((path) => [path, read(`assets/${path}`)]));
  /** What stands in place of these modules. Each exports what the module exports. */
  const modules = new Map([
    ['src/base/version.ts', constant('version', JSON.parse(read('package.json')).version)],
    [
      'src/core/conversations/stores/sqlite-worker-script.ts',
      constant('sqliteWorker', { script: sqliteWorker, eval: true }),
    ],
    [
      'src/core/agents/built-in/asset-text.ts',
      `const texts = ${JSON.stringify(texts)};\nexport const assetText = (path) => texts[path];\n`,
    ],
  ]);
  return {
    name: 'embedded',
    setup(build) {
      const unused = new Set(modules.keys());
      build.onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path }) => {
        const name = relative(root, path).split(sep).join('/');
        unused.delete(name);
        const contents = modules.get(name);
        return contents === undefined ? undefined : { contents, loader: 'js' };
      });
      build.onEnd(() => {
        // Otherwise a renamed module would be read from disk again.
        if (unused.size > 0) throw new Error(`not in the bundle: ${[...unused].join(', ')}`);
      });
    },
  };
}

function constant(name, value) {
  return `export const ${name} = ${JSON.stringify(value)};\n`;
}
